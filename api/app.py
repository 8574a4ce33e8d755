"""Puts the application together."""

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from api import errors, openapi, pages
from api.middleware import Envelope
from api.platform import Platform
from api.routes import (
    accounts,
    artifacts,
    enrol,
    events,
    health,
    jobs,
    keys,
    ledger,
    market,
    sessions,
    topology,
)
from api.version import VERSION
from broker.settings import Settings

ROUTERS: tuple[APIRouter, ...] = (
    sessions.router,
    accounts.router,
    keys.router,
    enrol.router,
    topology.router,
    artifacts.router,
    artifacts.model_router,
    jobs.router,
    market.router,
    ledger.router,
    events.router,
    health.router,
)


class JsonRequest(Request):
    """Reads a body with orjson: quick, strict about numbers and text, bounded in depth."""

    async def json(self) -> Any:
        body = await self.body()
        found = orjson.loads(body)
        if b"\\u0000" in body and _has_nul(found):
            raise HTTPException(400, "The body has a NUL character, which no text here may have.")
        return found


class JsonRoute(APIRoute):
    """A route that reads its body as ``JsonRequest`` does."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(JsonRequest(request.scope, request.receive))

        return handle


def make_app(settings: Settings, platform: Platform | None = None) -> FastAPI:
    """The application; without a platform it can only describe itself."""
    app = FastAPI(
        title="souk",
        version=VERSION,
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,
        max_body_size=settings.request_bytes_max,
        redirect_slashes=False,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.router.route_class = JsonRoute
    for router in ROUTERS:
        router.route_class = JsonRoute
        app.include_router(router)
    app.include_router(pages.router)
    pages.install_dashboard(app, settings.dashboards_dir)
    openapi.install(app)
    errors.install(app)
    if platform is not None:
        app.state.platform = platform
        app.add_middleware(Envelope, observe=platform.metrics.observe)
    return app


def _has_nul(value: Any) -> bool:
    """Whether any text in a JSON value holds U+0000."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, list):
        return any(map(_has_nul, value))
    if isinstance(value, dict):
        return any("\x00" in key or _has_nul(each) for key, each in value.items())
    return False
