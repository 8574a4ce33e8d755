"""What explanations and predictions read beside the snapshot itself."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

STARTS_READ_MAX = 500


class RoundSeen(NamedTuple):
    """A round in which a demand's outcome was noted."""

    id: str
    created_at: datetime
    snapshot: bytes | None
    effort: dict[str, float]
    budget_ms: int


class Won(NamedTuple):
    """A lease that a round made."""

    demand_id: str
    node_id: str
    slots: int
    rate: int
    reserve: int


_LAST_ROUND = text("""
    SELECT r.id, r.created_at, r.snapshot, r.effort, r.budget_ms
    FROM bid_outcomes o JOIN rounds r ON r.id = o.round_id
    WHERE o.demand_id = :demand AND r.snapshot IS NOT NULL
    ORDER BY r.created_at DESC, r.id DESC LIMIT 1
""")
_LAST_ROUNDS = text("""
    SELECT r.id, r.created_at, r.snapshot, r.effort, r.budget_ms FROM rounds r
    WHERE r.cell_id = :cell AND r.snapshot IS NOT NULL AND r.mechanism <> 'nearest'
        AND r.created_at > :since AND r.bid_count <= :bids AND r.ask_count <= :asks
    ORDER BY r.created_at DESC, r.id DESC LIMIT :most
""")
# Leases are made in the transaction of their round, with its time.
_WON = text("""
    SELECT demand_id, node_id, slots, rate_micros_per_hour, reserve_micros_per_hour FROM leases
    WHERE created_at = :at AND round_id = :round
""")
_NAMES = text("SELECT id, name FROM nodes WHERE id = ANY(:ids)")
_STARTS = text("""
    SELECT coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY s.ms), 0),
        coalesce(percentile_cont(0.9) WITHIN GROUP (ORDER BY s.ms), 0)
    FROM (SELECT extract(epoch FROM started_at - created_at) * 1000 AS ms FROM jobs
        WHERE created_at > :since AND started_at IS NOT NULL
        ORDER BY created_at DESC LIMIT :most) s
""")
_ACCOUNT_NAME = text("SELECT name FROM accounts WHERE id = :id")


def last_round(session: Session, demand_id: str) -> RoundSeen | None:
    """The newest round of a demand whose snapshot is kept."""
    row = session.execute(_LAST_ROUND, {"demand": demand_id}).first()
    return None if row is None else RoundSeen._make(row)


def last_rounds(
    session: Session, cell: str, *, since: datetime, most: int, bids_max: int, asks_max: int
) -> list[RoundSeen]:
    """The newest rounds of a cell whose snapshots are kept, no larger than said; no purchases."""
    values = {"cell": cell, "since": since, "most": most, "bids": bids_max, "asks": asks_max}
    return [RoundSeen._make(row) for row in session.execute(_LAST_ROUNDS, values)]


def won_in(session: Session, seen: RoundSeen) -> list[Won]:
    """The leases that a round made."""
    rows = session.execute(_WON, {"at": seen.created_at, "round": seen.id})
    return [Won._make(row) for row in rows]


def node_names(session: Session, ids: list[str]) -> dict[str, str]:
    """Name by node id."""
    return {row[0]: row[1] for row in session.execute(_NAMES, {"ids": ids})}


def start_times(session: Session, *, since: datetime) -> tuple[float, float]:
    """Median and 90th percentile of milliseconds from submission to start; 0 if none started."""
    row = session.execute(_STARTS, {"since": since, "most": STARTS_READ_MAX}).one()
    return float(row[0]), float(row[1])


def account_name(session: Session, account_id: str) -> str | None:
    """The account's name; None if there is none."""
    return session.execute(_ACCOUNT_NAME, {"id": account_id}).scalar_one_or_none()
