"""Whether the process lives, whether it can work, and its metrics."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy import text
from starlette.exceptions import HTTPException

from api.answers import reply
from api.caller import platform_of
from api.platform import Platform

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """It lives."""

    status: Literal["ok"] = "ok"


@router.get("/healthz", response_model=Health)
async def get_health() -> Response:
    """200 while the process answers at all."""
    return reply(Health())


@router.get("/readyz", response_model=Health)
def get_readiness(request: Request) -> Response:
    """200 when the database answers; 503 otherwise."""
    check_database(platform_of(request))
    return reply(Health())


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def get_metrics(request: Request) -> Response:
    """Prometheus' exposition format; not on the listener for devices."""
    platform = platform_of(request)
    server = request.scope.get("server") or ("", 0)
    if request.url.scheme == "https" and server[1] == platform.settings.agent_port:
        raise HTTPException(404)
    return platform.metrics.render()


def check_database(platform: Platform) -> None:
    """One round trip to the database."""
    with platform.sessions() as session:
        session.execute(text("SELECT 1"))
