"""What agent and child say to each other: a JSON header and raw bytes, both with their length."""

import json
import socket
import struct
from typing import Any

_LENGTHS = struct.Struct(">IQ")
HEADER_BYTES_MAX = 1 << 20
BODY_BYTES_MAX = 1 << 30

Frame = tuple[dict[str, Any], bytes]


class FrameError(Exception):
    """The other side does not keep to the format: it is broken, or taken over."""


def pack(header: dict[str, Any], body: bytes = b"") -> bytes:
    """One frame."""
    text = json.dumps(header).encode()
    return b"".join((_LENGTHS.pack(len(text), len(body)), text, body))


class Unpacker:
    """Collects bytes and hands out whole frames."""

    def __init__(self, *, body_bytes_max: int = BODY_BYTES_MAX) -> None:
        self.body_bytes_max = body_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete with ``data``.

        Raises:
            FrameError: too long, or no JSON object.
        """
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        if len(self._buffer) < _LENGTHS.size:
            return None
        header_length, body_length = _LENGTHS.unpack_from(self._buffer)
        if header_length > HEADER_BYTES_MAX or body_length > self.body_bytes_max:
            raise FrameError(f"a frame of {header_length} + {body_length} bytes is too long")
        start, end = _LENGTHS.size + header_length, _LENGTHS.size + header_length + body_length
        if len(self._buffer) < end:
            return None
        try:
            header = json.loads(self._buffer[_LENGTHS.size : start])
        except ValueError as error:
            raise FrameError(f"header is not JSON: {error}") from None
        if not isinstance(header, dict):
            raise FrameError("header is not an object")
        body = bytes(self._buffer[start:end])
        del self._buffer[:end]
        return header, body


class BlockingChannel:
    """The child's end: one request at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._unpacker = Unpacker()
        self._ready: list[Frame] = []

    def receive(self) -> Frame | None:
        """The next frame; None when the agent has gone."""
        while not self._ready:
            data = self._sock.recv(1 << 18)
            if not data:
                return None
            self._ready = self._unpacker.feed(data)
        return self._ready.pop(0)

    def send(self, header: dict[str, Any], body: bytes = b"") -> None:
        """Send one frame whole."""
        self._sock.sendall(pack(header, body))
