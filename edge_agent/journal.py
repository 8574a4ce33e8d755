"""The SQLite journal: what must survive the agent's end, bounded in bytes and age.

It holds the boot counter, the reports that the control plane has not acknowledged, and the last
report of each attempt, so that a repeated order is answered and not run again. WAL with
``synchronous=NORMAL`` survives a crash of the process whole; after a loss of power the last
moments may be missing, which the control plane repairs by sending the order again.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from edge_agent.core.model import MessageKey, Restored
from edge_agent.wire import AttemptReport, AttemptReports, Envelope, WireError, decode, encode

SCHEMA_VERSION = 1
OUTBOX_BYTES_MAX = 64 << 20
STATUS_AGE_MAX_MS = 3_600_000
RESULT_AGE_MAX_MS = 14 * 24 * 3_600_000
ENDED_AGE_MAX_MS = 24 * 3_600_000
ENDED_ROWS_MAX = 20_000
ENDED_BYTES_MAX = 64 << 20
TRIM_EVERY = 1_000  # attempts kept between two looks at the bounds on ended ones

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    boot INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
    is_result INTEGER NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (boot, seq));
CREATE TABLE IF NOT EXISTS attempts (
    attempt TEXT PRIMARY KEY, fence INTEGER NOT NULL, at INTEGER NOT NULL,
    bytes INTEGER NOT NULL, report BLOB);
CREATE INDEX IF NOT EXISTS attempts_at ON attempts (at);
"""
_ENDS = ("succeeded", "failed", "cancelled")


class JournalError(Exception):
    """The journal cannot be opened or written: nothing may be promised to the control plane."""


class Journal:
    """One agent's journal in ``path``; used by one thread."""

    def __init__(self, path: Path, *, outbox_bytes_max: int = OUTBOX_BYTES_MAX) -> None:
        self.dropped: dict[str, int] = {}
        self._outbox_bytes_max = outbox_bytes_max
        self._kept_since_trim = TRIM_EVERY
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("PRAGMA busy_timeout=5000")
            self._db.execute("PRAGMA cache_size=-1024")
            self._db.executescript(_SCHEMA)
            self._check_version()
        except sqlite3.Error as error:
            raise JournalError(f"{path}: {error}") from error

    def close(self) -> None:
        """Fold the log into the file and close it."""
        self._db.close()

    def begin(self) -> None:
        """Start gathering writes."""
        self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make what was written since ``begin`` hold."""
        self._db.execute("COMMIT")

    def next_boot(self) -> int:
        """Count this start; on disk before it is used, or two starts might share a number."""
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "INSERT INTO meta VALUES ('boot', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1"
        )
        self._db.execute("PRAGMA synchronous=NORMAL")
        (boot,) = self._db.execute("SELECT value FROM meta WHERE key = 'boot'").fetchone()
        return int(boot)

    def restore(self) -> Restored:
        """What earlier starts left: unacknowledged results, attempts that had not ended.

        Messages without an end in them are dropped: what they say runs has ended with that start.
        """
        self._db.execute("DELETE FROM outbox WHERE is_result = 0")
        pending = self._db.execute("SELECT boot, seq FROM outbox ORDER BY boot, seq").fetchall()
        live = self._db.execute("SELECT attempt, fence FROM attempts WHERE report IS NULL")
        return Restored(
            pending=[MessageKey(boot, seq) for boot, seq in pending], interrupted=live.fetchall()
        )

    def keep(self, envelope: Envelope, reports: AttemptReports) -> bytes:
        """Store a message until it is acknowledged; returns its payload."""
        payload = encode(envelope)
        self._kept_since_trim += len(reports.reports)
        is_result = any(report.state in _ENDS for report in reports.reports)
        self._db.execute(
            "INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?)",
            (envelope.boot, envelope.seq, envelope.at, is_result, payload),
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?)",
            [_attempt_row(report, envelope) for report in reports.reports],
        )
        return payload

    def payloads(self, keys: Sequence[MessageKey]) -> list[bytes]:
        """The stored messages of ``keys``, those that are still there, in order."""
        found = []
        for key in keys:
            row = self._db.execute(
                "SELECT payload FROM outbox WHERE boot = ? AND seq = ?", key
            ).fetchone()
            if row is not None:
                found.append(bytes(row[0]))
        return found

    def forget(self, keys: Iterable[MessageKey], attempts: Iterable[str]) -> None:
        """Drop acknowledged messages, and attempts that belong to another node by now."""
        self._db.executemany("DELETE FROM outbox WHERE boot = ? AND seq = ?", keys)
        self._db.executemany("DELETE FROM attempts WHERE attempt = ?", [(a,) for a in attempts])

    def ended(self, attempts: Sequence[str]) -> dict[str, AttemptReport]:
        """The last report of each of ``attempts`` that has ended here."""
        found = {}
        for attempt in attempts:
            row = self._db.execute(
                "SELECT report FROM attempts WHERE attempt = ? AND report IS NOT NULL", (attempt,)
            ).fetchone()
            if row is not None and (report := _report_of(bytes(row[0]))) is not None:
                found[attempt] = report
        return found

    def trim(self, now: int) -> list[MessageKey]:
        """Enforce the bounds, status before results; returns the messages that were given up."""
        given_up = self._expired(now) + self._over_bytes()
        self._db.executemany("DELETE FROM outbox WHERE boot = ? AND seq = ?", given_up)
        if self._kept_since_trim >= TRIM_EVERY:
            self._kept_since_trim = 0
            self._trim_ended(now)
        return given_up

    def size(self) -> dict[str, int]:
        """How much waits for acknowledgement and how many attempts are remembered."""
        count, size = self._db.execute(
            "SELECT count(*), coalesce(sum(length(payload)), 0) FROM outbox"
        ).fetchone()
        (attempts,) = self._db.execute("SELECT count(*) FROM attempts").fetchone()
        return {"unacknowledged": count, "unacknowledged_bytes": size, "attempts": attempts}

    def _check_version(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise sqlite3.DatabaseError(
                f"written by a newer agent (version {version}, this one knows {SCHEMA_VERSION})"
            )
        self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _expired(self, now: int) -> list[MessageKey]:
        rows = self._db.execute(
            "SELECT boot, seq, is_result FROM outbox WHERE at < CASE is_result"
            " WHEN 1 THEN ? ELSE ? END",
            (now - RESULT_AGE_MAX_MS, now - STATUS_AGE_MAX_MS),
        ).fetchall()
        return self._count_dropped(rows)

    def _over_bytes(self) -> list[MessageKey]:
        total = self.size()["unacknowledged_bytes"]
        if total <= self._outbox_bytes_max:
            return []
        rows = []
        with closing(
            self._db.execute(
                "SELECT boot, seq, is_result, length(payload) FROM outbox"
                " ORDER BY is_result, boot, seq"
            )
        ) as cursor:
            for boot, seq, is_result, size in cursor:
                if total <= self._outbox_bytes_max:
                    break
                rows.append((boot, seq, is_result))
                total -= size
        return self._count_dropped(rows)

    def _count_dropped(self, rows: Sequence[tuple[int, int, int]]) -> list[MessageKey]:
        for _, _, is_result in rows:
            name = "result" if is_result else "status"
            self.dropped[name] = self.dropped.get(name, 0) + 1
        return [MessageKey(boot, seq) for boot, seq, _ in rows]

    def _trim_ended(self, now: int) -> None:
        self._db.execute(
            "DELETE FROM attempts WHERE report IS NOT NULL AND at < ?", (now - ENDED_AGE_MAX_MS,)
        )
        self._db.execute(
            "DELETE FROM attempts WHERE report IS NOT NULL AND rowid NOT IN (SELECT rowid FROM ("
            " SELECT rowid, row_number() OVER newest AS place, sum(bytes) OVER newest AS total"
            " FROM attempts WINDOW newest AS (ORDER BY at DESC, rowid DESC)"
            ") WHERE place <= ? AND total <= ?)",
            (ENDED_ROWS_MAX, ENDED_BYTES_MAX),
        )


def _attempt_row(report: AttemptReport, envelope: Envelope) -> tuple[str, int, int, int, object]:
    if report.state not in _ENDS:
        return report.attempt, report.fence, envelope.at, 0, None
    alone = AttemptReports(reports=(report,))
    blob = encode(Envelope(node=envelope.node, boot=0, seq=0, at=envelope.at, data=alone))
    return report.attempt, report.fence, envelope.at, len(blob), blob


def _report_of(blob: bytes) -> AttemptReport | None:
    try:
        message = decode(blob).data
    except WireError:
        return None  # written by another version: the order will be refused or run anew
    return message.reports[0] if isinstance(message, AttemptReports) else None
