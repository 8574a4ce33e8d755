"""The log of what happened, for those who follow it: appended in bulk, read after a cursor.

Rows of one transaction become visible together, but not in the order of their ids: a reader that
remembers the highest id would miss what commits late. So the order is (writing transaction, id),
and a reader stays under the oldest transaction that is still open. An event may therefore become
readable a moment after its NOTIFY; readers look again after some hundred milliseconds.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.engine import dump_json

READ_MAX = 1_000
_ID_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """Something that happened to ``subject_id``; ``account_id`` None: not for tenants or owners."""

    kind: str
    subject_id: str
    account_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class EventCursor:
    """A place in the log; its text is what SSE calls the event's id."""

    txid: int
    id: int

    def __str__(self) -> str:
        return f"{self.txid}-{self.id}"

    @classmethod
    def parse(cls, cursor: str) -> Self:
        """Raises ``ValueError`` for what ``str`` did not make."""
        txid, _, number = cursor.partition("-")
        if not (txid.isdecimal() and number.isdecimal() and len(cursor) < 40):
            raise ValueError(f"{cursor[:40]!r} is not the id of an event")
        return cls(min(int(txid), _ID_MAX), min(int(number), _ID_MAX))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One event as read."""

    cursor: EventCursor
    at: dt.datetime
    kind: str
    account_id: str | None
    subject_id: str
    data: Mapping[str, Any]


_APPEND = text("""
    WITH added AS (
        INSERT INTO events (at, kind, account_id, subject_id, data)
        SELECT :now, e.kind, e.account_id, e.subject_id, e.data
        FROM ROWS FROM (jsonb_to_recordset(CAST(:events AS jsonb))
                AS (kind text, account_id text, subject_id text, data jsonb))
            WITH ORDINALITY AS e (kind, account_id, subject_id, data, place)
        ORDER BY e.place
    )
    SELECT pg_notify('souk_event', '')
""")
_READ = """
    SELECT txid, id, at, kind, account_id, subject_id, data
    FROM events
    WHERE (txid, id) > (:txid, :id)
        AND txid < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)
        {scope}
    ORDER BY txid, id
    LIMIT :limit
"""
_NOW = text("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)")


def append(session: Session, events: Sequence[NewEvent], *, now: dt.datetime) -> None:
    """Add ``events`` in their order and wake those who follow, once this transaction commits."""
    if not events:
        return
    session.execute(_APPEND, {"now": now, "events": dump_json(events)})


def read_after(
    session: Session,
    cursor: EventCursor,
    *,
    account_id: str | None,
    subject_id: str = "",
    limit: int = READ_MAX,
) -> list[EventRecord]:
    """Events after ``cursor``, oldest first; of one account, or of all for ``account_id`` None.

    In a transaction that has written, its own events are not yet to be seen.
    """
    scope = ""
    if account_id is not None:
        scope += " AND account_id = :account_id"
    if subject_id:
        scope += " AND subject_id = :subject_id"
    rows: Any = session.execute(
        text(_READ.format(scope=scope)),
        {
            "txid": cursor.txid,
            "id": cursor.id,
            "account_id": account_id,
            "subject_id": subject_id,
            "limit": min(limit, READ_MAX),
        },
    )
    return [
        EventRecord(
            cursor=EventCursor(row.txid, row.id),
            at=row.at,
            kind=row.kind,
            account_id=row.account_id,
            subject_id=row.subject_id,
            data=row.data,
        )
        for row in rows
    ]


def present(session: Session) -> EventCursor:
    """The cursor after which nothing is readable yet: where one who asks for no past begins."""
    return EventCursor(session.execute(_NOW).scalar_one() - 1, _ID_MAX)
