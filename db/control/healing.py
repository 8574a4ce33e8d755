"""Reopens the demand of jobs whose tasks wait for more slots than their leases can give them."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from db import notify

JOBS_MAX = 1_000  # looked at in one go

# Usable is a lease on a node that may be sent work now. What waits is counted as far as the slots
# of the job go: counting ten thousand waiting tasks would tell nothing more.
_REOPEN = text("""
    WITH job AS (
        SELECT j.id, (j.spec->>'slots_max')::int AS most,
            coalesce((SELECT sum(l.slots) FROM leases l JOIN nodes n ON n.id = l.node_id
                WHERE l.job_id = j.id AND l.state = 'active' AND l.ends_at > :now
                    AND n.state = 'online'
                    AND (n.cooldown_until IS NULL OR n.cooldown_until <= :now)), 0)::int AS usable
        FROM jobs j
        WHERE j.id = ANY(:ids) AND j.state IN ('queued', 'matched', 'running')
            AND j.cancel_requested_at IS NULL AND j.expires_at > :now
    ), lacking AS (
        SELECT job.id, least(w.queued, least(job.most, w.queued + w.placed) - job.usable) AS slots
        FROM job, LATERAL (SELECT
            (SELECT count(*) FROM (SELECT FROM tasks t WHERE t.job_id = job.id
                AND t.state = 'queued' LIMIT job.most) q)::int AS queued,
            (SELECT count(*) FROM (SELECT FROM attempts a WHERE a.job_id = job.id
                AND a.state IN ('assigned', 'accepted', 'running', 'unknown')
                LIMIT job.most) p)::int AS placed) w
    )
    UPDATE demands d SET state = 'open', count_open = lacking.slots, rounds = 0
    FROM lacking
    WHERE d.job_id = lacking.id AND d.state IN ('open', 'filled')
        AND lacking.slots > 0 AND d.count_open < lacking.slots
    RETURNING d.job_id, d.cell_id
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


def jobs_to_look_at(session: Session) -> list[str]:
    """Jobs whose demand is filled although tasks wait, at most ``JOBS_MAX``."""
    return list(session.execute(_UNPLACED, {"most": JOBS_MAX}).scalars())
