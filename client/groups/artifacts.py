"""Artifacts by digest, and the models made of them."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from ..errors import DigestMismatch, NotFound
from ..pages import iterate
from ..parsing import parse
from ..resources import Artifact, Model
from ..transport import Transport

CHUNK_BYTES = 1 << 20
_TRANSFER_TIMEOUT_S = 300.0
_BROKEN_DOWNLOADS_MAX = 5


class Artifacts:
    """Modules, models, inputs and results, known by their SHA-256."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> Iterator[Artifact]:
        return iterate(self._transport, "/v1/artifacts", Artifact, limit=limit)

    def put(self, source: Path | str | bytes, *, name: str = "") -> Artifact:
        """Upload a file or bytes; nothing is sent if the platform has the digest already."""
        path = None if isinstance(source, bytes) else Path(source)
        chunks = _chunks_of(source if isinstance(source, bytes) else Path(source))
        size, digest = _measure(chunks)
        name = name or (path.name if path else "")
        if self.exists(digest):
            return Artifact(digest=digest, size_bytes=size, name=name or None)
        document = self._transport.json(
            "PUT",
            f"/v1/artifacts/{digest}",
            params={"name": name},
            content=chunks,
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(size)},
            timeout_s=_TRANSFER_TIMEOUT_S,
        )
        return parse(Artifact, document)

    def exists(self, digest: str) -> bool:
        """Whether the platform has these bytes and this key may use them."""
        try:
            self._transport.send("HEAD", f"/v1/artifacts/{digest}")
        except NotFound:
            return False
        return True

    def get(self, digest: str) -> bytes:
        """Download; raises ``DigestMismatch`` if the bytes are not those."""
        data = self._transport.send(
            "GET", f"/v1/artifacts/{digest}", timeout_s=_TRANSFER_TIMEOUT_S
        ).content
        _verify(digest, hashlib.sha256(data).hexdigest())
        return data

    def save(self, digest: str, path: Path) -> int:
        """Download to a file, continuing a part that is there from before; returns its size."""
        part = path.with_name(path.name + ".part")
        part.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(_BROKEN_DOWNLOADS_MAX):
            try:
                self._append(digest, part)
                break
            except OSError:
                raise
            except Exception:
                if attempt + 1 == _BROKEN_DOWNLOADS_MAX:
                    raise
                self._transport.pause(attempt)
        with part.open("rb") as file:
            _verify(digest, hashlib.file_digest(file, "sha256").hexdigest())
        part.replace(path)
        return path.stat().st_size

    def _append(self, digest: str, part: Path) -> None:
        have = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        path = f"/v1/artifacts/{digest}"
        with self._transport.stream(path, headers=headers) as response:
            mode = "ab" if response.status_code == 206 else "wb"
            with part.open(mode) as file:
                file.writelines(response.iter_bytes(CHUNK_BYTES))


class Models:
    """Registered ONNX models."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> Iterator[Model]:
        return iterate(self._transport, "/v1/models", Model, limit=limit)

    def get(self, model: str) -> Model:
        """By id or name."""
        return parse(Model, self._transport.get(f"/v1/models/{quote(model, safe='')}"))

    def register(self, name: str, *, digest: str) -> Model:
        """Make a model of an uploaded artifact; the platform parses it."""
        return parse(Model, self._transport.create("/v1/models", {"name": name, "digest": digest}))


def _chunks_of(source: Path | bytes) -> Callable[[], Iterator[bytes]]:
    def from_bytes() -> Iterator[bytes]:
        for start in range(0, len(source), CHUNK_BYTES):  # type: ignore[arg-type]
            yield source[start : start + CHUNK_BYTES]  # type: ignore[index]

    def from_file() -> Iterator[bytes]:
        with Path(source).open("rb") as file:  # type: ignore[arg-type]
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    return from_bytes if isinstance(source, bytes) else from_file


def _measure(chunks: Callable[[], Iterator[bytes]]) -> tuple[int, str]:
    size, sha = 0, hashlib.sha256()
    for chunk in chunks():
        size += len(chunk)
        sha.update(chunk)
    return size, f"sha256:{sha.hexdigest()}"


def _verify(digest: str, found: str) -> None:
    if digest != f"sha256:{found}":
        raise DigestMismatch(f"asked for {digest} and got sha256:{found}; try again")
