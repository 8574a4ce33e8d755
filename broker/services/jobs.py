"""Submitting jobs and asking for their end; what clients read of them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from broker.services import job_spec
from broker.services.feasibility import Fits, Unserviceable, judge
from broker.services.job_spec import JobSpec, TaskSpec
from broker.services.refusals import Invalid, NotFound, Refusal
from db import notify
from db.control import submitting
from db.control.submitting import Asker, NewDemand, NewJob
from db.ids import new_id
from db.ledger import hold_of_job, post_transfers
from db.repositories import jobs as repository
from db.repositories.jobs import JobRecord
from db.tables import Demand, Job
from market.lifecycle import JobState
from market.money import div_ceil

# A lease lives a little longer than the work in it may take: orders travel, nodes fall silent.
LEASE_MARGIN_MS = 10_000


class UnknownArtifact(NotFound):
    """A digest that this account has not uploaded and that no job of its own has made."""

    code = "unknown_artifact"

    def __init__(self, digest: str) -> None:
        super().__init__("artifact", digest, code=self.code)
        self.digest = digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A job that an account asks for, and when it did."""

    account_id: str
    spec: JobSpec
    at: dt.datetime


def submit(session: Session, *, account_id: str, spec: JobSpec, now: dt.datetime) -> JobRecord:
    """Write the job, its tasks and its demand, and hold its budget; wake the market.

    Raises ``Invalid``, ``UnknownArtifact``, ``Unserviceable`` and the ledger's
    ``InsufficientFunds``; the caller then rolls back.
    """
    [found] = submit_all(session, [Submission(account_id=account_id, spec=spec, at=now)])
    if isinstance(found, Refusal):
        raise found
    return found


def submit_all(session: Session, asked: Sequence[Submission]) -> list[JobRecord | Refusal]:
    """As ``submit`` for many; what is refused by itself has its reason in its place.

    Four statements for any number of jobs and tasks with the same wishes. The holds come last,
    because they lock the tenants' balances until the commit. Raises the ledger's
    ``InsufficientFunds``, of which nothing is on record then.
    """
    askers = submitting.read_askers(
        session, [(each.account_id, _digests(each.spec)) for each in asked]
    )
    fits = Fits(session)
    found: list[_Written | Refusal] = []
    for each, asker in zip(asked, askers, strict=True):
        try:
            found.append(_written(each, asker, fits))
        except Refusal as refusal:
            found.append(refusal)
    written = [each for each in found if not isinstance(each, Refusal)]
    submitting.insert_jobs(session, [each.new for each in written])
    post_transfers(
        session,
        [
            hold_of_job(
                job_id=job.id,
                account_id=job.account_id,
                amount_micros=job.hold_micros,
                id=job.hold_id,
            )
            for job in (each.new.job for each in written)
        ],
        now=max((each.at for each in asked), default=dt.datetime.min),
    )
    return [each if isinstance(each, Refusal) else each.record() for each in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What is written for one submission."""

    new: NewJob

    def record(self) -> JobRecord:
        """As a reader will find it."""
        job = self.new.job
        return JobRecord(
            job=job,
            tasks=repository.count_tasks(job, queued=job.task_count),
            demand=_as_row(self.new.demand, job),
        )


def _written(asked: Submission, asker: Asker | None, fits: Fits) -> _Written:
    """Raises ``NotFound``, ``Invalid``, ``UnknownArtifact``, ``Unserviceable``."""
    spec, now = asked.spec, asked.at
    _check_bounds(spec)
    if asker is None:
        raise NotFound("account", asked.account_id)
    if asker.unknown:
        raise UnknownArtifact(asker.unknown[0])
    job_id = new_id("job", now)
    verdict = judge(fits, spec, tenant=asker.name, salt=job_id)
    if not verdict.home:
        raise Unserviceable(verdict.ruled_out)
    job = _job(spec, job_id=job_id, account_id=asked.account_id, now=now)
    return _Written(
        new=NewJob(
            job=job,
            demand=_demand(spec, job, cell_id=verdict.home, now=now),
            inputs=[task_input(task) for task in spec.tasks],
            retries=max(0, spec.retry.attempts_max - 1),
            event={"state": JobState.QUEUED, "name": job.name, "task_count": job.task_count},
        )
    )


def request_cancel(
    session: Session, job_id: str, *, account_id: str | None, now: dt.datetime
) -> JobRecord:
    """Ask for the end of a job; of one that has ended, nothing changes. Raises ``NotFound``."""
    found = show(session, job_id, account_id=account_id)
    if found.job.ended_at is not None:
        return found
    repository.ask_to_cancel(session, job_id, now=now)
    notify.notify(session, notify.LEASE, job_id)
    session.refresh(found.job)
    return found


def show(session: Session, job_id: str, *, account_id: str | None) -> JobRecord:
    """The job as ``account_id`` (None: anybody's reader) may see it. Raises ``NotFound``."""
    found = repository.get(session, job_id, account_id=account_id)
    if found is None:
        raise NotFound("job", job_id)
    return found


def task_input(task: TaskSpec) -> dict[str, Any]:
    """``tasks.input``: ``{args, encoding, base64 | digest}``; neither: no input."""
    document: dict[str, Any] = {"args": list(task.args), "encoding": task.input_encoding}
    if task.input_digest:
        document["digest"] = task.input_digest
    elif task.input_base64:
        document["base64"] = task.input_base64
    return document


def lease_window_ms(spec: JobSpec) -> int:
    """How long a lease is asked for: all tasks, each as long as it may run, slots at a time."""
    turns = div_ceil(len(spec.tasks), _slots(spec))
    return min(turns * spec.limits.max_run_ms + LEASE_MARGIN_MS, spec.limits.max_total_ms)


def _check_bounds(spec: JobSpec) -> None:
    if not 1 <= len(spec.tasks) <= job_spec.TASKS_PER_JOB_MAX:
        raise Invalid(
            f"A job has 1 to {job_spec.TASKS_PER_JOB_MAX} tasks, not {len(spec.tasks)}.",
            pointer="/tasks",
        )
    if not any(amount > 0 for amount in spec.resources.values()):
        raise Invalid("A slot needs some of a resource.", pointer="/resources")


def _slots(spec: JobSpec) -> int:
    return max(1, min(spec.slots_max, len(spec.tasks), job_spec.SLOTS_PER_JOB_MAX))


def _digests(spec: JobSpec) -> list[str]:
    wanted = {spec.code_digest: None, **{task.input_digest: None for task in spec.tasks}}
    return [digest for digest in wanted if digest]


def _job(spec: JobSpec, *, job_id: str, account_id: str, now: dt.datetime) -> Job:
    total_ms = spec.limits.max_total_ms
    if spec.qos.deadline_ms:
        total_ms = min(total_ms, spec.qos.deadline_ms)
    return Job(
        id=job_id,
        account_id=account_id,
        name=spec.name,
        kind=spec.kind,
        state=JobState.QUEUED,
        spec=job_spec.to_document(spec),
        task_count=len(spec.tasks),
        tasks_succeeded=0,
        tasks_failed=0,
        limit_micros_per_hour=spec.limit_micros_per_hour,
        hold_micros=spec.budget_micros,
        hold_id=new_id("transfer", now),
        accrued_micros=0,
        cost_micros=0,
        end_reason=None,
        end_detail="",
        cancel_requested_at=None,
        created_at=now,
        matched_at=None,
        started_at=None,
        ended_at=None,
        expires_at=now + dt.timedelta(milliseconds=total_ms),
        version=1,
    )


def _demand(spec: JobSpec, job: Job, *, cell_id: str, now: dt.datetime) -> NewDemand:
    return NewDemand(
        id=new_id("demand", now),
        cell_id=cell_id,
        resources=dict(spec.resources),
        count=_slots(spec),
        duration_ms=lease_window_ms(spec),
        needs={
            "kind": spec.kind,
            "constraints": job.spec["constraints"],
            "qos": job.spec["qos"],
        },
    )


def _as_row(demand: NewDemand, job: Job) -> Demand:
    """The demand as a reader will find it; not of the session."""
    return Demand(
        id=demand.id,
        job_id=job.id,
        account_id=job.account_id,
        cell_id=demand.cell_id,
        home_cell_id=demand.cell_id,
        state="open",
        resources=demand.resources,
        count_open=demand.count,
        count_min=1,
        limit_micros_per_hour=job.limit_micros_per_hour,
        duration_ms=demand.duration_ms,
        needs=demand.needs,
        rounds=0,
        last_loss=None,
        last_loss_detail="",
        tried_cells=[],
        reach="region",
        created_at=job.created_at,
    )
