"""Jobs as clients see them: one with its counts, pages of them, their tasks, attempts and logs."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from db.repositories.paging import Page, Place, cut, newest_first
from db.tables import Attempt, Demand, Job, Node, Task
from market.lifecycle import JOB_ENDS, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCounts:
    """Tasks of a job by state; they sum to its ``task_count``."""

    queued: int
    placed: int
    succeeded: int
    failed: int
    cancelled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A job with its counts and its demand."""

    job: Job
    tasks: TaskCounts
    demand: Demand


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """An attempt with what a reader wants to know of its task and node."""

    attempt: Attempt
    task_index: int
    node_name: str


def get(session: Session, job_id: str, *, account_id: str | None) -> JobRecord | None:
    """The job; None if there is none or, for an ``account_id``, it is another's."""
    statement = _visible(_records(), account_id).where(Job.id == job_id)
    row = session.execute(statement).first()
    return None if row is None else _record(row)


def visible(session: Session, job_id: str, *, account_id: str | None) -> bool:
    """Whether there is such a job for ``account_id`` (None: for everybody's reader)."""
    statement = _visible(select(Job.id), account_id).where(Job.id == job_id)
    return session.execute(statement).first() is not None


def page(
    session: Session,
    *,
    account_id: str | None,
    state: str = "",
    name: str = "",
    after: Place | None = None,
    limit: int,
) -> Page[JobRecord]:
    """Jobs of an account, or of all, newest first; ``name`` is matched whole."""
    statement = _visible(_records(), account_id)
    if state:
        statement = statement.where(Job.state == state)
    if name:
        statement = statement.where(Job.name == name)
    statement = newest_first(statement, at=Job.created_at, id=Job.id, after=after, limit=limit)
    records = [_record(row) for row in session.execute(statement)]
    return cut(records, limit=limit, place=lambda r: Place(at=r.job.created_at, id=r.job.id))


def count_by_state(session: Session, *, account_id: str | None) -> dict[str, int]:
    """How many jobs are in each state; states without any are left out."""
    statement = _visible(select(Job.state, func.count()), account_id).group_by(Job.state)
    return {row[0]: row[1] for row in session.execute(statement)}


def tasks(
    session: Session, job_id: str, *, state: str = "", after: Place | None = None, limit: int
) -> Page[Task]:
    """Tasks of a job in the order of their index, which is the ``id`` of a place among them."""
    statement = select(Task).where(Task.job_id == job_id)
    if state:
        statement = statement.where(Task.state == state)
    if after is not None:
        statement = statement.where(Task.index > int(after.id))
    rows = session.scalars(statement.order_by(Task.index).limit(limit + 1)).all()
    return cut(rows, limit=limit, place=lambda t: Place(at=t.created_at, id=str(t.index)))


def task(session: Session, job_id: str, index: int) -> Task | None:
    """The task of that index."""
    return session.scalar(select(Task).where(Task.job_id == job_id, Task.index == index))


def attempts(
    session: Session, job_id: str, *, after: Place | None = None, limit: int
) -> Page[AttemptRecord]:
    """Attempts of a job, newest first."""
    statement = newest_first(
        _attempts().where(Attempt.job_id == job_id),
        at=Attempt.assigned_at,
        id=Attempt.id,
        after=after,
        limit=limit,
    )
    records = [_attempt(row) for row in session.execute(statement)]
    return cut(
        records,
        limit=limit,
        place=lambda r: Place(at=r.attempt.assigned_at, id=r.attempt.id),
    )


def logs(
    session: Session, job_id: str, *, task_index: int | None = None, limit: int
) -> list[AttemptRecord]:
    """Attempts of a job that left a log, by task, then attempt."""
    statement = _attempts().where(Attempt.job_id == job_id, Attempt.log_tail != "")
    if task_index is not None:
        statement = statement.where(Task.index == task_index)
    rows = session.execute(statement.order_by(Task.index, Attempt.number).limit(limit))
    return [_attempt(row) for row in rows]


def ask_to_cancel(session: Session, job_id: str, *, now: dt.datetime) -> None:
    """Note the wish, once; it is for the control loops to make it true."""
    session.execute(
        update(Job)
        .where(Job.id == job_id, Job.ended_at.is_(None), Job.cancel_requested_at.is_(None))
        .values(cancel_requested_at=now, version=Job.version + 1),
        execution_options={"synchronize_session": False},
    )


def _records() -> Select[*tuple[Any, ...]]:
    """(job, queued tasks, demand): of the live states the database counts the queued ones alone.

    The partial index holds just those; succeeded and failed ones are counted in the job, tasks are
    cancelled only with their job, and what is left is placed.
    """
    queued = (
        select(func.count())
        .where(Task.job_id == Job.id, Task.state == TaskState.QUEUED)
        .correlate(Job)
        .scalar_subquery()
    )
    return select(Job, queued, Demand).join(Demand, Demand.job_id == Job.id)


def _record(row: Any) -> JobRecord:
    job, queued, demand = row
    return JobRecord(job=job, tasks=count_tasks(job, queued=queued), demand=demand)


def count_tasks(job: Job, *, queued: int) -> TaskCounts:
    """The counts of a job of whose tasks ``queued`` wait for a place."""
    open_tasks = job.task_count - job.tasks_succeeded - job.tasks_failed
    ended = job.state in JOB_ENDS
    return TaskCounts(
        queued=0 if ended else queued,
        placed=0 if ended else max(0, open_tasks - queued),
        succeeded=job.tasks_succeeded,
        failed=job.tasks_failed,
        cancelled=open_tasks if ended else 0,
    )


def _attempts() -> Select[*tuple[Any, ...]]:
    return (
        select(Attempt, Task.index, Node.name)
        .join(Task, Task.id == Attempt.task_id)
        .join(Node, Node.id == Attempt.node_id)
    )


def _attempt(row: Any) -> AttemptRecord:
    return AttemptRecord(attempt=row[0], task_index=row[1], node_name=row[2])


def _visible(
    statement: Select[*tuple[Any, ...]], account_id: str | None
) -> Select[*tuple[Any, ...]]:
    mine = [] if account_id is None else [Job.account_id == account_id]
    return statement.where(*mine)
