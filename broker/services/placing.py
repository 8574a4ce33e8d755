"""Places tasks that wait on the leases of their jobs, as attempts; pure choices by the allocator.

A lease is given more than its slots can run at once where the work is short: without a task in
hand a node would wait a round trip after each. How much is bounded in tasks and in time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil

from sqlalchemy.orm import Session

from allocator import Allocator, NodeLoad, TaskToPlace
from broker.services.settlement import JobEnd, end_jobs
from broker.services.snapshots import speed_of
from db.control import placing
from db.control.placing import JobToPlace, LeaseToFill, NewAttempt, Order, WaitingTask
from db.ids import new_id
from market.lifecycle import EndReason, JobState
from market.money import charge_micros

AHEAD_MS = 250  # of work beyond what runs, for each slot of a lease
AHEAD_MAX = 16  # and in tasks for each slot
WORK_KNOWN_AFTER = 3  # attempts until their mean counts


@dataclass(slots=True, kw_only=True)
class Placed:
    """What one step of placing did."""

    orders: list[Order] = field(default_factory=list)  # to be sent after the commit
    jobs: dict[str, JobToPlace] = field(default_factory=dict)
    leases: dict[str, LeaseToFill] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)  # jobs with more to place than one step takes
    cancelling: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)


def place_jobs(
    session: Session,
    ids: Collection[str],
    *,
    allocator: Allocator,
    fee_basis_points: int,
    now: datetime,
    seed: int,
    budget_ms: int = 5,
) -> Placed:
    """Write attempts for what waits of the jobs ``ids`` and fits their leases.

    Never places what could pass a job's hold: a job of which nothing may be placed any more, and
    nothing runs, ends as ``budget_exhausted``. Locks jobs, then tasks.
    """
    placed = Placed()
    if not ids:
        return placed
    locked = placing.lock_jobs(session, ids)
    placed.cancelling = [job.id for job in locked.values() if job.cancel_requested]
    open_jobs = {
        job.id: job for job in locked.values() if not job.cancel_requested and job.expires_at > now
    }
    leases = placing.read_leases(session, open_jobs, now=now)
    room = {job: rooms(open_jobs[job], held) for job, held in leases.items()}
    wanted = {job: min(sum(r.values()), placing.TASKS_PER_JOB_MAX) for job, r in room.items()}
    wanted = {job: count for job, count in wanted.items() if count > 0}
    exhausted = _bound_by_budget(session, open_jobs, wanted, now=now)
    tasks = placing.lock_tasks(session, wanted)
    attempts: list[NewAttempt] = []
    for job_id, waiting in tasks.items():
        made = _assign(
            open_jobs[job_id], waiting, leases[job_id], room[job_id],
            allocator=allocator, now=now, seed=seed, budget_ms=budget_ms,
        )  # fmt: skip
        attempts += made
        placed.orders += _orders(made, waiting)
        if len(made) >= placing.TASKS_PER_JOB_MAX:
            placed.again.add(job_id)
    placing.insert_attempts(session, attempts, now=now)
    emptied = [
        job
        for job, count in wanted.items()
        if open_jobs[job].slots_open and len(tasks.get(job, ())) < count
    ]
    placing.satisfy_demands(session, emptied)
    placed.jobs = {job: open_jobs[job] for job in tasks}
    placed.leases = {lease.id: lease for job in tasks for lease in leases[job]}
    placed.ended = end_jobs(session, exhausted, fee_basis_points=fee_basis_points, now=now)
    return placed


def rooms(job: JobToPlace, leases: Sequence[LeaseToFill]) -> dict[str, int]:
    """How many more attempts each lease may be given now."""
    return {lease.id: max(0, _depth(job, lease) - lease.live) for lease in leases}


def _depth(job: JobToPlace, lease: LeaseToFill) -> int:
    """How many attempts a lease may hold at once: its slots, and a little work ahead of them."""
    if job.task_count <= lease.slots:
        return lease.slots
    work_ms = _work_ms(job, lease)
    ahead = 1 if not work_ms else min(AHEAD_MAX, ceil(AHEAD_MS / work_ms) if work_ms > 0 else 1)
    if work_ms > AHEAD_MS:
        ahead = 0  # long tasks are better kept for whoever is free first
    return lease.slots * (1 + ahead)


def _work_ms(job: JobToPlace, lease: LeaseToFill) -> float:
    """Run time of a task on this lease: as measured, else as the tenant said; 0 unknown."""
    if lease.done >= WORK_KNOWN_AFTER:
        return max(lease.done_ms / lease.done, 0.1)
    said: float = (job.spec.get("qos") or {}).get("work_ms") or 0
    return said / speed_of(lease.ops_per_s)


def _bound_by_budget(
    session: Session, jobs: Mapping[str, JobToPlace], wanted: dict[str, int], *, now: datetime
) -> list[JobEnd]:
    """Lower ``wanted`` to what each job's hold still covers; the ends of those it covers no more.

    Most jobs hold enough for all their tasks at the limit price, and need no look.
    """
    tight = [job for job in wanted if jobs[job].hold_micros < _worst(jobs[job], tasks=None)]
    ends = []
    for job_id, (spent, live) in placing.read_spent(session, tight, now=now).items():
        job = jobs[job_id]
        each = max(_worst(job, tasks=1), 1)
        affordable = max(0, (job.hold_micros - spent) // each - live)
        wanted[job_id] = min(wanted[job_id], affordable)
        if wanted[job_id] > 0:
            continue
        del wanted[job_id]
        if not live:
            detail = f"{job.hold_micros - spent} micros are left, the next task may cost {each}"
            ends.append(
                JobEnd(
                    job_id=job_id,
                    state=JobState.FAILED,
                    reason=EndReason.BUDGET_EXHAUSTED,
                    detail=detail,
                )
            )
    return ends


def _worst(job: JobToPlace, *, tasks: int | None) -> int:
    """The most that ``tasks`` (None: all) of the job can cost, rounded as a charge is."""
    run_ms = job.spec["limits"]["max_run_ms"] * (job.task_count if tasks is None else tasks)
    return charge_micros(rate_micros_per_hour=job.limit_micros_per_hour, slot_ms=run_ms)


def _assign(
    job: JobToPlace,
    waiting: Sequence[WaitingTask],
    leases: Sequence[LeaseToFill],
    room: Mapping[str, int],
    *,
    allocator: Allocator,
    now: datetime,
    seed: int,
    budget_ms: int,
) -> list[NewAttempt]:
    work_ms = (job.spec.get("qos") or {}).get("work_ms") or 0
    nodes = [
        NodeLoad(
            id=lease.id,
            slots=lease.slots,
            room=room[lease.id],
            live=lease.live,
            speed=speed_of(lease.ops_per_s),
            live_work_ms=work_ms,
        )
        for lease in leases
    ]
    placement = allocator.place(
        [TaskToPlace(id=task.id, work_ms=work_ms) for task in waiting],
        nodes,
        now_ms=int(now.timestamp() * 1000),
        budget_ms=budget_ms,
        seed=seed,
    )
    by_id = {lease.id: lease for lease in leases}
    return [
        NewAttempt(
            id=new_id("attempt", now),
            task_id=task.id,
            job_id=job.id,
            lease_id=lease.id,
            node_id=lease.node_id,
            number=task.attempts + 1,
            fence=lease.epoch,
        )
        for task in waiting
        if (lease := by_id.get(placement.assigned.get(task.id, ""))) is not None
    ]


def _orders(attempts: Sequence[NewAttempt], tasks: Sequence[WaitingTask]) -> list[Order]:
    by_id = {task.id: task for task in tasks}
    return [
        Order(
            attempt_id=attempt.id,
            task_id=attempt.task_id,
            task_index=by_id[attempt.task_id].task_index,
            input=by_id[attempt.task_id].input,
            fence=attempt.fence,
            job_id=attempt.job_id,
            lease_id=attempt.lease_id,
            node_id=attempt.node_id,
        )
        for attempt in attempts
    ]
