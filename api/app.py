"""Puts the application together."""

from fastapi import APIRouter, FastAPI

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
    policies,
    sessions,
    topology,
)
from api.submissions import Submissions
from api.version import VERSION
from broker.settings import Settings

ROUTERS: tuple[APIRouter, ...] = (  # matched in this order: the busiest first
    jobs.router,
    sessions.router,
    accounts.router,
    keys.router,
    enrol.router,
    topology.router,
    artifacts.router,
    artifacts.model_router,
    market.router,
    policies.router,
    ledger.router,
    events.router,
    health.router,
)


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
        redirect_slashes=False,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.state.request_bytes_max = settings.request_bytes_max
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(pages.router)
    pages.install_dashboard(app, settings.dashboards_dir)
    openapi.install(app)
    errors.install(app)
    if platform is not None:
        app.state.platform = platform
        app.state.submissions = Submissions(platform)
        app.add_middleware(Envelope, observe=platform.metrics.observe)
    return app
