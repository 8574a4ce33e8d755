"""From what a use case returns to bytes on the wire: pages, tags, answers that are given once."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

import orjson
from fastapi import Query, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.caller import Call
from broker.services.refusals import Invalid
from db import idempotency
from db.idempotency import IdempotencyInFlight, StoredAnswer
from db.repositories.paging import PAGE_DEFAULT, PAGE_MAX, Page, Place

T = TypeVar("T")
R = TypeVar("R")
JSON = "application/json"
TRIES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a POST that creates says. ``secret``: what is kept of it for a repetition is sealed."""

    model: BaseModel
    status: int = 201
    headers: Mapping[str, str] = field(default_factory=dict)
    secret: bool = False


def reply(
    model: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """``model`` as JSON, serialised once and not validated again."""
    return Response(model.__pydantic_serializer__.to_json(model), status, headers, JSON)


def tagged(model: BaseModel, version: int, *, status: int = 200) -> Response:
    """As ``reply``, with the version as ETag."""
    return reply(model, status=status, headers={"ETag": f'"{version}"'})


def once(call: Call, work: Callable[[Session], Answer]) -> Response:
    """Run ``work`` in a transaction, once for each Idempotency-Key; repeats get the same answer.

    The answer is stored with the effect. Raises ``IdempotencyMismatch``, ``IdempotencyInFlight``.
    """
    for attempt in range(TRIES):
        try:
            stored, replayed = call.transaction(lambda session: _claimed(call, session, work))
        except IdempotencyInFlight:
            if attempt + 1 == TRIES or not call.idempotency_key:
                raise
        else:
            break
    return given(call, stored, replayed=replayed)


def given(call: Call, stored: StoredAnswer, *, replayed: bool) -> Response:
    """A stored answer as it goes out."""
    headers = dict(stored.headers)
    sealed = headers.pop(_SEALED, None)
    body = call.platform.seal.open(stored.body) if sealed else stored.body
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(body, stored.status, headers, JSON)


_SEALED = "sealed"


def _claimed(
    call: Call, session: Session, work: Callable[[Session], Answer]
) -> tuple[StoredAnswer, bool]:
    if not call.idempotency_key:
        return render(call, work(session)), False
    key = {
        "account_id": call.principal.account_id,
        "key": call.idempotency_key,
        "request_hash": call.request_hash,
    }
    stored = idempotency.claim(session, **key)  # type: ignore[arg-type]
    if stored is not None:
        return stored, True
    answer = render(call, work(session))
    idempotency.store(session, **key, answer=answer, now=call.now)  # type: ignore[arg-type]
    return answer, False


def render(call: Call, answer: Answer) -> StoredAnswer:
    """``answer`` as it is stored and given."""
    body = answer.model.__pydantic_serializer__.to_json(answer.model)
    headers = dict(answer.headers)
    if answer.secret and call.idempotency_key:
        body, headers[_SEALED] = call.platform.seal.close(body), "yes"
    return StoredAnswer(status=answer.status, headers=headers, body=body)


class PageOf(BaseModel, Generic[T]):
    """One page, newest first; ``next_cursor`` null at the end."""

    items: Sequence[T]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Which page is asked for."""

    limit: int
    after: Place | None


def paging(
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Rows of a page.")] = PAGE_DEFAULT,
    cursor: Annotated[
        str | None, Query(max_length=300, description="`next_cursor` of the page before.")
    ] = None,
) -> Paging:
    """The query's ``limit`` and ``cursor``."""
    return Paging(limit=limit, after=None if not cursor else _place(cursor))


def page(model: type[PageOf[Any]], found: Page[R], show: Callable[[R], Any]) -> Response:
    """``found`` as JSON, each item as ``show`` has it."""
    return reply(
        model.model_construct(
            items=[show(item) for item in found.items],
            next_cursor=None if found.after is None else _cursor(found.after),
        )
    )


def _cursor(place: Place) -> str:
    micros = round(place.at.timestamp() * 1_000_000)
    return base64.urlsafe_b64encode(orjson.dumps([micros, place.id])).decode().rstrip("=")


def _place(cursor: str) -> Place:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        micros, key = orjson.loads(base64.urlsafe_b64decode(padded))
        if not isinstance(key, str) or not isinstance(micros, int) or "\x00" in key:
            raise ValueError("not of our making")
        seconds, rest = divmod(micros, 1_000_000)
        return Place(at=datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest), id=key)
    except (ValueError, TypeError, OverflowError, OSError, binascii.Error) as error:
        raise Invalid("The cursor is not one of ours.", pointer="query:cursor") from error
