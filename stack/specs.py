"""What there is to run: each process as a ``Spec``, and each step between them as a ``Step``."""

import http.client
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

LATE_TOUCH_S = 120.0  # a process this long silent hangs; a loaded machine may well take a minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A process that is to run until the platform stops.

    ``prepare`` makes what the process needs and returns its command line; ``ready(pid)`` is polled
    until it holds; ``alive_file``, if given, must be touched or the process counts as hung.
    """

    name: str
    prepare: Callable[[], Sequence[str]]
    ready: Callable[[int], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 20.0
    alive_file: Path | None = None
    reload: Callable[[int], None] | None = None
    reload_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command that must succeed once before the next stage starts.

    It is left out where ``done()`` says that nothing is left to do.
    """

    name: str
    argv: Sequence[str]
    done: Callable[[], bool] = lambda: False
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stage:
    """Processes started together, then the steps that need them."""

    specs: tuple[Spec, ...] = ()
    steps: tuple[Step | Callable[[], None], ...] = ()


def ready_by_file(path: Path) -> Callable[[int], bool]:
    """Ready when ``path`` exists; the supervisor removes it before each start."""
    return lambda _pid: path.exists()


def hung(spec: Spec, *, started_at: float) -> bool:
    """Whether the process has touched its file in this life and then not for a long time."""
    try:
        touched_at = spec.alive_file.stat().st_mtime if spec.alive_file else None
    except OSError:
        return False
    return touched_at is not None and time.time() - max(touched_at, started_at) > LATE_TOUCH_S


def ready_by_http(url: str) -> Callable[[int], bool]:
    """Ready when ``GET url`` answers 200 within a second."""
    parts = urlsplit(url)

    def ask(_pid: int) -> bool:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=1.0)
        try:
            connection.request("GET", parts.path)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ask
