"""What the running agent tells about itself: a small file that ``souk-agent status`` reads."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The agent at one moment; ``at`` in Unix milliseconds."""

    node: str
    boot: int
    running: bool
    connected: bool
    link_error: str
    certificate_expires_at: str
    attempts: int
    children: int
    unacknowledged: int
    draining: bool
    cache_bytes: int
    at: int
    counters: dict[str, int] = field(default_factory=dict)


def write(path: Path, picture: Picture) -> None:
    """Replace the file in one step; a full disk does not stop the agent."""
    temporary = path.with_suffix(".new")
    try:
        temporary.write_text(json.dumps(asdict(picture)), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)


def read(path: Path) -> Picture | None:
    """The last picture; None when there is none that can be read."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Picture(**{f.name: raw[f.name] for f in fields(Picture)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def describe(picture: Picture, *, pid: int | None, now: int) -> str:
    """The picture as lines for people."""
    if picture.connected and pid is not None:
        link = "connected"
    else:
        link = f"not connected{f' ({picture.link_error})' if picture.link_error else ''}"
    lines = {
        "node": f"{picture.node} (boot {picture.boot})",
        "process": f"running, pid {pid}" if pid is not None else "not running",
        "link": link,
        "work": f"{picture.attempts} attempts in hand, {picture.children} warm processes"
        + (", draining" if picture.draining else ""),
        "unacknowledged": f"{picture.unacknowledged} messages",
        "certificate": f"good until {picture.certificate_expires_at}",
        "cache": f"{picture.cache_bytes / 2**20:.1f} MiB of artifacts",
        "seen": f"{max(now - picture.at, 0) / 1000:.0f} s ago",
    }
    lines |= {f"  {name}": str(count) for name, count in sorted(picture.counters.items())}
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())
