"""What happens, as it happens (SSE), and the first page's overview."""

import time
from collections.abc import AsyncIterator
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import SQLAlchemyError

from api.answers import reply
from api.caller import Call, Reader, identify
from api.routing import JsonRoute
from api.schemas.jobs import EventView
from api.schemas.overview import OverviewView
from api.stream import Wanted
from broker.services import overview
from broker.services.refusals import Invalid, Refusal
from db.errors import StorageError
from db.events import EventCursor, EventRecord

HEARTBEAT_S = 15.0
RETRY_MS = 1_000
SSE = "text/event-stream"
log = structlog.get_logger(__name__)

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["events"])


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {SSE: {"schema": {"type": "string"}}}}},
)
async def follow_events(
    call: Reader,
    subject_id: Annotated[str, Query(max_length=64)] = "",
    last_event_id: Annotated[str, Header(max_length=64)] = "",
    cursor: Annotated[str, Query(max_length=64, description="As Last-Event-ID.")] = "",
) -> Response:
    """Events from now on, or from after `Last-Event-ID`; one's own, for operators all."""
    place = _cursor(last_event_id or cursor)
    wanted = Wanted(account_id=call.principal.view, subject_id=subject_id)
    stream = _frames(call, wanted, place)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, headers=headers, media_type=SSE)


@router.get("/overview", response_model=OverviewView, tags=["overview"])
def get_overview(call: Reader) -> Response:
    """One call for the first paint: cells, nodes, jobs, balances, invariants, prices, latency."""
    platform = call.platform
    seen = call.transaction(
        lambda session: overview.look(
            session,
            platform.checks,
            principal=call.principal,
            mechanism=platform.settings.mechanism,
            now=call.now,
        )
    )
    return reply(OverviewView.of(seen))


async def _frames(call: Call, wanted: Wanted, place: EventCursor | None) -> AsyncIterator[bytes]:
    checked_at = time.monotonic()
    yield f"retry: {RETRY_MS}\n\n".encode()
    try:
        async for found in call.platform.hub.follow(wanted, place, idle_s=HEARTBEAT_S):
            if time.monotonic() - checked_at >= HEARTBEAT_S:
                if not await _still_known(call):
                    return
                checked_at = time.monotonic()
            yield b"".join(map(_frame, found)) or b": still here\n\n"
    except SQLAlchemyError as error:  # the follower comes back with its Last-Event-ID
        log.warning("a follower was cut off", error=str(error)[:200])


def _frame(event: EventRecord) -> bytes:
    view = EventView.of(event)
    body = view.__pydantic_serializer__.to_json(view)
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (view.id.encode(), view.kind.encode(), body)


async def _still_known(call: Call) -> bool:
    """Whether the follower may still ask: its key may be revoked by now."""
    try:
        principal = await identify(call.request, call.platform)
    except Refusal:
        return False
    except (SQLAlchemyError, StorageError):
        return True  # the database is away; it will be asked again
    return principal.view == call.principal.view


def _cursor(text: str) -> EventCursor | None:
    try:
        return EventCursor.parse(text) if text else None
    except ValueError as error:
        raise Invalid(str(error), pointer="header:last-event-id") from error
