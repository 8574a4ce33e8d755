"""What happens, as it happens (SSE), and the first page's overview."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from api.answers import reply
from api.caller import Reader
from api.routing import JsonRoute
from api.schemas.jobs import EventView
from api.schemas.overview import OverviewView
from api.stream import Hub, Wanted
from broker.services import overview
from broker.services.refusals import Invalid
from db.events import EventCursor

HEARTBEAT_S = 15.0
RETRY_MS = 1_000
SSE = "text/event-stream"

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
    stream = _frames(call.platform.hub, wanted, place)
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


async def _frames(hub: Hub, wanted: Wanted, place: EventCursor | None) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY_MS}\n\n".encode()
    async for found in hub.follow(wanted, place, idle_s=HEARTBEAT_S):
        if not found:
            yield b": still here\n\n"
            continue
        frames = bytearray()
        for event in found:
            view = EventView.of(event)
            body = view.__pydantic_serializer__.to_json(view)
            frames += b"id: %s\nevent: %s\ndata: %s\n\n" % (
                view.id.encode(),
                view.kind.encode(),
                body,
            )
        yield bytes(frames)


def _cursor(text: str) -> EventCursor | None:
    try:
        return EventCursor.parse(text) if text else None
    except ValueError as error:
        raise Invalid(str(error), pointer="header:last-event-id") from error
