"""Child processes: started so that they die with us, and known by pid *and* start time.

A pid alone is reused by the kernel; the pair (pid, start time in clock ticks since boot) is not.
All signals to a process that we did not start in this run go through ``ProcessId``, so that nothing
is ever ended by its name or by a stale number.
"""

import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_STAT_STATE = 0  # fields of /proc/<pid>/stat after the command, which may hold spaces
_STAT_PARENT = 1
_STAT_STARTED = 19
POLL_S = 0.02
FREE_PORTS = range(15_000, 32_000)
FREE_PORT_TRIES = 100

_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    """One process, for ever: its pid and when it started (clock ticks since boot)."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        return find_process(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Signal the process if it is still this one; say whether it was."""
        if not self.alive:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


def find_process(pid: int) -> ProcessId | None:
    """The process that has ``pid`` now; None if there is none or it is a zombie."""
    fields = _stat(pid)
    if not fields or fields[_STAT_STATE] in {"Z", "X"}:
        return None
    return ProcessId(pid=pid, started=int(fields[_STAT_STARTED]))


def parent_of(pid: int) -> int | None:
    """The pid of the parent, or None if there is no such process."""
    fields = _stat(pid)
    return int(fields[_STAT_PARENT]) if fields else None


def command_of(pid: int) -> tuple[str, ...]:
    """The command line of ``pid``; empty if there is no such process."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(part.decode(errors="replace") for part in raw.rstrip(b"\0").split(b"\0"))


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: IO[bytes] | int | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start ``argv`` in a process group of its own; it gets ``death_signal`` when we die.

    The signal follows the *thread* that called, so call from one that lives as long as the process.
    """
    parent = os.getpid()

    def prepare() -> None:  # runs between fork and exec: nothing here may allocate much or lock
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # we died before the line above
            os._exit(1)

    return subprocess.Popen(
        list(argv),
        env=dict(env) if env is not None else None,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        start_new_session=True,
        preexec_fn=prepare,
    )


def stop(process: ProcessId, *, number: signal.Signals, grace_s: float) -> bool:
    """Ask ``process`` to end by ``number``, force it after ``grace_s``; True if it ended by asking.

    For a process that is our child, a zombie counts as ended; reaping it is the owner's business.
    """
    if not process.send(number):
        return True
    if wait_until(lambda: not process.alive, timeout_s=grace_s):
        return True
    process.send(signal.SIGKILL)
    wait_until(lambda: not process.alive, timeout_s=5.0)
    return False


def wait_until(condition: Callable[[], bool], *, timeout_s: float, poll_s: float = POLL_S) -> bool:
    """Poll ``condition`` until it holds; False if it does not within ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll_s)
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that was free on ``host`` a moment ago.

    Asking the kernel for any gives one of those that it also gives to outgoing connections, which
    may have it again before a server listens there; so we draw from below that range.
    """
    for port in random.sample(FREE_PORTS, FREE_PORT_TRIES):
        if port_is_free(host, port):
            return port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen on ``port`` of ``host`` now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def accepts_connections(host: str, port: int, *, timeout_s: float = 0.2) -> bool:
    """Whether something listens on ``port`` of ``host``."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()
