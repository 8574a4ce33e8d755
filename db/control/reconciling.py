"""What the reconciler looks for: each statement finds one kind of thing that time has changed."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

FOUND_MAX = 2_000  # of each kind in one look


class SilentNode(NamedTuple):
    """A node that counts as there and was not heard for long."""

    id: str
    state_reason: str


class DoomedLease(NamedTuple):
    """An active lease that is to end, and its job."""

    id: str
    job_id: str
    node_id: str
    reason: str


class OverdueJob(NamedTuple):
    """A live job whose time is over; ``deadline``: by its QoS and not by its longest total time."""

    id: str
    deadline: bool


class LiveAttempt(NamedTuple):
    """A live attempt on a lease."""

    id: str
    lease_id: str
    node_id: str


_ALONE = text("SELECT pg_try_advisory_xact_lock(CAST(:lock AS int), hashtext(:name))")
_SILENT = text("""
    SELECT id, state_reason FROM nodes
    WHERE state IN ('online', 'draining') AND last_seen_at < :before
    ORDER BY id LIMIT :most
""")
_CUT_OFF = text("""
    SELECT DISTINCT a.job_id FROM attempts a JOIN nodes n ON n.id = a.node_id
    WHERE n.state NOT IN ('online', 'draining')
        AND a.state IN ('assigned', 'accepted', 'running')
    ORDER BY a.job_id LIMIT :most
""")
_UNKNOWN = text("""
    UPDATE attempts a SET state = 'unknown' FROM nodes n
    WHERE a.job_id = ANY(:jobs) AND n.id = a.node_id AND n.state NOT IN ('online', 'draining')
        AND a.state IN ('assigned', 'accepted', 'running')
    RETURNING a.id
""")
# A lease is lost with its node when the node is shut out, or silent for as long as its job bears;
# a draining node keeps what it is at and loses what it has not begun.
_DOOMED = text("""
    SELECT l.id, l.job_id, l.node_id,
        CASE WHEN l.ends_at <= :ended_before THEN 'lease_expired'
            WHEN n.state IN ('quarantined', 'revoked') THEN n.state
            WHEN n.state = 'draining' THEN 'drained' ELSE 'agent_lost' END
    FROM leases l JOIN nodes n ON n.id = l.node_id JOIN jobs j ON j.id = l.job_id
    WHERE l.state = 'active' AND (
        l.ends_at <= :ended_before
        OR n.state IN ('quarantined', 'revoked')
        OR :sure AND n.state = 'offline' AND n.silent_since <= :now - coalesce(
            (j.spec->'disconnect'->>'lost_after_ms')::bigint, :lost_after_ms) * interval '1 ms'
        OR n.state = 'draining' AND NOT EXISTS (SELECT FROM attempts a WHERE a.lease_id = l.id
            AND a.state IN ('assigned', 'accepted', 'running', 'unknown')))
    ORDER BY l.job_id, l.id LIMIT :most
""")
_LIVE_ON = text("""
    SELECT id, lease_id, node_id FROM attempts
    WHERE lease_id = ANY(:leases) AND state IN ('assigned', 'accepted', 'running', 'unknown')
    ORDER BY id
""")
_OVERDUE = text("""
    SELECT id, coalesce((spec->'qos'->>'deadline_ms')::bigint, 0) > 0
        AND (spec->'qos'->>'deadline_ms')::bigint
            <= (spec->'limits'->>'max_total_ms')::bigint
    FROM jobs
    WHERE ended_at IS NULL AND expires_at <= :now
    ORDER BY id LIMIT :most
""")
_CANCELLED = text("""
    SELECT id FROM jobs
    WHERE ended_at IS NULL AND cancel_requested_at IS NOT NULL
    ORDER BY id LIMIT :most
""")
_UNNEEDED = text("""
    SELECT l.id FROM leases l JOIN jobs j ON j.id = l.job_id
    WHERE l.state = 'active' AND j.state = 'running' AND l.starts_at <= :older_than
        AND (:all OR l.id = ANY(:ids))
        AND NOT EXISTS (SELECT FROM attempts a WHERE a.lease_id = l.id
            AND a.state IN ('assigned', 'accepted', 'running', 'unknown'))
        AND NOT EXISTS (SELECT FROM tasks t WHERE t.job_id = l.job_id AND t.state = 'queued')
    ORDER BY l.id LIMIT :most
""")
_LOCK_JOBS_OF = text("""
    SELECT 1 FROM jobs WHERE id IN (SELECT job_id FROM leases WHERE id = ANY(:ids))
    ORDER BY id FOR NO KEY UPDATE
""")
_STRANDED = text("""
    SELECT j.id FROM jobs j
    WHERE j.state = 'matched' AND j.id = ANY(:ids)
        AND NOT EXISTS (SELECT FROM leases l WHERE l.job_id = j.id AND l.state = 'active')
""")
_FINISHED = text("""
    SELECT id, tasks_failed, task_count FROM jobs
    WHERE ended_at IS NULL
        AND tasks_succeeded + tasks_failed >= task_count
    ORDER BY id LIMIT :most
""")
_DUE_CELLS = text("SELECT DISTINCT cell_id FROM demands WHERE state = 'open' AND count_open > 0")
_RESTLESS = text("""
    SELECT DISTINCT s.cell_id FROM standing_prices s
    WHERE s.at < :before AND EXISTS (SELECT FROM nodes n
        WHERE n.cell_id = s.cell_id AND n.state = 'online')
""")


def take_turn(session: Session, name: str, *, lock: int = 0x736F7503) -> bool:
    """Whether this transaction alone may do ``name`` now, of all processes that reconcile."""
    return bool(session.execute(_ALONE, {"lock": lock, "name": name}).scalar_one())


def silent_nodes(session: Session, *, before: datetime) -> list[SilentNode]:
    """Nodes thought to be there that were last heard before ``before``."""
    rows = session.execute(_SILENT, {"before": before, "most": FOUND_MAX})
    return [SilentNode._make(row) for row in rows]


def jobs_cut_off(session: Session) -> list[str]:
    """Jobs with live attempts on nodes that are away."""
    return list(session.execute(_CUT_OFF, {"most": FOUND_MAX}).scalars())


def mark_unknown(session: Session, jobs: Collection[str]) -> int:
    """Attempts of locked ``jobs`` on nodes that are away become unknown; how many."""
    return len(session.execute(_UNKNOWN, {"jobs": sorted(jobs)}).all())


def doomed_leases(
    session: Session, *, now: datetime, ended_before: datetime, lost_after_ms: int, sure: bool
) -> list[DoomedLease]:
    """Active leases that are to end before their job. ``sure``: silence of nodes is theirs."""
    rows = session.execute(
        _DOOMED,
        {
            "now": now,
            "ended_before": ended_before,
            "lost_after_ms": lost_after_ms,
            "sure": sure,
            "most": FOUND_MAX,
        },
    )
    return [DoomedLease._make(row) for row in rows]


def live_attempts_on(session: Session, leases: Collection[str]) -> list[LiveAttempt]:
    """Attempts that live on ``leases``."""
    rows = session.execute(_LIVE_ON, {"leases": sorted(leases)})
    return [LiveAttempt._make(row) for row in rows]


def overdue_jobs(session: Session, *, now: datetime) -> list[OverdueJob]:
    """Live jobs whose time is over."""
    rows = session.execute(_OVERDUE, {"now": now, "most": FOUND_MAX})
    return [OverdueJob._make(row) for row in rows]


def jobs_to_cancel(session: Session) -> list[str]:
    """Live jobs whose end was asked for."""
    return list(session.execute(_CANCELLED, {"most": FOUND_MAX}).scalars())


def unneeded_leases(session: Session, *, older_than: datetime) -> list[str]:
    """Active leases without work, of jobs that have no task left to place; locks these jobs.

    What was seen before the lock is looked at again under it: meanwhile a task may have come back
    and been placed there, and a lease given back under work would sell its slot twice.
    """
    values = {"older_than": older_than, "most": FOUND_MAX}
    seen = list(session.execute(_UNNEEDED, {**values, "all": True, "ids": []}).scalars())
    if not seen:
        return []
    session.execute(_LOCK_JOBS_OF, {"ids": seen})
    return list(session.execute(_UNNEEDED, {**values, "all": False, "ids": seen}).scalars())


def stranded_jobs(session: Session, ids: Collection[str]) -> list[str]:
    """Those of ``ids`` that are matched and have lost every lease."""
    return list(session.execute(_STRANDED, {"ids": sorted(ids)}).scalars())


def finished_jobs(session: Session) -> list[tuple[str, int, int]]:
    """(id, failed, all) of live jobs whose tasks have all ended."""
    rows = session.execute(_FINISHED, {"most": FOUND_MAX})
    return [(row[0], row[1], row[2]) for row in rows]


def cells_with_demand(session: Session) -> list[str]:
    """Cells in whose round some demand stands."""
    return sorted(session.execute(_DUE_CELLS).scalars())


def cells_with_old_prices(session: Session, *, before: datetime) -> list[str]:
    """Cells with a node online whose price has not moved since ``before``."""
    return sorted(session.execute(_RESTLESS, {"before": before}).scalars())
