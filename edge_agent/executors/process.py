"""One child process from the agent's side: start it, speak with it, end it, account for it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edge_agent
from edge_agent.executors.frames import Frame, FrameError, Unpacker, pack
from edge_agent.executors.job import Kind
from edge_agent.loop import Loop

LOG_BYTES_MAX = 1 << 20
_ROOT = str(Path(edge_agent.__file__).resolve().parent.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where children live."""

    compiled: Path
    scratch: Path
    niceness: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a child ended and what it used in all its life."""

    signal: int  # 0: it ended by itself
    code: int
    cpu_us: int
    memory_peak_bytes: int


class ChildProcess:
    """A child and its socket. Callbacks run in the loop's thread."""

    def __init__(
        self,
        kind: Kind,
        place: Workplace,
        loop: Loop,
        *,
        on_frame: Callable[[Frame], None],
        on_exit: Callable[[Exit], None],
    ) -> None:
        self.unpacker = Unpacker()
        self._loop = loop
        self._on_frame, self._on_exit = on_frame, on_exit
        self._outgoing = bytearray()
        self._writing = False
        self._sock, theirs = socket.socketpair()
        try:
            self._process = _spawn(kind, place, theirs)
        except OSError:
            self._sock.close()
            raise
        finally:
            theirs.close()
        self._sock.setblocking(False)
        loop.watch(self._sock, self._on_event)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, header: dict[str, Any], body: bytes = b"") -> None:
        """Queue one frame and send what the socket takes now."""
        self._outgoing += pack(header, body)
        self._write()

    def close(self) -> None:
        """End it now; its exit is reported through the loop."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close_and_wait(self) -> None:
        """End it and wait until it is gone; its exit is reported before this returns."""
        self.close()
        self._reap()

    def _on_event(self) -> None:
        if self._outgoing:
            self._write()
        try:
            data = self._sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._reap()
            return
        try:
            frames = self.unpacker.feed(data)
        except FrameError:
            self.close()
            return
        for frame in frames:
            self._on_frame(frame)

    def _write(self) -> None:
        try:
            sent = self._sock.send(self._outgoing)
            del self._outgoing[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()  # it has gone; the reading side notices and reports
        if bool(self._outgoing) != self._writing:
            self._writing = not self._writing
            self._loop.watch(self._sock, self._on_event, writing=self._writing)

    def _reap(self) -> None:
        if self._process.returncode is not None:
            return
        self._loop.unwatch(self._sock)
        self._sock.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._on_exit(
            Exit(
                signal=max(-self._process.returncode, 0),
                code=max(self._process.returncode, 0),
                cpu_us=round((usage.ru_utime + usage.ru_stime) * 1e6),
                memory_peak_bytes=usage.ru_maxrss * 1024,
            )
        )


def _spawn(kind: Kind, place: Workplace, sock: socket.socket) -> "subprocess.Popen[bytes]":
    arguments = [kind, str(sock.fileno()), str(os.getpid()), str(place.niceness)]
    arguments.append(str(place.compiled.resolve()))
    # Nothing of the agent's environment: it may hold the owner's secrets.
    environment = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "PYTHONPATH": _ROOT,
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    # An empty folder of its own: a model may name files beside itself, and finds none.
    void = place.scratch / "void"
    void.mkdir(mode=0o700, exist_ok=True)
    log = place.scratch / "children.log"
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    handle = os.open(log, flags, 0o600)
    try:
        if os.fstat(handle).st_size > LOG_BYTES_MAX:
            os.ftruncate(handle, 0)
        return subprocess.Popen(
            [sys.executable, "-s", "-m", "edge_agent.executors.child", *arguments],
            env=environment,
            cwd=void,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            pass_fds=[sock.fileno()],
            start_new_session=True,
        )
    finally:
        os.close(handle)
