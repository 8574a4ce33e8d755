"""Figures over everything, each in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from db.tables import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class StartLatency:
    """Submit to start in milliseconds, of jobs that started in the last hour."""

    p50: float | None
    p99: float | None
    count: int


_LATENCY = text("""
    SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY ms) AS points, count(*) AS n
    FROM (
        SELECT extract(epoch FROM started_at - created_at) * 1000 AS ms FROM jobs
        WHERE created_at > now() - interval '1 hour' AND started_at IS NOT NULL
            AND (CAST(:account AS text) IS NULL OR account_id = :account)
    ) started
""")
_BUCKETS = text("""
    SELECT width_bucket(s, CAST(:bounds AS float8[])) AS bucket, count(*) AS n, sum(s) AS total
    FROM (
        SELECT extract(epoch FROM started_at - created_at)::float8 AS s FROM jobs
        WHERE created_at > now() - interval '1 hour' AND started_at IS NOT NULL
    ) started
    GROUP BY 1
""")


def start_latency(session: Session, *, account_id: str | None) -> StartLatency:
    """Percentiles of one account's jobs, or of all."""
    row = session.execute(_LATENCY, {"account": account_id}).one()
    p50, p99 = row.points or (None, None)
    return StartLatency(p50=p50, p99=p99, count=row.n)


def start_histogram(
    session: Session, bounds_s: Sequence[float]
) -> tuple[list[tuple[float, int]], float]:
    """Cumulative counts by upper bound (the last is infinity), and the sum of all, in seconds."""
    counts: dict[int, int] = {}
    total = 0.0
    for row in session.execute(_BUCKETS, {"bounds": list(bounds_s)}):
        counts[row.bucket], total = row.n, total + row.total
    cumulated, so_far = [], 0
    for place, bound in enumerate((*bounds_s, float("inf"))):
        so_far += counts.get(place, 0)
        cumulated.append((bound, so_far))
    return cumulated, total


def nodes_by_state(session: Session) -> Mapping[str, int]:
    """How many nodes are in each state."""
    rows = session.execute(select(Node.state, func.count()).group_by(Node.state))
    return {row[0]: row[1] for row in rows}
