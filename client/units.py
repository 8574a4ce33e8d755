"""Quantities as people write them (``0.5`` cores, ``128MiB``, ``0.05`` credits) and as they travel.

Everything on the wire is an integer in a base unit; a value that does not come out whole is refused
rather than rounded, so that nobody pays for a digit that was dropped.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

MICROS_PER_CREDIT = 1_000_000
MILLIS_PER_CORE = 1_000

_BYTE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
    "k": 1 << 10,
    "m": 1 << 20,
    "g": 1 << 30,
    "t": 1 << 40,
}
_SECONDS = {
    "ms": Decimal("0.001"),
    "": Decimal(1),
    "s": Decimal(1),
    "m": Decimal(60),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_QUANTITY = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*$")


def parse_credits(text: str) -> int:
    """Credits to micros: ``"0.05"`` → 50_000. Raises ``ValueError``."""
    return _whole(_decimal(text, "credits"), MICROS_PER_CREDIT, text, "a millionth of a credit")


def parse_cores(text: str) -> int:
    """Cores to millicores: ``"0.5"`` → 500, ``"250m"`` → 250. Raises ``ValueError``."""
    if text.strip().endswith("m"):
        return _whole(_decimal(text.strip()[:-1], "millicores"), 1, text, "a thousandth of a core")
    return _whole(_decimal(text, "cores"), MILLIS_PER_CORE, text, "a thousandth of a core")


def parse_bytes(text: str) -> int:
    """A size to bytes: ``"128MiB"``, ``"1G"`` (= GiB), ``"5MB"`` (= 10⁶). Raises ``ValueError``."""
    match = _QUANTITY.match(text)
    if match is None or match[2].lower() not in _BYTE_UNITS:
        raise ValueError(f"{text!r} is not a size; write for example 128MiB or 2GB")
    return _whole(Decimal(match[1]), _BYTE_UNITS[match[2].lower()], text, "a byte")


def parse_duration_s(text: str) -> float:
    """A duration to seconds: ``"90"``, ``"1.5h"``, ``"200ms"``. Raises ``ValueError``."""
    match = _QUANTITY.match(text)
    if match is None or match[2].lower() not in _SECONDS:
        raise ValueError(f"{text!r} is not a duration; write for example 90s, 15m or 2h")
    return float(Decimal(match[1]) * _SECONDS[match[2].lower()])


def format_credits(micros: int | None) -> str:
    """Micros as credits, exact and with at least two decimals: 1_234_500 → ``"1.2345"``."""
    if micros is None:
        return "–"
    whole, rest = divmod(abs(micros), MICROS_PER_CREDIT)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}{whole}.{decimals}"


def format_bytes(size: int | None) -> str:
    """A size in the largest binary unit that keeps it at least 1: ``"1.5 GiB"``."""
    if size is None:
        return "–"
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.4g} {unit}"


def format_resource(name: str, units: int) -> str:
    """A quantity of a traded resource with its unit: ``("cpu_millis", 1500)`` → ``1.5 cores``."""
    if name.endswith("_bytes"):
        return format_bytes(units)
    if name == "cpu_millis":
        return f"{units / MILLIS_PER_CORE:g} core{'' if units == MILLIS_PER_CORE else 's'}"
    if name.endswith("_millis"):
        return f"{units / 1000:g} {name.removesuffix('_millis')}"
    if name == "bandwidth_kbps":
        return f"{units / 1000:g} Mbit/s"
    return f"{units:,} {name}"


def format_ago(at: datetime | None, *, now: datetime | None = None) -> str:
    """How long ago ``at`` was, in its largest unit: ``"12s"``, ``"3m"``, ``"2h"``, ``"5d"``."""
    if at is None:
        return "–"
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    return format_seconds(max(seconds, 0.0))


def format_seconds(seconds: float) -> str:
    """A duration in its largest unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s" if seconds >= 10 else f"{seconds:.1f}s"


def _decimal(text: str, what: str) -> Decimal:
    try:
        value = Decimal(text.strip())
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is not a number of {what}") from error
    if not value.is_finite() or value < 0:
        raise ValueError(f"{text!r} is not a number of {what} of at least 0")
    return value


def _whole(value: Decimal, scale: int, text: str, least: str) -> int:
    scaled = value * scale
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{text!r} is finer than {least}")
    return int(scaled)
