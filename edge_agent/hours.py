"""The owner's hours: weekly windows in local time, and when the next one opens or closes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))? )?(\d\d):(\d\d)-(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """``[start, end)`` in minutes of the day, on these weekdays; past midnight if end <= start."""

    days: frozenset[int]  # Monday is 0; the day on which the window opens
    start_minute: int
    end_minute: int


def parse_window(text: str) -> Window:
    """A window from ``"mon-fri 20:00-06:00"``, ``"sat 00:00-24:00"`` or ``"22:00-05:30"``.

    Raises:
        ValueError: not of that form; the text says what is expected.
    """
    match = _WINDOW.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is not of the form 'mon-fri 20:00-06:00' or '20:00-06:00'")
    first, last, *clock = match.groups()
    if any(day is not None and day not in DAYS for day in (first, last)):
        raise ValueError(f"{text!r}: the days are {', '.join(DAYS)}")
    start_hour, start_minute, end_hour, end_minute = map(int, clock)
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if start_hour > 23 or start_minute > 59 or end_minute > 59 or end > 24 * 60:
        raise ValueError(f"{text!r}: hours run from 00:00 to 24:00")
    return Window(days=_days(first, last), start_minute=start, end_minute=end)


def _days(first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return frozenset(range(7))
    start = DAYS.index(first)
    length = (DAYS.index(last) - start) % 7 if last else 0
    return frozenset((start + step) % 7 for step in range(length + 1))


def spans(
    windows: Sequence[Window], around: datetime, zone: tzinfo | None
) -> list[tuple[int, int]]:
    """``(opens, closes)`` in Unix milliseconds from yesterday to a week ahead, merged, in order."""
    local = around.astimezone(zone)
    found = []
    for offset in range(-1, 9):
        day = local.date() + timedelta(days=offset)
        for window in windows:
            if day.weekday() in window.days:
                overnight = window.end_minute <= window.start_minute
                opens = _at(day.isoformat(), window.start_minute, local)
                closes = _at(day.isoformat(), window.end_minute + 24 * 60 * overnight, local)
                found.append((opens, closes))
    return _merged(sorted(found))


def _at(day: str, minute: int, local: datetime) -> int:
    midnight = datetime.fromisoformat(day).replace(tzinfo=local.tzinfo)
    return round((midnight + timedelta(minutes=minute)).timestamp() * 1000)


def _merged(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for opens, closes in found:
        if merged and opens <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(closes, merged[-1][1]))
        else:
            merged.append((opens, closes))
    return merged


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Whether it is open at a moment, and the window that counts: this one, or the next."""

    open_now: bool
    opens_at: int = 0  # Unix milliseconds; 0: always open
    closes_at: int = 0


def opening(windows: Sequence[Window], now: int, zone: tzinfo | None = None) -> Opening:
    """The state of the owner's hours at ``now``; no windows means always open."""
    if not windows:
        return Opening(open_now=True)
    around = datetime.fromtimestamp(now / 1000).astimezone(zone)
    for opens, closes in spans(windows, around, zone):
        if now < closes:
            return Opening(open_now=opens <= now, opens_at=opens, closes_at=closes)
    return Opening(open_now=False)
