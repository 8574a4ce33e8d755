"""What moving running work reads and writes: what runs and may move, and where it went."""

# ruff: noqa: S608 - the only names put into statements are those of this module's own text

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.control.buying import LIVE
from db.control.spending import SPENT

WORKS_MAX = 200  # looked at in one go
RUNS_MEASURED = 20  # ended attempts of which the mean work is taken


class RunningWork(NamedTuple):
    """An attempt that runs and could be tried elsewhere; money in micros, prices per slot-hour."""

    attempt: str
    task_id: str
    task_index: int
    attempts: int  # made of its task so far
    job_id: str
    demand_id: str
    home_cell: str
    lease_id: str
    node_id: str
    started_at: datetime
    work_ms: float  # of the reference core, as measured or as the tenant said; 0 unknown
    max_run_ms: int
    price: int  # the job's limit
    limit: int  # what its demand still bids, at most that
    rate: int
    ops_per_s: int
    bytes_missing: int
    late_at: datetime
    deadline_sold: bool  # late by a deadline, and not by the job's longest total time
    hold: int
    spent: int  # owed by now, without what runs
    tasks_open: int  # of the job, neither succeeded nor failed
    rate_staying: int  # the dearest of the job's leases that stay when this attempt goes; or 0


class NewPlace(NamedTuple):
    """A lease that a purchase made."""

    lease_id: str
    node_id: str
    epoch: int


_MAY_MOVE = """
    a.state = 'running' AND a.started_at IS NOT NULL AND l.state = 'active'
    AND (CAST(:only AS text[]) IS NULL OR j.id = ANY(:only))
    AND coalesce((j.spec->'disconnect'->>'replace')::boolean, true)
    AND j.cancel_requested_at IS NULL AND j.expires_at > :now
"""
# Drained work costs its task a try.
_DRAINED = f"""
    SELECT a.id, 0 AS turn FROM nodes n
    JOIN leases l ON l.node_id = n.id
    JOIN attempts a ON a.lease_id = l.id JOIN tasks t ON t.id = a.task_id
    JOIN jobs j ON j.id = a.job_id
    WHERE n.state = 'draining' AND t.retries_left > 0 AND {_MAY_MOVE}
    ORDER BY a.job_id, a.id LIMIT :most
"""
# Healthy work moves once, and not while other tasks of its job wait: a better place is of more use
# to those. The order changes with ``turn``, so that everybody gets a look where there are many.
_HEALTHY = f"""
    SELECT a.id, hashtext(a.id || CAST(:turn AS text)) AS turn FROM nodes n
    JOIN attempts a ON a.node_id = n.id JOIN leases l ON l.id = a.lease_id
    JOIN jobs j ON j.id = a.job_id
    WHERE n.state = 'online' AND {_MAY_MOVE}
        AND j.state = 'running'
        AND (j.tasks_succeeded > 0 OR coalesce((j.spec->'qos'->>'work_ms')::bigint, 0) > 0)
        AND a.started_at + (j.spec->'limits'->>'max_run_ms')::bigint * interval '1 ms'
            >= :now + :rest * interval '1 ms'
        AND NOT EXISTS (SELECT FROM tasks w WHERE w.job_id = j.id AND w.state = 'queued')
        AND NOT EXISTS (SELECT FROM attempts b WHERE b.task_id = a.task_id AND b.reason = 'moved')
    ORDER BY turn, a.id LIMIT :most
"""
# Work is the mean run time of the job's tasks, brought to the reference core, else the tenant's
# word. :reference is what that core does in a second.
_READ = """
    WITH found AS ({found})
    SELECT a.id, a.task_id, t.index, t.attempts, a.job_id, d.id, d.home_cell_id, a.lease_id,
        a.node_id, a.started_at, coalesce((SELECT avg(r.work) FROM (
            SELECT b.wall_ms * CASE WHEN m.calibration_ops_per_s > 0
                THEN m.calibration_ops_per_s / CAST(:reference AS float8) ELSE 1 END AS work
            FROM attempts b JOIN nodes m ON m.id = b.node_id
            WHERE b.job_id = j.id AND b.state = 'succeeded' LIMIT {runs}) r),
            (j.spec->'qos'->>'work_ms')::bigint, 0)::float8,
        coalesce((j.spec->'limits'->>'max_run_ms')::bigint, 0),
        j.limit_micros_per_hour, d.limit_micros_per_hour, l.rate_micros_per_hour,
        n.calibration_ops_per_s,
        coalesce((SELECT sum(f.size_bytes) FROM artifacts f
            WHERE f.digest IN (j.spec->>'code_digest', t.input->>'digest')), 0)::bigint,
        least(j.expires_at, j.created_at + q.deadline_ms * interval '1 ms'),
        coalesce(q.deadline_ms <= (j.spec->'limits'->>'max_total_ms')::bigint, false),
        j.hold_micros, {spent}, j.task_count - j.tasks_succeeded - j.tasks_failed,
        coalesce((SELECT max(s.rate_micros_per_hour) FROM leases s
            WHERE s.job_id = j.id AND s.state = 'active' AND (s.id <> l.id
                OR EXISTS (SELECT FROM attempts b WHERE b.lease_id = s.id AND b.id <> a.id
                    AND b.state IN {live}))), 0)
    FROM found JOIN attempts a ON a.id = found.id JOIN tasks t ON t.id = a.task_id
    JOIN jobs j ON j.id = a.job_id JOIN demands d ON d.job_id = j.id
    JOIN leases l ON l.id = a.lease_id JOIN nodes n ON n.id = a.node_id,
    LATERAL (SELECT nullif((j.spec->'qos'->>'deadline_ms')::bigint, 0) AS deadline_ms) q
    ORDER BY found.turn, a.job_id, a.id
"""
_PARTS = {"runs": RUNS_MEASURED, "spent": SPENT, "live": LIVE}
_READ_DRAINED = text(_READ.format(found=_DRAINED, **_PARTS))
_READ_HEALTHY = text(_READ.format(found=_HEALTHY, **_PARTS))
_NEW_PLACE = text(
    "SELECT id, node_id, epoch FROM leases WHERE round_id = :round AND job_id = :job ORDER BY id"
)
_LOWER = text("""
    UPDATE demands SET limit_micros_per_hour = :limit
    WHERE id = :demand AND limit_micros_per_hour > :limit
""")


def drained_work(
    session: Session, *, only: list[str] | None, reference_ops_per_s: int, now: datetime
) -> list[RunningWork]:
    """Attempts (of the jobs ``only``) that run on draining nodes and may be tried again, by job."""
    values = {"only": only, "now": now, "most": WORKS_MAX, "reference": reference_ops_per_s}
    return [RunningWork._make(row) for row in session.execute(_READ_DRAINED, values)]


def healthy_work(
    session: Session,
    *,
    only: list[str] | None,
    rest_ms_min: int,
    turn: str,
    most: int,
    reference_ops_per_s: int,
    now: datetime,
) -> list[RunningWork]:
    """Attempts (of the jobs ``only``) that run on nodes that stay, and may move for a gain.

    ``turn`` shuffles them. Those that must end within ``rest_ms_min`` by their job's run limit are
    not among them.
    """
    values = {"only": only, "now": now, "most": most, "reference": reference_ops_per_s,
              "rest": rest_ms_min, "turn": turn}  # fmt: skip
    return [RunningWork._make(row) for row in session.execute(_READ_HEALTHY, values)]


def new_place(session: Session, round_id: str, job: str) -> NewPlace:
    """The lease of ``job`` that the round made."""
    row = session.execute(_NEW_PLACE, {"round": round_id, "job": job}).one()
    return NewPlace._make(row)


def lower_limit(session: Session, demand: str, limit: int) -> None:
    """Let a demand bid ``limit`` at most from now on."""
    session.execute(_LOWER, {"demand": demand, "limit": limit})
