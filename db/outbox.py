"""Commands to nodes: written with their cause, sent again until the node has shown it has them."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.engine import dump_json

TAKE_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCommand:
    """``type`` and ``data`` are those of a message of the wire: cancel, config, drain, rebirth."""

    node_id: str
    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command that is due; ``tries`` counts this one."""

    id: int
    node_id: str
    type: str
    data: Mapping[str, Any]
    tries: int
    created_at: dt.datetime


_ADD = text("""
    WITH added AS (
        INSERT INTO outbox (node_id, type, data, created_at)
        SELECT c.node_id, c.type, CAST(c.data AS jsonb), :now
        FROM unnest(CAST(:node_id AS text[]), CAST(:type AS text[]), CAST(:data AS text[]))
            WITH ORDINALITY AS c (node_id, type, data, place)
        ORDER BY c.place
        RETURNING id
    ), hint AS (
        SELECT pg_notify('souk_outbox', node_id)
        FROM (SELECT DISTINCT unnest(CAST(:node_id AS text[])) AS node_id) n
    )
    SELECT id, (SELECT count(*) FROM hint) FROM added ORDER BY id
""")
_TAKE = text("""
    UPDATE outbox o SET sent_at = :now, tries = o.tries + 1
    FROM (
        SELECT id FROM outbox
        WHERE done_at IS NULL AND (sent_at IS NULL OR sent_at <= :resend_before)
        ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
    ) due
    WHERE o.id = due.id
    RETURNING o.id, o.node_id, o.type, o.data, o.tries, o.created_at
""")
_DONE = text("UPDATE outbox SET done_at = :now WHERE id = ANY(:ids) AND done_at IS NULL")


def add(session: Session, commands: Sequence[NewCommand], *, now: dt.datetime) -> list[int]:
    """Write ``commands`` in their order and wake the sender at the commit; return their ids."""
    if not commands:
        return []
    rows = session.execute(
        _ADD,
        {
            "now": now,
            "node_id": [command.node_id for command in commands],
            "type": [command.type for command in commands],
            "data": [dump_json(command.data) for command in commands],
        },
    )
    return [row.id for row in rows]


def take_due(
    session: Session, *, now: dt.datetime, resend_after: dt.timedelta, limit: int = TAKE_MAX
) -> list[Command]:
    """Commands never sent, or not since ``resend_after``; marked as sent now, oldest first.

    Rows that another sender has are left to it. Publish after the commit.
    """
    rows: Any = session.execute(
        _TAKE, {"now": now, "resend_before": now - resend_after, "limit": limit}
    )
    taken = [
        Command(
            id=row.id,
            node_id=row.node_id,
            type=row.type,
            data=row.data,
            tries=row.tries,
            created_at=row.created_at,
        )
        for row in rows
    ]
    return sorted(taken, key=lambda command: command.id)


def mark_done(session: Session, ids: Sequence[int], *, now: dt.datetime) -> None:
    """The nodes have shown that they have these."""
    if ids:
        session.execute(_DONE, {"ids": list(ids), "now": now})
