"""The logs of all processes as one: merged by time, followed as they grow."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from pathlib import Path

TAIL_BYTES_MAX = 1 << 20
FOLLOW_EVERY_S = 0.2
_LEADING_EPOCH = re.compile(r"(\d{10}): ")  # mosquitto, before it has read its configuration
_LEADING_TIME = re.compile(
    r"\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)([.,]\d+)?(Z| UTC|[+-]\d\d:?\d\d)?"
)


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One line of one process; ``at`` is in seconds since the epoch (the last one's if unknown)."""

    at: float
    process: str
    text: str


def read_tail(path: Path, process: str, *, lines: int) -> list[Line]:
    """The last lines of one log, with their times made to grow."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES_MAX))
            texts = file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
    return list(_timed(texts, process, since=0.0))


def merged(paths: Sequence[Path], *, lines: int) -> list[Line]:
    """The last lines of all logs in the order of time."""
    each = [read_tail(path, path.stem, lines=lines) for path in paths]
    return list(merge(*each, key=lambda line: line.at))[-lines:]


def follow(paths: Sequence[Path], *, pause: Callable[[float], None] = time.sleep) -> Iterator[Line]:
    """Lines as they are written, from now on; a log that was cut is read from its start."""
    positions = {path: _size(path) for path in paths}
    while True:
        fresh: list[Line] = []
        for path in paths:
            if _size(path) < positions[path]:
                positions[path] = 0
            texts, positions[path] = _read_from(path, positions[path])
            fresh += _timed(texts, path.stem, since=time.time())
        yield from sorted(fresh, key=lambda line: line.at)
        pause(FOLLOW_EVERY_S)


def time_of(text: str) -> float | None:
    """When a line was written, by its ``timestamp`` field or its leading date, else None."""
    if text.startswith("{"):
        try:
            text = str(json.loads(text)["timestamp"])
        except (ValueError, KeyError, TypeError):
            return None
    if epoch := _LEADING_EPOCH.match(text):
        return float(epoch.group(1))
    found = _LEADING_TIME.match(text)
    if found is None:
        return None
    date, fraction, zone = found.groups()
    zone = "+00:00" if zone is None or zone in {"Z", " UTC"} else zone
    whole = datetime.fromisoformat(date.replace(" ", "T") + zone).astimezone(UTC).timestamp()
    return whole + (float("0." + fraction[1:]) if fraction else 0.0)


def _timed(texts: Iterable[str], process: str, *, since: float) -> Iterator[Line]:
    at = since
    for text in texts:
        at = max(at, time_of(text) or at)
        yield Line(at, process, text)


def _read_from(path: Path, position: int) -> tuple[list[str], int]:
    """Whole lines after ``position``, and where they end."""
    try:
        with path.open("rb") as file:
            file.seek(position)
            data = file.read(TAIL_BYTES_MAX)
    except OSError:
        return [], position
    whole = data[: data.rfind(b"\n") + 1]
    return whole.decode(errors="replace").splitlines(), position + len(whole)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
