"""What buying without a round reads and writes: late jobs, their leases, demands."""

# ruff: noqa: S608 - the only names put into statements are those of this module's own text

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.control.spending import SPENT

JOBS_MAX = 200  # looked at in one go
RUNS_MEASURED = 20  # ended attempts of which the mean run time is taken
LIVE = "('assigned', 'accepted', 'running', 'unknown')"
# As in placing: spent is what is owed by now, each the most that one more task may cost.
MONEY = f"""
    {SPENT} AS spent,
    greatest(1, ceil((SELECT d.limit_micros_per_hour FROM demands d WHERE d.job_id = j.id)::numeric
        * coalesce((j.spec->'limits'->>'max_run_ms')::bigint, 0) / 3600000)) AS each,
    (SELECT count(*) FROM attempts a WHERE a.job_id = j.id AND a.state IN {LIVE}) AS live
"""


class LateJob(NamedTuple):
    """A running job that may top up, and how far it is."""

    id: str
    account_id: str
    qos: dict[str, Any]
    created_at: datetime
    home_latitude: float | None
    home_longitude: float | None
    home_cell: str
    waiting: int
    live: int
    task_ms: float
    affordable: int


class HeldLease(NamedTuple):
    """An active lease of such a job, with what its node is now."""

    job_id: str
    slots: int
    online: bool
    ops_per_s: int
    reliability_good: float
    reliability_all: float
    cell: str
    latitude: float | None
    longitude: float | None


class Before(NamedTuple):
    """A demand as it was before a purchase."""

    demand: str
    job_id: str
    account_id: str
    cell: str
    count_open: int
    cell_only: bool


_MEAN = f"""
    coalesce((SELECT avg(r.wall_ms) FROM (SELECT a.wall_ms FROM attempts a
        WHERE a.job_id = j.id AND a.state = 'succeeded'
        ORDER BY a.ended_at DESC LIMIT {RUNS_MEASURED}) r), 0)::float8
"""
_LATE = text(f"""
    WITH held AS (
        SELECT j.*, {MONEY} FROM jobs j
        WHERE (CAST(:only AS text[]) IS NULL OR j.id = ANY(:only))
            AND j.state = 'running' AND j.cancel_requested_at IS NULL AND j.expires_at > :now
            AND (j.spec->'qos'->>'top_up')::boolean
            AND EXISTS (SELECT FROM tasks t WHERE t.job_id = j.id AND t.state = 'queued')
        ORDER BY j.id LIMIT :most
    )
    SELECT j.id, j.account_id, j.spec->'qos', j.created_at, c.latitude, c.longitude, c.id,
        (SELECT count(*) FROM tasks t WHERE t.job_id = j.id AND t.state = 'queued'), j.live,
        {_MEAN}, greatest(0, floor((j.hold_micros - j.spent) / j.each) - j.live)::bigint
    FROM held j JOIN demands d ON d.job_id = j.id JOIN cells c ON c.id = d.home_cell_id
    ORDER BY j.id
""")
_HELD = text("""
    SELECT l.job_id, l.slots, n.state = 'online', n.calibration_ops_per_s, n.reliability_good,
        n.reliability_all, c.id, c.latitude, c.longitude
    FROM leases l JOIN nodes n ON n.id = l.node_id JOIN cells c ON c.id = n.cell_id
    WHERE l.job_id = ANY(:jobs) AND l.state = 'active' AND l.ends_at > :now
    ORDER BY l.id
""")
_OPEN = text("""
    WITH held AS (
        SELECT j.id AS job_id, d.id, d.count_open FROM jobs j JOIN demands d ON d.job_id = j.id
        WHERE j.id = :job AND j.state IN ('matched', 'running') AND d.state IN ('open', 'filled')
            AND j.cancel_requested_at IS NULL AND j.expires_at > :now
        FOR NO KEY UPDATE
    )
    UPDATE demands d SET state = 'open', count_open = :slots
    FROM held WHERE d.id = held.id
    RETURNING d.id, d.job_id, d.account_id, d.cell_id, held.count_open,
        coalesce((d.needs->'constraints'->>'cell_only')::boolean, false)
""")
_CLOSE = text("""
    UPDATE demands SET count_open = :count, state = CASE WHEN :count > 0 THEN 'open'
        ELSE 'filled' END
    WHERE id = :demand
""")
_CELLS_NEAR = text("""
    SELECT c.id, c.latitude, c.longitude FROM cells c
    WHERE EXISTS (SELECT FROM nodes n WHERE n.cell_id = c.id AND n.state = 'online') ORDER BY c.id
""")


def late_jobs(session: Session, *, only: list[str] | None, now: datetime) -> list[LateJob]:
    """Running jobs (of ``only``) that may top up and have tasks that wait."""
    rows = session.execute(_LATE, {"only": only, "now": now, "most": JOBS_MAX})
    return [LateJob._make(row) for row in rows]


def held_leases(session: Session, jobs: Collection[str], *, now: datetime) -> list[HeldLease]:
    """Active leases of ``jobs``."""
    if not jobs:
        return []
    rows = session.execute(_HELD, {"jobs": sorted(jobs), "now": now})
    return [HeldLease._make(row) for row in rows]


def open_for(session: Session, job: str, *, slots: int, now: datetime) -> Before | None:
    """Lock a live job, let its demand ask for exactly ``slots``; the demand as it was before."""
    row = session.execute(_OPEN, {"job": job, "slots": slots, "now": now}).first()
    return None if row is None else Before._make(row)


def close_after(session: Session, before: Before, *, bought: int) -> None:
    """Let the demand ask for what it asked for before, less what was bought."""
    values = {"demand": before.demand, "count": max(0, before.count_open - bought)}
    session.execute(_CLOSE, values)


def cells_online(session: Session) -> list[tuple[str, float | None, float | None]]:
    """(id, latitude, longitude) of the cells that have a node online."""
    return [(row[0], row[1], row[2]) for row in session.execute(_CELLS_NEAR)]
