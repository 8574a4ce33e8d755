"""How the routes read a body: with orjson, bounded in size and depth, without NUL characters."""

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException


class JsonRequest(Request):
    """A request whose body is JSON of at most ``request_bytes_max`` bytes."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            self._body = await self._read(self.app.state.request_bytes_max)
        return self._body

    async def json(self) -> Any:
        """Strict: no NaN, no lone surrogates, no number that is not finite, bounded depth."""
        body = await self.body()
        found = orjson.loads(body)
        if b"\\u0000" in body and _has_nul(found):
            raise HTTPException(400, "The body has a NUL character, which no text here may have.")
        return found

    async def _read(self, bytes_max: int) -> bytes:
        chunks, size = [], 0
        async for chunk in self.stream():
            size += len(chunk)
            if size > bytes_max:
                raise HTTPException(413, f"A body has at most {bytes_max} bytes here.")
            chunks.append(chunk)
        return b"".join(chunks)


class JsonRoute(APIRoute):
    """A route that reads its body as ``JsonRequest`` does."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(JsonRequest(request.scope, request.receive))

        return handle


def _has_nul(value: Any) -> bool:
    """Whether any text in a JSON value holds U+0000."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, list):
        return any(map(_has_nul, value))
    if isinstance(value, dict):
        return any("\x00" in key or _has_nul(each) for key, each in value.items())
    return False
