"""Logs of several processes as one."""

from pathlib import Path

import pytest

from stack.logs import follow, merged, time_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ('{"timestamp": "2026-01-02T03:04:05.250Z", "event": "x"}', 1767323045.25),
        ("2026-01-02 03:04:05.250 UTC [12] LOG:  ready", 1767323045.25),
        ("2026-01-02T03:04:05Z: mosquitto starting", 1767323045.0),
        ("[2026-01-02 03:04:05,250: INFO/MainProcess] celery", 1767323045.25),
        ("2026-01-02T04:04:05+01:00 x", 1767323045.0),
        ("1767323045: mosquitto version 2.0.11 starting", 1767323045.0),
        ("Traceback (most recent call last):", None),
        ('{"event": "no time"}', None),
        ('{"timestamp": 5}', None),
        ("{broken", None),
        ("", None),
    ],
)
def test_time_of_a_line(text: str, seconds: float | None) -> None:
    assert time_of(text) == seconds


def test_lines_are_merged_by_time_and_tracebacks_stay_whole(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(
        "2026-01-01T00:00:01Z one\nTraceback\n  deep\n2026-01-01T00:00:04Z four\n"
    )
    (tmp_path / "b.log").write_text("2026-01-01T00:00:02Z two\n")
    lines = merged([tmp_path / "a.log", tmp_path / "b.log"], lines=10)
    assert [line.text.split()[-1] for line in lines] == ["one", "Traceback", "deep", "two", "four"]
    assert lines[3].process == "b"


def test_only_the_last_lines_are_shown(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("".join(f"line {i}\n" for i in range(100)))
    assert [line.text for line in merged([tmp_path / "a.log"], lines=2)] == ["line 98", "line 99"]


def test_missing_log_is_empty(tmp_path: Path) -> None:
    assert merged([tmp_path / "none.log"], lines=5) == []


def test_following_sees_new_whole_lines_and_a_cut_log(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("old\n")
    appends = iter(["new\nhal", "f\n", None])

    def pause(_seconds: float) -> None:
        text = next(appends)
        with log.open("a" if text else "w") as file:
            file.write(text or "x\n")

    following = follow([log], pause=pause)
    assert [next(following).text for _ in range(3)] == ["new", "half", "x"]
