"""What is forgotten, and when: each kind in bounded batches, so that no lock is held for long."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from db import telemetry

BATCH_MAX = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long each kind is kept. The ledger, jobs and the audit log are kept for good."""

    events: dt.timedelta = dt.timedelta(days=7)
    idempotency_keys: dt.timedelta = dt.timedelta(days=1)
    outbox: dt.timedelta = dt.timedelta(days=1)  # after the node had it
    browser_sessions: dt.timedelta = dt.timedelta(days=1)  # after their end
    snapshots: dt.timedelta = dt.timedelta(days=3)  # of rounds
    snapshots_max: int = 20_000  # whatever their age
    rounds: dt.timedelta = dt.timedelta(days=30)  # with the outcomes of their bids
    upper_rounds: dt.timedelta = dt.timedelta(days=30)
    prices: dt.timedelta = dt.timedelta(days=90)
    telemetry: dt.timedelta = dt.timedelta(days=14)


def _delete(table: str, key: str, condition: str) -> str:
    """DELETE of one batch; the names are those of this module alone."""
    return (
        f"DELETE FROM {table} WHERE ({key}) IN"  # noqa: S608
        f" (SELECT {key} FROM {table} WHERE {condition} LIMIT :most FOR UPDATE SKIP LOCKED)"
    )


_STATEMENTS: Mapping[str, str] = {
    "events": _delete("events", "txid, id", "at < :before"),
    "idempotency_keys": _delete("idempotency_keys", "account_id, key", "created_at < :before"),
    # What a node never came back for is forgotten, too, only later.
    "outbox": _delete(
        "outbox", "id", "coalesce(done_at, created_at + interval '30 days') < :before"
    ),
    "browser_sessions": _delete("browser_sessions", "id", "expires_at < :before"),
    "snapshots": (
        "UPDATE rounds SET snapshot = NULL WHERE id IN (SELECT id FROM rounds"
        " WHERE created_at < :before AND snapshot IS NOT NULL LIMIT :most FOR UPDATE SKIP LOCKED)"
    ),
    "surplus_snapshots": (
        "UPDATE rounds SET snapshot = NULL WHERE id IN (SELECT id FROM rounds"
        " WHERE snapshot IS NOT NULL ORDER BY created_at DESC OFFSET :keep LIMIT :most"
        " FOR UPDATE SKIP LOCKED)"
    ),
    "rounds": _delete("rounds", "id", "created_at < :before"),
    "upper_rounds": _delete("upper_rounds", "id", "created_at < :before"),
    "prices": _delete("prices", "round_id, cell_id, resource", "at < :before"),
}


def forget(
    session: Session, *, now: dt.datetime, keep: Retention | None = None, most: int = BATCH_MAX
) -> dict[str, int]:
    """Delete one batch of each kind that is old enough, return how many rows (or days) of each.

    A kind that comes back with ``most`` has more: commit and call again.
    """
    chosen = keep or Retention()
    gone: dict[str, int] = {}
    for kind, statement in _STATEMENTS.items():
        values: dict[str, object] = {"most": most}
        if kind == "surplus_snapshots":
            values["keep"] = chosen.snapshots_max
        else:
            values["before"] = now - getattr(chosen, kind)
        gone[kind] = session.connection().execute(text(statement), values).rowcount
    gone["telemetry_days"] = telemetry.drop_days(session, keep_from=(now - chosen.telemetry).date())
    return gone
