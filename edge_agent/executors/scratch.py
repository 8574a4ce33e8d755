"""Files without a name: a task's standard streams, in memory, gone with the process."""

import os
import tempfile


class Scratch:
    """One such file; ``path`` opens it anew from its beginning."""

    def __init__(self, name: str) -> None:
        if hasattr(os, "memfd_create"):
            self._handle = os.memfd_create(name)
            self.path = f"/proc/self/fd/{self._handle}"
        else:
            self._handle, self.path = tempfile.mkstemp(prefix=name)

    def fill(self, data: bytes) -> None:
        """Make ``data`` the content."""
        os.ftruncate(self._handle, 0)
        view = memoryview(data)
        at = 0
        while at < len(view):
            at += os.pwrite(self._handle, view[at:], at)

    def size(self) -> int:
        """Bytes in it."""
        return os.fstat(self._handle).st_size

    def read(self, start: int = 0) -> bytes:
        """The content from ``start`` on."""
        chunks = []
        while chunk := os.pread(self._handle, 1 << 20, start):
            chunks.append(chunk)
            start += len(chunk)
        return b"".join(chunks)
