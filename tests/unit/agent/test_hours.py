"""The owner's hours: which window counts at a moment, past midnight, on which days."""

from datetime import UTC, datetime

import pytest

from edge_agent.hours import Opening, opening, parse_window


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


# 2024-01-01 was a Monday.
CASES: list[tuple[list[str], str, bool, str, str]] = [
    (["08:00-12:00"], "2024-01-01 09:00", True, "2024-01-01 08:00", "2024-01-01 12:00"),
    (["08:00-12:00"], "2024-01-01 08:00", True, "2024-01-01 08:00", "2024-01-01 12:00"),
    (["08:00-12:00"], "2024-01-01 12:00", False, "2024-01-02 08:00", "2024-01-02 12:00"),
    (["20:00-06:00"], "2024-01-01 23:00", True, "2024-01-01 20:00", "2024-01-02 06:00"),
    (["20:00-06:00"], "2024-01-01 05:59", True, "2023-12-31 20:00", "2024-01-01 06:00"),
    (["mon-fri 20:00-06:00"], "2024-01-06 05:00", True, "2024-01-05 20:00", "2024-01-06 06:00"),
    (["mon-fri 20:00-06:00"], "2024-01-06 21:00", False, "2024-01-08 20:00", "2024-01-09 06:00"),
    (["sat-sun 00:00-24:00"], "2024-01-07 12:00", True, "2024-01-06 00:00", "2024-01-08 00:00"),
    (["sun-mon 10:00-11:00"], "2024-01-01 10:30", True, "2024-01-01 10:00", "2024-01-01 11:00"),
    (["wed 10:00-11:00"], "2024-01-03 11:30", False, "2024-01-10 10:00", "2024-01-10 11:00"),
    (["08:00-12:00", "11:00-15:00"], "2024-01-01 11:30", True, "2024-01-01 08:00",
     "2024-01-01 15:00"),
]  # fmt: skip


@pytest.mark.parametrize(("windows", "now", "is_open", "opens", "closes"), CASES)
def test_opening(windows: list[str], now: str, is_open: bool, opens: str, closes: str) -> None:
    found = opening([parse_window(text) for text in windows], at(now), UTC)
    assert found == Opening(open_now=is_open, opens_at=at(opens), closes_at=at(closes))


def test_no_windows_is_always_open() -> None:
    assert opening([], 0) == Opening(open_now=True)
