"""A blocking client that calls the application in this process, without a socket."""

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI


class Client:
    """As httpx.Client; keeps cookies. Exceptions of handlers come back as the answer 500."""

    def __init__(
        self, runner: asyncio.Runner, app: FastAPI, headers: dict[str, str] | None = None
    ) -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.runner = runner
        self._client = httpx.AsyncClient(
            transport=transport, base_url="http://test", headers=headers
        )

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.runner.run(self._client.request(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def head(self, path: str, **options: Any) -> httpx.Response:
        return self.request("HEAD", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.request("DELETE", path, **options)
