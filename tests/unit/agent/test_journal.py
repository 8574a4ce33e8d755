"""The journal: boots grow, messages stay until acknowledged, bounds are kept in the right order."""

import sqlite3
from pathlib import Path

import pytest

from edge_agent import journal as module
from edge_agent.core import MessageKey
from edge_agent.journal import Journal, JournalError
from edge_agent.wire import AttemptReport, AttemptReports, Envelope, decode
from tests.unit.agent.factories import NODE, T0


def envelope(seq: int, *reports: AttemptReport, at: int = T0) -> Envelope:
    return Envelope(node=NODE, boot=1, seq=seq, at=at, data=AttemptReports(reports=reports))


def report(attempt: str, state: str = "succeeded", **changes: object) -> AttemptReport:
    values = {"attempt": attempt, "fence": 1, "state": state, "at": T0}
    return AttemptReport(**values | changes)


def keep(journal: Journal, message: Envelope) -> bytes:
    assert isinstance(message.data, AttemptReports)
    return journal.keep(message, message.data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def test_boot_grows_with_each_start(path: Path) -> None:
    boots = []
    for _ in range(3):
        journal = Journal(path)
        boots.append(journal.next_boot())
        journal.close()
    assert boots == [1, 2, 3]


def test_kept_message_is_there_after_a_start_until_forgotten(path: Path) -> None:
    journal = Journal(path)
    payload = keep(journal, envelope(7, report("a")))
    journal.close()
    journal = Journal(path)
    key = MessageKey(1, 7)
    assert journal.restore().pending == [key]
    assert journal.payloads([key, MessageKey(1, 8)]) == [payload]
    assert decode(payload).seq == 7
    journal.forget([key], [])
    assert journal.restore().pending == []
    assert journal.size()["unacknowledged_bytes"] == 0
    journal.close()


def test_interrupted_attempts_are_those_without_an_end(path: Path) -> None:
    journal = Journal(path)
    keep(journal, envelope(1, report("a", "accepted", fence=3), report("b", "running")))
    keep(journal, envelope(2, report("b")))
    restored = journal.restore()
    assert restored.interrupted == [("a", 3)]
    assert restored.pending == [MessageKey(1, 2)]  # the first says nothing that still holds
    journal.close()


def test_ended_attempts_are_remembered_with_their_report(path: Path) -> None:
    journal = Journal(path)
    ended = report("a", result_base64="eA==", result_digest="sha256:1")
    keep(journal, envelope(1, ended, report("b", "running")))
    journal.forget([MessageKey(1, 1)], [])
    assert journal.ended(["a", "b", "c"]) == {"a": ended}
    journal.forget([], ["a"])
    assert journal.ended(["a"]) == {}
    journal.close()


def test_uncommitted_writes_are_gone_after_a_crash(path: Path) -> None:
    journal = Journal(path)
    journal.begin()
    keep(journal, envelope(1, report("a")))
    journal.close()  # without commit, as the end of the process would
    journal = Journal(path)
    assert journal.restore().pending == []
    journal.close()


def test_trim_drops_status_before_results_and_counts(path: Path) -> None:
    journal = Journal(path, outbox_bytes_max=3_000)
    keep(journal, envelope(1, report("a", log_tail="x" * 1_000)))
    keep(journal, envelope(2, report("b", "running", detail="x" * 1_000)))
    keep(journal, envelope(3, report("c", log_tail="x" * 1_000)))
    assert journal.trim(T0) == [MessageKey(1, 2)]
    keep(journal, envelope(4, report("d", log_tail="x" * 1_000)))
    assert journal.trim(T0) == [MessageKey(1, 1)]  # then the oldest result
    assert journal.dropped == {"status": 1, "result": 1}
    journal.close()


def test_trim_drops_by_age_status_sooner(path: Path) -> None:
    journal = Journal(path)
    keep(journal, envelope(1, report("a", "running")))
    keep(journal, envelope(2, report("b")))
    assert journal.trim(T0 + module.STATUS_AGE_MAX_MS) == []
    assert journal.trim(T0 + module.STATUS_AGE_MAX_MS + 1) == [MessageKey(1, 1)]
    assert journal.trim(T0 + module.RESULT_AGE_MAX_MS + 1) == [MessageKey(1, 2)]
    journal.close()


def test_trim_bounds_the_memory_of_ended_attempts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENDED_ROWS_MAX", 10)
    monkeypatch.setattr(module, "TRIM_EVERY", 1)
    journal = Journal(path)
    for number in range(25):
        keep(journal, envelope(number, report(f"a{number}"), at=T0 + number))
    journal.trim(T0)
    assert set(journal.ended([f"a{n}" for n in range(25)])) == {f"a{n}" for n in range(15, 25)}
    journal.close()


def test_journal_of_a_newer_agent_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="newer agent"):
        Journal(path)


def test_damaged_journal_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(JournalError, match="not a database"):
        Journal(path)
