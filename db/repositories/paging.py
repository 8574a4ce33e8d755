"""Keyset pages, newest first: rows added meanwhile shift nothing, and page 100 costs as page 1."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

T = TypeVar("T")

PAGE_DEFAULT = 50
PAGE_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The row that a page begins after: its time and id."""

    at: datetime
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some rows, and where the next page begins; None at the end."""

    items: Sequence[T]
    after: Place | None = None


def newest_first(
    statement: Select[*tuple[Any, ...]],
    *,
    at: ColumnElement[datetime] | InstrumentedAttribute[datetime],
    id: ColumnElement[str] | InstrumentedAttribute[str],
    after: Place | None,
    limit: int,
) -> Select[*tuple[Any, ...]]:
    """``statement`` from ``after`` on, newest first, with one row more than the page shows."""
    if after is not None:
        statement = statement.where(tuple_(at, id) < tuple_(after.at, after.id))
    return statement.order_by(at.desc(), id.desc()).limit(limit + 1)


def cut(rows: Sequence[T], *, limit: int, place: Callable[[T], Place]) -> Page[T]:
    """The page of ``rows``; the row beyond ``limit`` tells only that there is more."""
    if len(rows) <= limit:
        return Page(items=rows)
    return Page(items=rows[:limit], after=place(rows[limit - 1]))
