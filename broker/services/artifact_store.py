"""The bytes of artifacts, by digest, in a directory or an fsspec store (S3 and its like).

An upload is written to a name of its own, hashed on the way, and moved to its digest's place in
one step when it is whole: a reader sees all of it or nothing, and a crash leaves a stray upload
(removed when old), never a wrong artifact. The same bytes stored twice are stored once.
"""

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

import fsspec
from fsspec.implementations.local import LocalFileSystem

from broker.services.refusals import Invalid, NotFound, TooLarge

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
CHUNK_BYTES = 1 << 20


class ArtifactStore(Protocol):
    """What the platform needs of a store."""

    def begin(self, *, bytes_max: int) -> "Upload":
        """A new upload of at most ``bytes_max`` bytes."""
        ...

    def size_bytes(self, digest: str) -> int | None:
        """Size of the artifact; None if it is not there."""
        ...

    def read(self, digest: str, *, offset: int, length: int) -> Iterator[bytes]:
        """The bytes ``[offset, offset + length)`` in chunks. Raises ``NotFound``."""
        ...


class FileStore:
    """``ArtifactStore`` on any fsspec file system; ``url`` is a directory or ``scheme://path``."""

    def __init__(self, url: str) -> None:
        self._files, root = fsspec.core.url_to_fs(url)
        self._root = str(root).rstrip("/")
        self.local = isinstance(self._files, LocalFileSystem)
        self._files.makedirs(f"{self._root}/uploads", exist_ok=True)

    def begin(self, *, bytes_max: int) -> "Upload":
        return Upload(self, bytes_max=bytes_max)

    def size_bytes(self, digest: str) -> int | None:
        try:
            return int(self._files.size(self.path(digest)))
        except FileNotFoundError:
            return None

    def read(self, digest: str, *, offset: int, length: int) -> Iterator[bytes]:
        try:
            file = self._files.open(self.path(digest), "rb")
        except FileNotFoundError as error:
            raise NotFound("artifact", digest, code="artifact_gone") from error
        return _chunks(file, offset, length)

    def store(self, data: bytes, *, digest: str = "", durable: bool = True) -> str:
        """Store ``data`` and return its digest. Raises ``Invalid`` if it is not ``digest``.

        Without ``durable`` a power failure within seconds may lose it.
        """
        found = digest_of(data)
        if digest and digest != found:
            raise _other_digest(digest, found)
        if self.local and not durable:
            self._put_at_once(found, data)
        elif self.size_bytes(found) is None:
            with self.begin(bytes_max=len(data)) as upload:
                upload.write(data)
                upload.finish(digest=found, durable=durable)
        return found

    def _put_at_once(self, digest: str, data: bytes) -> None:
        """As an upload, without its layers: results come by the thousand a second."""
        target = self.path(digest)
        if os.path.exists(target):
            return
        name = self._upload(secrets.token_hex(16))
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(handle, "wb", buffering=0) as file:
            file.write(data)
        try:
            os.replace(name, target)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.replace(name, target)

    @contextmanager
    def local_file(self, digest: str) -> Iterator[Path]:
        """The artifact as a file of this machine, for as long as the block runs."""
        if self.local:
            yield Path(self.path(digest))
            return
        with tempfile.NamedTemporaryFile() as file:
            size = self.size_bytes(digest) or 0
            for chunk in self.read(digest, offset=0, length=size):
                file.write(chunk)
            file.flush()
            yield Path(file.name)

    def path(self, digest: str) -> str:
        """Where the artifact's bytes are; two levels, so that no directory grows too large."""
        check_digest(digest)
        name = digest.removeprefix("sha256:")
        return f"{self._root}/sha256/{name[:2]}/{name}"

    def open_upload(self, name: str) -> BinaryIO:
        """A file to write an upload to."""
        opened: BinaryIO = self._files.open(self._upload(name), "wb")
        return opened

    def commit(self, name: str, digest: str, *, durable: bool) -> None:
        """Move a whole upload to its place."""
        target = self.path(digest)
        if self.local:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            Path(self._upload(name)).replace(target)
            if durable:
                _sync_directory(Path(target).parent)
        else:
            self._files.mv(self._upload(name), target)

    def discard(self, name: str) -> None:
        """Forget an upload."""
        if self._files.exists(self._upload(name)):
            self._files.rm_file(self._upload(name))

    def remove_stray_uploads(self, *, older_than_s: float, now_s: float) -> int:
        """Remove uploads that a crash left behind; return how many."""
        if not self.local:
            return 0  # object stores end unfinished uploads by a rule of the bucket
        strays = [
            path
            for path in (Path(self._root) / "uploads").iterdir()
            if now_s - path.stat().st_mtime > older_than_s
        ]
        for path in strays:
            path.unlink(missing_ok=True)
        return len(strays)

    def _upload(self, name: str) -> str:
        return f"{self._root}/uploads/{name}"


class Upload:
    """Bytes on their way in: ``write`` them, then ``finish``; leaving without it discards them."""

    def __init__(self, store: FileStore, *, bytes_max: int) -> None:
        self._store = store
        self._name = secrets.token_hex(16)
        self._bytes_max = bytes_max
        self._hash = hashlib.sha256()
        self._file: BinaryIO | None = store.open_upload(self._name)
        self._finished = False
        self.size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._finished:
            self._close()
            self._store.discard(self._name)

    def write(self, chunk: bytes) -> None:
        """Add bytes. Raises ``TooLarge`` beyond the bound."""
        assert self._file is not None
        self.size_bytes += len(chunk)
        if self.size_bytes > self._bytes_max:
            raise TooLarge(f"An artifact has at most {self._bytes_max} bytes here.")
        self._hash.update(chunk)
        self._file.write(chunk)

    def finish(self, *, digest: str = "", durable: bool = True) -> str:
        """Put the artifact in its place (``durable``: also on the disk); return its digest.

        Raises ``Invalid`` (``digest_mismatch``) if ``digest`` is given and is another one.
        """
        found = f"sha256:{self._hash.hexdigest()}"
        if digest and digest != found:
            raise _other_digest(digest, found)
        self._close(durable=durable)
        self._store.commit(self._name, found, durable=durable)
        self._finished = True
        return found

    def _close(self, *, durable: bool = False) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        if durable and self._store.local:
            file.flush()
            os.fsync(file.fileno())
        file.close()


def check_digest(digest: str) -> str:
    """``digest`` if it is ``sha256:`` and 64 hexadecimal digits. Raises ``NotFound`` if not."""
    if not DIGEST.fullmatch(digest):
        raise NotFound("artifact", digest)
    return digest


def digest_of(data: bytes) -> str:
    """``sha256:<hex>``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _sync_directory(directory: Path) -> None:
    """A rename is on the disk once its directory is."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _chunks(file: Any, offset: int, length: int) -> Iterator[bytes]:
    with file:
        file.seek(offset)
        left = length
        while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk


def _other_digest(wanted: str, found: str) -> Invalid:
    return Invalid(f"The bytes have the digest {found}, not {wanted}.", code="digest_mismatch")
