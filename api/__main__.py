"""``python -m api``: HTTP for people on one port, HTTPS for devices on another, in one loop."""

import asyncio
import contextlib
import signal
import ssl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import structlog
import uvicorn
from fastapi import FastAPI

from api.app import make_app
from api.platform import Platform
from broker.logs import configure_logging
from broker.readiness import TOUCH_EVERY_S, mark_ready
from broker.services.pki_files import PkiPaths, ensure_pki
from broker.settings import Settings, get_settings

GRACE_S = 3
STRAY_UPLOADS_AFTER_S = 86_400.0
BACKLOG = 2_048
log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """A server that leaves signals to the process, which has two of them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings) -> None:
    """Serve both listeners until SIGTERM or SIGINT."""
    paths = ensure_pki(settings.pki, now=datetime.now(UTC), names=_names(settings))
    platform = Platform.open(settings)
    app = make_app(settings, platform)
    servers = [
        Server(_config(app, settings.api_host, settings.api_port)),
        Server(_config(app, settings.agent_host, settings.agent_port, tls=paths)),
    ]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    now_s = datetime.now(UTC).timestamp()
    platform.store.remove_stray_uploads(older_than_s=STRAY_UPLOADS_AFTER_S, now_s=now_s)
    background = [
        asyncio.create_task(platform.hub.run(), name="events"),
        asyncio.create_task(_stay_ready(servers, settings), name="ready"),
    ]
    serving = [asyncio.create_task(server.serve()) for server in servers]
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([stopping, *serving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        platform.hub.close()
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*serving, return_exceptions=True)
        for task in (stopping, *background):
            task.cancel()
        await asyncio.gather(stopping, *background, return_exceptions=True)
        platform.close()
    if not stop.is_set():
        raise SystemExit(1)  # a port was taken, or a server died: said in the log


async def _stay_ready(servers: list[Server], settings: Settings) -> None:
    """Touch the ready file from the loop itself: a loop that hangs is not ready."""
    while not all(server.started for server in servers):
        await asyncio.sleep(0.01)
    log.info("api ready", http=settings.api_url, https=settings.agent_url)
    while True:
        mark_ready(settings)
        await asyncio.sleep(TOUCH_EVERY_S)


def _config(app: FastAPI, host: str, port: int, *, tls: PkiPaths | None = None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # else anybody could name the address that is throttled and audited
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=None if tls is None else str(tls.server_pem),
        ssl_keyfile=None if tls is None else str(tls.server_key),
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return config


def _names(settings: Settings) -> list[str]:
    return [name.strip() for name in settings.public_names.split(",") if name.strip()]


def main() -> int:
    """Run the API of the settings."""
    settings = get_settings()
    configure_logging(settings, "api")
    Path(settings.home).mkdir(parents=True, exist_ok=True)
    quick_loop = uvicorn.Config(
        "api.app", log_config=None
    ).get_loop_factory()  # uvloop where there is one
    with asyncio.Runner(loop_factory=quick_loop) as runner:
        runner.run(serve(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
