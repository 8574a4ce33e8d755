"""The statements of placing: jobs with leases, what runs there, tasks that wait; new attempts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.control.spending import SPENT
from db.engine import dump_json

JOBS_PER_STEP_MAX = 500
RESEND_FIRST = timedelta(seconds=1)
TASKS_PER_JOB_MAX = 2_000  # placed for one job in one step; the next step goes on


class JobToPlace(NamedTuple):
    """A locked job whose tasks may be placed."""

    id: str
    account_id: str
    account_name: str
    kind: str
    spec: dict[str, Any]
    task_count: int
    hold_micros: int
    limit_micros_per_hour: int  # what its demand bids: less than its own once work has moved
    cancel_requested: bool
    expires_at: datetime
    slots_open: int  # that its demand still asks for


class LeaseToFill(NamedTuple):
    """An active lease on a node that may be sent work, with what is live on it."""

    id: str
    job_id: str
    node_id: str
    slots: int
    cpu_millis: int
    memory_bytes: int
    rate: int
    epoch: int
    ends_at: datetime
    ops_per_s: int
    live: int
    done: int  # attempts that ended here
    done_ms: int  # and how long they ran, together


class WaitingTask(NamedTuple):
    """A locked task that waits for a place."""

    id: str
    job_id: str
    task_index: int
    input: dict[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttempt:
    """A row of ``attempts``."""

    id: str
    task_id: str
    job_id: str
    lease_id: str
    node_id: str
    number: int
    fence: int


class Order(NamedTuple):
    """An assigned attempt with all that its order says."""

    attempt_id: str
    task_id: str
    task_index: int
    input: dict[str, Any]
    fence: int
    job_id: str
    lease_id: str
    node_id: str


_JOBS = text("""
    SELECT j.id, j.account_id, a.name, j.kind, j.spec, j.task_count, j.hold_micros,
        d.limit_micros_per_hour, j.cancel_requested_at IS NOT NULL, j.expires_at, d.count_open
    FROM jobs j JOIN accounts a ON a.id = j.account_id JOIN demands d ON d.job_id = j.id
    WHERE j.id = ANY(:ids) AND j.state IN ('queued', 'matched', 'running')
    ORDER BY j.id LIMIT :most FOR NO KEY UPDATE OF j
""")
_LEASES = text("""
    SELECT l.id, l.job_id, l.node_id, l.slots, l.cpu_millis, l.memory_bytes,
        l.rate_micros_per_hour, l.epoch, l.ends_at, n.calibration_ops_per_s,
        coalesce(a.live, 0), coalesce(d.done, 0), coalesce(d.done_ms, 0)
    FROM leases l JOIN nodes n ON n.id = l.node_id
    LEFT JOIN LATERAL (SELECT count(*) AS live FROM attempts a WHERE a.lease_id = l.id
        AND a.state IN ('assigned', 'accepted', 'running', 'unknown')) a ON true
    LEFT JOIN LATERAL (SELECT count(*) AS done, sum(r.wall_ms)::bigint AS done_ms FROM (
        SELECT a.wall_ms FROM attempts a WHERE a.lease_id = l.id AND a.state = 'succeeded'
        LIMIT 20) r) d ON true
    WHERE l.job_id = ANY(:ids) AND l.state = 'active' AND l.ends_at > :now
        AND n.state = 'online'
        AND (n.cooldown_until IS NULL OR n.cooldown_until <= :now)
    ORDER BY l.job_id, l.id
""")
_TASKS = text("""
    SELECT t.id, t.job_id, t.index, t.input, t.attempts
    FROM unnest(CAST(:ids AS text[]), CAST(:room AS int[])) AS w (id, room),
    LATERAL (SELECT * FROM tasks t WHERE t.job_id = w.id AND t.state = 'queued'
        ORDER BY t.index LIMIT w.room FOR NO KEY UPDATE) t
""")
_ASSIGN = text("""
    WITH given AS (
        SELECT * FROM jsonb_to_recordset(CAST(:attempts AS jsonb))
            AS g (id text, task_id text, job_id text, lease_id text, node_id text, number int,
                fence bigint)
        LIMIT :count
    ), placed AS (
        UPDATE tasks t SET state = 'placed', attempts = g.number
        FROM given g WHERE t.id = g.task_id
    )
    INSERT INTO attempts (id, task_id, job_id, lease_id, node_id, number, fence, state,
        assigned_at, sent_at)
    SELECT id, task_id, job_id, lease_id, node_id, number, fence, 'assigned', :now, :sent_at
    FROM given
""")
# Spent is what is owed by now; at risk is what the live attempts may still come to. A lease's rate
# is at most the limit, so counting all live ones at the limit errs on the safe side.
_SPENT = text(f"""
    SELECT j.id, {SPENT},
        (SELECT count(*) FROM attempts a WHERE a.job_id = j.id
            AND a.state IN ('assigned', 'accepted', 'running', 'unknown'))
    FROM unnest(CAST(:ids AS text[])) AS j (id)
""")  # noqa: S608 - the only name put into it is that of db.control.spending
# An order is sent again when its age since the last sending has doubled: after 1, 2, 4 … seconds.
# So one that was sent ``RESEND_FIRST`` before it was assigned is due at once.
# One that was taken over but not reported on past its time is asked for in the same way.
_RESEND = text("""
    UPDATE attempts a SET sent_at = :now
    FROM (
        SELECT a.id FROM attempts a JOIN jobs j ON j.id = a.job_id JOIN nodes n ON n.id = a.node_id
        WHERE n.state IN ('online', 'draining') AND j.ended_at IS NULL
            AND j.cancel_requested_at IS NULL
            AND a.state IN ('assigned', 'accepted', 'running', 'unknown')
            AND (a.state IN ('assigned', 'unknown') AND a.sent_at <= :now - least(interval '30 s',
                    greatest(interval '1 s', a.sent_at - a.assigned_at))
                OR a.state IN ('accepted', 'running')
                    AND coalesce(a.started_at, a.accepted_at, a.assigned_at) <= :now
                        - :overdue * interval '1 ms'
                        - (j.spec->'limits'->>'max_run_ms')::bigint * interval '1 ms'
                        * CASE WHEN a.started_at IS NULL THEN :queue ELSE 1 END
                    AND a.sent_at <= :now - interval '10 s')
        ORDER BY a.id LIMIT :most FOR NO KEY UPDATE OF a SKIP LOCKED
    ) due, tasks t
    WHERE a.id = due.id AND t.id = a.task_id
    RETURNING a.id, a.task_id, t.index, t.input, a.fence, a.job_id, a.lease_id, a.node_id
""")
_READ_JOBS = text("""
    SELECT j.id, j.account_id, a.name, j.kind, j.spec, j.task_count, j.hold_micros,
        j.limit_micros_per_hour, j.cancel_requested_at IS NOT NULL, j.expires_at, 0
    FROM jobs j JOIN accounts a ON a.id = j.account_id WHERE j.id = ANY(:ids)
""")
_READ_LEASES = text("""
    SELECT l.id, l.job_id, l.node_id, l.slots, l.cpu_millis, l.memory_bytes,
        l.rate_micros_per_hour, l.epoch, l.ends_at, n.calibration_ops_per_s, 0, 0, 0
    FROM leases l JOIN nodes n ON n.id = l.node_id WHERE l.id = ANY(:ids)
""")
_SATISFY = text("""
    UPDATE demands SET state = 'filled', count_open = 0
    WHERE job_id = ANY(:ids) AND state = 'open'
        AND EXISTS (SELECT FROM leases l WHERE l.job_id = demands.job_id AND l.state = 'active')
""")
_READY = text("""
    SELECT DISTINCT l.job_id FROM leases l JOIN jobs j ON j.id = l.job_id
    WHERE l.state = 'active' AND l.ends_at > :now AND j.ended_at IS NULL
        AND EXISTS (SELECT FROM tasks t WHERE t.job_id = l.job_id AND t.state = 'queued')
    ORDER BY l.job_id LIMIT :most
""")


def lock_jobs(session: Session, ids: Collection[str]) -> dict[str, JobToPlace]:
    """Those of ``ids`` that have not ended, locked in id order."""
    rows = session.execute(_JOBS, {"ids": sorted(ids), "most": JOBS_PER_STEP_MAX})
    return {row[0]: JobToPlace._make(row) for row in rows}


def read_leases(
    session: Session, jobs: Collection[str], *, now: datetime
) -> dict[str, list[LeaseToFill]]:
    """Active leases of each job on nodes that may be sent work, oldest first."""
    found: dict[str, list[LeaseToFill]] = {}
    for row in session.execute(_LEASES, {"ids": sorted(jobs), "now": now}):
        found.setdefault(row[1], []).append(LeaseToFill._make(row))
    return found


def lock_tasks(session: Session, room: dict[str, int]) -> dict[str, list[WaitingTask]]:
    """The first ``room[job]`` tasks of each job that wait, locked."""
    found: dict[str, list[WaitingTask]] = {}
    if not room:
        return found
    rows = session.execute(_TASKS, {"ids": list(room), "room": list(room.values())})
    for row in rows:
        found.setdefault(row[1], []).append(WaitingTask._make(row))
    return found


def insert_attempts(
    session: Session, attempts: Sequence[NewAttempt], *, now: datetime, sent: bool = True
) -> None:
    """Place the tasks: write their attempts as assigned and sent; or as due to be sent at once."""
    if not attempts:
        return
    sent_at = now if sent else now - RESEND_FIRST
    values = {"attempts": dump_json(attempts), "count": len(attempts), "now": now,
              "sent_at": sent_at}  # fmt: skip
    session.execute(_ASSIGN, values)


def satisfy_demands(session: Session, jobs: Collection[str]) -> None:
    """Ask for no more slots for jobs that have leases and no task left to place."""
    if jobs:
        session.execute(_SATISFY, {"ids": sorted(jobs)})


def read_spent(
    session: Session, jobs: Collection[str], *, now: datetime
) -> dict[str, tuple[int, int]]:
    """(micros owed by now, live attempts) of each job."""
    if not jobs:
        return {}
    rows = session.execute(_SPENT, {"ids": sorted(jobs), "now": now})
    return {row[0]: (row[1], row[2]) for row in rows}


def take_resends(
    session: Session, *, now: datetime, overdue_ms: int, queue: int, most: int
) -> list[Order]:
    """Orders to send again, marked as sent now; at most ``most``.

    ``overdue_ms``: how long past its run limit a started attempt may be silent; one that waits
    on its node may wait ``queue`` run limits.
    """
    rows = session.execute(
        _RESEND, {"now": now, "overdue": overdue_ms, "queue": queue, "most": most}
    )
    return [Order._make(row) for row in rows]


def read_jobs(session: Session, ids: Collection[str]) -> dict[str, JobToPlace]:
    """Jobs by id, not locked."""
    rows = session.execute(_READ_JOBS, {"ids": sorted(ids)})
    return {row[0]: JobToPlace._make(row) for row in rows}


def read_leases_by_id(session: Session, ids: Collection[str]) -> dict[str, LeaseToFill]:
    """Leases by id, whatever their state."""
    rows = session.execute(_READ_LEASES, {"ids": sorted(ids)})
    return {row[0]: LeaseToFill._make(row) for row in rows}


def jobs_to_place(session: Session, *, now: datetime) -> list[str]:
    """Jobs with an active lease and a task that waits."""
    found = session.execute(_READY, {"now": now, "most": JOBS_PER_STEP_MAX})
    return list(found.scalars())
