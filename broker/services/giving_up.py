"""Gives up attempts whose lease ends under them: the work goes elsewhere, or fails for good."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from broker.services.report_steps import NODE_CAUSES
from broker.services.settlement import JobEnd, end_jobs
from db import outbox
from db.control import fleet, healing, reports
from db.control.reports import AttemptMove, AttemptRow, JobMove, TaskMove
from db.outbox import NewCommand
from market.lifecycle import ATTEMPT_ENDS, AttemptState, EndReason, JobState, TaskState


def give_up(
    session: Session,
    reasons: Mapping[str, EndReason],
    *,
    fee_basis_points: int,
    now: datetime,
) -> list[str]:
    """Lose the attempts in ``reasons`` (attempt → reason) that live; return the jobs concerned.

    Their tasks wait for another try if the job bears it and has tries left, else they fail. Nodes
    are told to stop. Whatever they report later is stale. The jobs must be locked.
    """
    rows = {
        attempt: row
        for attempt, row in reports.read_attempts(session, reasons).items()
        if AttemptState(row.state) not in ATTEMPT_ENDS
    }
    if not rows:
        return []
    reports.move_attempts(session, [_attempt(row, reasons[row.id], now) for row in rows.values()])
    tasks = [_task(row, reasons[row.id], now) for row in rows.values()]
    reports.move_tasks(session, tasks)
    failed = Counter(
        row.job_id
        for row, task in zip(rows.values(), tasks, strict=True)
        if task.state == TaskState.FAILED
    )
    counts = reports.move_jobs(
        session, [JobMove(id=job, failed=count) for job, count in sorted(failed.items())]
    )
    outbox.add(session, _cancels(rows.values(), reasons), now=now)
    ends = [
        all_ended(job.id, failed=job.failed, tasks=job.task_count)
        for job in counts
        if job.succeeded + job.failed >= job.task_count
    ]
    end_jobs(session, ends, fee_basis_points=fee_basis_points, now=now)
    bad = Counter(row.node_id for row in rows.values() if reasons[row.id] in NODE_CAUSES)
    fleet.lock_nodes(session, bad)
    fleet.write_reliability(session, {}, bad, now=now)
    jobs = sorted({row.job_id for row in rows.values()})
    healing.reopen_demands(session, jobs, now=now)
    return jobs


def all_ended(job_id: str, *, failed: int, tasks: int) -> JobEnd:
    """The end of a job whose tasks have all ended."""
    if not failed:
        return JobEnd(job_id=job_id, state=JobState.SUCCEEDED)
    return JobEnd(
        job_id=job_id,
        state=JobState.FAILED,
        reason=EndReason.TASK_FAILED,
        detail=f"{failed} of {tasks} tasks failed",
    )


def _attempt(row: AttemptRow, reason: EndReason, now: datetime) -> AttemptMove:
    return AttemptMove(id=row.id, state=AttemptState.LOST, reason=reason, ended_at=now)


def _task(row: AttemptRow, reason: EndReason, now: datetime) -> TaskMove:
    tried_again = row.retries_left > 0 and (row.replaceable or reason is not EndReason.AGENT_LOST)
    if tried_again:
        return TaskMove(id=row.task_id, state=TaskState.QUEUED, retries_left=row.retries_left - 1)
    return TaskMove(
        id=row.task_id,
        state=TaskState.FAILED,
        retries_left=row.retries_left,
        end_reason=reason,
        end_detail="the attempt was given up and there is no try left",
        ended_at=now,
    )


def _cancels(
    rows: Collection[AttemptRow], reasons: Mapping[str, EndReason]
) -> Sequence[NewCommand]:
    """One command for each node and reason."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        grouped.setdefault((row.node_id, str(reasons[row.id])), []).append(row.id)
    return [
        NewCommand(node_id=node, type="cancel", data={"attempts": attempts, "reason": reason})
        for (node, reason), attempts in grouped.items()
    ]
