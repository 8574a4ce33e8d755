"""Serves an application on a port of the loop's choosing, in a thread, for streams."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from api.__main__ import Server
from api.platform import Platform

START_S = 10.0


@contextmanager
def served(app: FastAPI, platform: Platform) -> Iterator[str]:
    """The base URL of ``app`` while the block runs; the hub of events runs in the same loop."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=2)
    server, up = Server(config), threading.Event()

    async def run() -> None:
        hub = asyncio.create_task(platform.hub.run())
        up.set()
        await server.serve(sockets=[listener])
        hub.cancel()
        await asyncio.gather(hub, return_exceptions=True)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert up.wait(START_S)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        platform.hub.close()
        server.should_exit = True
        thread.join(START_S)
        listener.close()
