"""The artifact cache: by digest, verified before use, bounded in bytes (least recently used)."""

import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edge_agent.digests import TransferError, digest_of
from edge_agent.loop import Loop
from edge_agent.workers import Workers

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class Waiter(Protocol):
    """Who asked for an artifact."""

    def __call__(self, path: Path | None, error: str) -> None:
        """The verified file, or why there is none."""


class Transfer(Protocol):
    """Moves artifacts; ``edge_agent.transfer`` does it by HTTPS."""

    def fetch(self, base_url: str, digest: str, grant: str, part: Path, *, bytes_max: int) -> None:
        """Make ``part`` hold the artifact whole; raises ``TransferError``."""

    def put(self, base_url: str, digest: str, grant: str, data: bytes) -> None:
        """Store ``data`` under its digest; raises ``TransferError``."""


class ArtifactCache:
    """Used in the loop's thread; transfers run in the workers'."""

    def __init__(
        self,
        folder: Path,
        *,
        bytes_max: int,
        loop: Loop,
        workers: Workers,
        transfer: Callable[[], Transfer],
    ) -> None:
        self._folder, self._bytes_max = folder, bytes_max
        self._loop, self._workers, self._transfer = loop, workers, transfer
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._verified: set[str] = set()
        self._pins: dict[str, int] = {}
        self._waiters: dict[str, list[Waiter]] = {}
        self.base_url = ""
        self._scan()

    def get(self, digest: str, grant: str, waiter: Waiter) -> None:
        """Call ``waiter`` with the artifact's file, at once when it is here; pins it."""
        match = _DIGEST.fullmatch(digest)
        if match is None:
            waiter(None, f"{digest[:80]!r} is not a digest of the form sha256:<hex>")
            return
        if digest in self._verified:
            self._sizes.move_to_end(digest)
            self._pin(digest)
            waiter(self._path(digest), "")
            return
        waiting = self._waiters.setdefault(digest, [])
        waiting.append(waiter)
        if len(waiting) == 1:
            base_url = self.base_url
            self._workers.submit(lambda: self._work(base_url, digest, grant))

    def release(self, digest: str) -> None:
        """The file may be evicted again, as far as this user of it is concerned."""
        count = self._pins.get(digest, 0) - 1
        if count > 0:
            self._pins[digest] = count
        else:
            self._pins.pop(digest, None)
            self._evict()

    def put(self, data: bytes, grant: str, done: Callable[[str, str], None]) -> None:
        """Upload ``data``; ``done(digest, error)`` is called in the loop's thread."""
        base_url = self.base_url

        def work() -> None:
            digest, error = digest_of(data), ""
            try:
                self._transfer().put(base_url, digest, grant, data)
            except TransferError as failure:
                error = str(failure)
            self._loop.post(lambda: done(digest, error))

        self._workers.submit(work)

    @property
    def size_bytes(self) -> int:
        """What the cache holds."""
        return sum(self._sizes.values())

    # ------------------------------------------------------------ in a worker

    def _work(self, base_url: str, digest: str, grant: str) -> None:
        path, error = self._path(digest), ""
        part = path.with_suffix(".part")
        try:
            # A file from an earlier start is read again: a disk may have harmed it since.
            if path.exists():
                path.replace(part)
            if not part.exists() or not _is_whole(part, digest):
                self._transfer().fetch(base_url, digest, grant, part, bytes_max=self._bytes_max)
            part.replace(path)
        except (TransferError, OSError) as failure:
            error = str(failure)
        self._loop.post(lambda: self._fetched(digest, error))

    # ------------------------------------------------------------ in the loop

    def _fetched(self, digest: str, error: str) -> None:
        path = self._path(digest)
        waiters = self._waiters.pop(digest, [])
        if not error:
            self._verified.add(digest)
            self._sizes[digest] = path.stat().st_size
            self._sizes.move_to_end(digest)
            for _ in waiters:
                self._pin(digest)
            self._evict()
        for waiter in waiters:
            waiter(None if error else path, error)

    def _pin(self, digest: str) -> None:
        self._pins[digest] = self._pins.get(digest, 0) + 1

    def _evict(self) -> None:
        total = self.size_bytes
        for digest in list(self._sizes):
            if total <= self._bytes_max:
                return
            if digest in self._pins or digest in self._waiters:
                continue
            total -= self._sizes.pop(digest)
            self._verified.discard(digest)
            self._path(digest).unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self._folder / digest.removeprefix("sha256:")

    def _scan(self) -> None:
        found = []
        for path in self._folder.iterdir():
            if path.suffix == ".part":
                path.unlink(missing_ok=True)
            elif re.fullmatch(r"[0-9a-f]{64}", path.name):
                status = path.stat()
                found.append((status.st_mtime, path.name, status.st_size))
        for _, name, size in sorted(found):
            self._sizes[f"sha256:{name}"] = size
        self._evict()


def _is_whole(path: Path, digest: str) -> bool:
    return digest_of(path.read_bytes()) == digest
