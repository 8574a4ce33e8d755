"""Reopens the demand of jobs whose tasks wait for more slots than their leases can give them.

They bid with what is left of their budget: for no more slots than it pays further tasks for, each
at its longest and dearest.
"""

# ruff: noqa: S608 - the only names put into statements are those of this module's own text

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from db import notify
from db.control.spending import SPENT

JOBS_MAX = 1_000  # looked at in one go

# Further tasks that the rest of a job's hold pays for; NULL where it pays for all at their worst,
# which most holds do. Live attempts are counted at their worst, too. The dearest is what the demand
# still bids: a job that paid for work which it then moved bids less than its limit.
_AFFORDABLE = f"""
    CASE WHEN j.hold_micros >= m.each * j.task_count THEN NULL ELSE greatest(0,
        floor((j.hold_micros - {SPENT}) / m.each)
        - (SELECT count(*) FROM attempts a WHERE a.job_id = j.id
            AND a.state IN ('assigned', 'accepted', 'running', 'unknown')))::int END AS affordable
"""
_EACH = """
    LATERAL (SELECT greatest(1, ceil(b.limit_micros_per_hour::numeric
        * coalesce((j.spec->'limits'->>'max_run_ms')::bigint, 0) / 3600000)) AS each
        FROM demands b WHERE b.job_id = j.id) m
"""
# Usable is a lease on a node that may be sent work now. What waits is counted as far as the slots
# of the job go: counting ten thousand waiting tasks would tell nothing more.
_REOPEN = text(f"""
    WITH job AS (
        SELECT j.id, (j.spec->>'slots_max')::int AS most,
            coalesce((SELECT sum(l.slots) FROM leases l JOIN nodes n ON n.id = l.node_id
                WHERE l.job_id = j.id AND l.state = 'active' AND l.ends_at > :now
                    AND n.state = 'online'
                    AND (n.cooldown_until IS NULL OR n.cooldown_until <= :now)), 0)::int AS usable,
            {_AFFORDABLE}
        FROM jobs j, {_EACH}
        WHERE j.id = ANY(:ids) AND j.state IN ('queued', 'matched', 'running')
            AND j.cancel_requested_at IS NULL AND j.expires_at > :now
    ), lacking AS (
        SELECT job.id, least(w.queued, least(job.most, w.queued + w.placed) - job.usable,
                job.affordable) AS slots
        FROM job, LATERAL (SELECT
            (SELECT count(*) FROM (SELECT FROM tasks t WHERE t.job_id = job.id
                AND t.state = 'queued' LIMIT job.most) q)::int AS queued,
            (SELECT count(*) FROM (SELECT FROM attempts a WHERE a.job_id = job.id
                AND a.state IN ('assigned', 'accepted', 'running', 'unknown')
                LIMIT job.most) p)::int AS placed) w
    )
    UPDATE demands d SET state = 'open', count_open = lacking.slots, rounds = 0,
        reach = 'region', tried_cells = '{{}}'
    FROM lacking
    WHERE d.job_id = lacking.id AND d.state IN ('open', 'filled')
        AND lacking.slots > 0 AND d.count_open < lacking.slots
    RETURNING d.job_id, d.cell_id
""")
_EXHAUSTED = text(f"""
    SELECT j.id, j.hold_micros - {SPENT}, j.each::bigint
    FROM (SELECT j.*, m.each, {_AFFORDABLE} FROM jobs j, {_EACH} WHERE j.id = ANY(:ids)) j
    WHERE j.state IN ('queued', 'matched', 'running') AND j.affordable = 0
        AND EXISTS (SELECT FROM tasks t WHERE t.job_id = j.id AND t.state = 'queued')
        AND NOT EXISTS (SELECT FROM attempts a WHERE a.job_id = j.id
            AND a.state IN ('assigned', 'accepted', 'running', 'unknown'))
    ORDER BY j.id
""")
_UNPLACED = text("""
    SELECT j.id FROM jobs j JOIN demands d ON d.job_id = j.id
    WHERE j.state IN ('matched', 'running', 'queued') AND d.state = 'filled'
        AND EXISTS (SELECT FROM tasks t WHERE t.job_id = j.id AND t.state = 'queued')
    ORDER BY j.id LIMIT :most
""")


def reopen_demands(session: Session, jobs: Collection[str], *, now: datetime) -> list[str]:
    """Let those of ``jobs`` bid again that lack slots, and wake their cells; which they are.

    The jobs must be locked. A job that has its slots, or has asked for them already, stays as it
    is.
    """
    if not jobs:
        return []
    rows = session.execute(_REOPEN, {"ids": sorted(jobs), "now": now}).all()
    notify.notify_all(session, [(notify.DEMAND, row[1]) for row in rows])
    return [row[0] for row in rows]


def exhausted_jobs(
    session: Session, jobs: Collection[str], *, now: datetime
) -> list[tuple[str, int, int]]:
    """(job, micros left, the most one more task may cost) of those that can pay for none.

    Tasks of theirs wait and nothing of theirs runs: nothing would ever change that.
    """
    if not jobs:
        return []
    rows = session.execute(_EXHAUSTED, {"ids": sorted(jobs), "now": now})
    return [(row[0], row[1], row[2]) for row in rows]


def jobs_to_look_at(session: Session) -> list[str]:
    """Jobs whose demand is filled although tasks wait, at most ``JOBS_MAX``."""
    return list(session.execute(_UNPLACED, {"most": JOBS_MAX}).scalars())
