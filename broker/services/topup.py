"""Tops up running jobs whose QoS falls under what they asked for (``market.topup`` says when)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from broker.services.buying import buy
from broker.services.places import latency_ms
from broker.services.snapshots import RELIABILITY_PRIOR, speed_of
from db.control import buying, reports
from db.control.buying import HeldLease, LateJob
from db.control.rounds import CellRow
from market.topup import Progress, TopUp, top_up

EVENT = "lease.topped_up"


def jobs_to_top_up(session: Session, now: datetime) -> list[str]:
    """Jobs with ``qos.top_up`` that are late or ill served.

    Not without a measure: a job of which no task has ended yet is not known to be late.
    """
    return [job for job, wanted in _wanted(session, None, now).items() if wanted.slots]


def top_up_job(session: Session, job: str, now: datetime) -> int:
    """Let one job buy what it lacks now; how many slots it got. Locks the job."""
    reports.lock_jobs(session, [job])
    wanted = _wanted(session, [job], now).get(job)
    if wanted is None or not wanted.slots:
        return 0
    return buy(session, job, slots=wanted.slots, event=EVENT, why=wanted.why, now=now).slots


def _wanted(session: Session, only: list[str] | None, now: datetime) -> dict[str, TopUp]:
    jobs = buying.late_jobs(session, only=only, now=now)
    leases = buying.held_leases(session, [job.id for job in jobs], now=now)
    held: dict[str, list[HeldLease]] = {}
    for lease in leases:
        held.setdefault(lease.job_id, []).append(lease)
    return {job.id: top_up(progress(job, held.get(job.id, []), now)) for job in jobs}


def progress(job: LateJob, leases: Sequence[HeldLease], now: datetime) -> Progress:
    """How far ``job`` is, in the terms of the rule."""
    deadline_ms = job.qos.get("deadline_ms") or 0
    ends_at = job.created_at + timedelta(milliseconds=deadline_ms)
    usable = [lease for lease in leases if lease.online]
    failing = sum(lease.slots for lease in usable if fails(job, lease))
    return Progress(
        waiting=job.waiting,
        live=job.live,
        slots=sum(lease.slots for lease in usable) - failing,
        slots_failing=failing,
        task_ms=job.task_ms,
        left_ms=max(0, int((ends_at - now).total_seconds() * 1000)) if deadline_ms else None,
        affordable=job.affordable,
    )


def fails(job: LateJob, lease: HeldLease) -> bool:
    """Whether the lease's node no longer keeps what the job asked of it."""
    good, every = RELIABILITY_PRIOR
    reliability = (lease.reliability_good + good) / (lease.reliability_all + every)
    home = CellRow(job.home_cell, job.home_latitude, job.home_longitude)
    there = CellRow(lease.cell, lease.latitude, lease.longitude)
    far = latency_ms(home, there) if lease.cell != job.home_cell else 0.0
    latency_max = job.qos.get("latency_ms_max") or 0
    return (
        reliability < (job.qos.get("reliability_min") or 0.0)
        or speed_of(lease.ops_per_s) < (job.qos.get("speed_min") or 0.0)
        or 0 < latency_max < far
    )
