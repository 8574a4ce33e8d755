"""What the machine is and how it fares: /proc and /sys, or psutil where the system has neither.

psutil comes second because it costs 5 MB of the agent's memory to read the same files.
"""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

_PROC = Path("/proc")
_SYS = Path("/sys")


@cache
def _psutil() -> ModuleType | None:
    try:
        import psutil
    except ImportError:
        return None
    return psutil  # type: ignore[no-any-return]


def _from_psutil(name: str) -> Any:
    """What ``psutil.<name>()`` says, where there is no /sys to read; None without it."""
    psutil = None if _SYS.is_dir() else _psutil()
    return getattr(psutil, name)() if hasattr(psutil, name) else None


def cpu_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_total_bytes() -> int:
    """Physical memory, or the container's limit where that is less."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read_int(_SYS / "fs/cgroup/memory.max")
    return min(physical, limit) if limit else physical


def memory_available_bytes() -> int | None:
    """Memory that can be had without swapping; None where the system does not say."""
    for line in _read(_PROC / "meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    psutil = _psutil()
    return int(psutil.virtual_memory().available) if psutil is not None else None


def disk_free_bytes(path: Path) -> int:
    """Free space where ``path`` lies."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def load_1m_milli() -> int:
    """The run queue's mean over a minute, in thousandths."""
    return round(os.getloadavg()[0] * 1000)


def battery() -> tuple[int | None, bool]:
    """``(percent, on_battery)``; percent is None where there is no battery."""
    for supply in _entries(_SYS / "class/power_supply"):
        if _read(supply / "type").strip() == "Battery":
            percent = _read_int(supply / "capacity")
            return percent, _read(supply / "status").strip() == "Discharging"
    found = _from_psutil("sensors_battery")
    return (None, False) if found is None else (round(found.percent), not found.power_plugged)


def temperature_millicelsius() -> int | None:
    """The hottest thermal zone; None where the system shows none."""
    zones = [_read_int(zone / "temp") for zone in _entries(_SYS / "class/thermal", "thermal_zone")]
    if not zones and (found := _from_psutil("sensors_temperatures")):
        zones = [round(each.current * 1000) for group in found.values() for each in group]
    return max((zone for zone in zones if zone is not None), default=None)


def process_rss_bytes() -> int:
    """Resident memory of this process."""
    fields = _read(_PROC / "self/statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else 0


def arch() -> str:
    """The machine's name as in uname."""
    return platform.machine()


def os_name() -> str:
    """Kernel and its release."""
    return f"{platform.system()} {platform.release()}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _read_int(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.lstrip("-").isdigit() else None


def _entries(folder: Path, prefix: str = "") -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.name.startswith(prefix))
    except OSError:
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingDescription:
    """One telemetry value: its key (unit last) and how to read it; None means not here."""

    key: str
    unit: str
    read: Callable[[], float | None]


READINGS: tuple[ReadingDescription, ...] = (
    ReadingDescription(key="load_1m", unit="1", read=lambda: load_1m_milli() / 1000),
    ReadingDescription(key="memory_available_bytes", unit="B", read=memory_available_bytes),
    ReadingDescription(key="temperature_celsius", unit="°C", read=lambda: _celsius()),
    ReadingDescription(key="battery_percent", unit="%", read=lambda: battery()[0]),
    ReadingDescription(key="agent_rss_bytes", unit="B", read=process_rss_bytes),
    ReadingDescription(key="agent_cpu_seconds", unit="s", read=lambda: sum(os.times()[:4])),
)


def _celsius() -> float | None:
    millis = temperature_millicelsius()
    return None if millis is None else millis / 1000
