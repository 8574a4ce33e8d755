"""Rounds of the regions and the root: what cells sent up and what was handed down to others."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.repositories.paging import Page, Place, cut, newest_first
from db.tables import Cell, UpperRound

ROOT = "root"  # the root's place; a region's is its id


@dataclass(frozen=True, slots=True, kw_only=True)
class UpperRecord:
    """A round with the name of its place."""

    row: UpperRound
    place_name: str


_WITH_NAME = select(UpperRound, Cell.name).outerjoin(Cell, Cell.id == UpperRound.place)


def page(
    session: Session, *, place: str = "", after: Place | None = None, limit: int
) -> Page[UpperRecord]:
    """Rounds of ``place`` (a region's id or "root"; "": of all), newest first."""
    statement = _WITH_NAME.where(UpperRound.place == place) if place else _WITH_NAME
    statement = newest_first(
        statement, at=UpperRound.created_at, id=UpperRound.id, after=after, limit=limit
    )
    records = [_record(row, name) for row, name in session.execute(statement)]
    return cut(records, limit=limit, place=lambda r: Place(at=r.row.created_at, id=r.row.id))


def get(session: Session, round_id: str) -> UpperRecord | None:
    """The round, None if there is none (any more)."""
    found = session.execute(_WITH_NAME.where(UpperRound.id == round_id)).first()
    return None if found is None else _record(found[0], found[1])


def _record(row: UpperRound, name: str | None) -> UpperRecord:
    return UpperRecord(row=row, place_name=name or row.place)
