"""Moves what runs on draining nodes, where that pays (``market.moving`` says when).

A node that drains keeps what it is at. Work of which little is done is worth doing again elsewhere,
so that its owner has the device back: first the new place is bought, then the old attempt is given
up; with no place to go, nothing moves.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from broker.services.buying import buy
from broker.services.giving_up import give_up
from broker.services.snapshots import REFERENCE_OPS_PER_S, speed_of
from db.control import moving, reports
from db.control.moving import RunningWork
from market.lifecycle import EndReason
from market.moving import Place, Running, weigh
from market.plan import Plan
from market.snapshot import Snapshot

EVENT = "lease.moved"


def jobs_to_move(session: Session, now: datetime) -> list[str]:
    """Jobs with work on draining nodes that might gain by moving."""
    works = _drained(session, None, now)
    return sorted({work.job_id for work in works if _may_pay(work, now)})


def move_job(session: Session, job: str, *, fee_basis_points: int, now: datetime) -> int:
    """Move what pays of one job's work on draining nodes; how many attempts. Locks the job."""
    reports.lock_jobs(session, [job])
    found = _drained(session, [job], now)
    works = [work for work in found if _may_pay(work, now)]
    if not works:
        return 0
    bought = buy(
        session,
        job,
        slots=len(works),
        event=EVENT,
        why=f"the node of {len(works)} of its tasks is to be drained, and they have just begun",
        now=now,
        accept=lambda snapshot, plan: _all_pay(snapshot, plan, works, now),
    )
    # The youngest first: the least is lost with them.
    works.sort(key=lambda work: work.started_at, reverse=True)
    reasons = {work.attempt: EndReason.DRAINED for work in works[: bought.slots]}
    give_up(session, reasons, fee_basis_points=fee_basis_points, now=now)
    return len(reasons)


def _drained(session: Session, only: list[str] | None, now: datetime) -> list[RunningWork]:
    return moving.drained_work(session, only=only, reference_ops_per_s=REFERENCE_OPS_PER_S, now=now)


def _may_pay(work: RunningWork, now: datetime) -> bool:
    """Whether moving would pay to a place as fast as this one, at this one's rate."""
    return weigh(_running(work, now), Place(rate=work.rate, speed=1.0, bytes_missing=0)).pays


def _all_pay(snapshot: Snapshot, plan: Plan, works: Sequence[RunningWork], now: datetime) -> bool:
    """Whether every one of ``works`` gains by the dearest and the slowest of the places found."""
    rate = int(plan.rate.max())
    slowest = float(snapshot.asks.speed[plan.ask].min())
    return all(
        weigh(
            _running(work, now),
            Place(
                rate=rate,
                speed=slowest / speed_of(work.ops_per_s),
                bytes_missing=work.bytes_missing,
            ),
        ).pays
        for work in works
    )


def _running(work: RunningWork, now: datetime) -> Running:
    """As nothing that ran on a draining node is charged, and freeing it is worth something."""
    return replace(running(work, now), freeing=work.price, charged=False)


def running(work: RunningWork, now: datetime) -> Running:
    """``work`` in the terms of the rule."""
    return Running(
        elapsed_ms=elapsed_ms(work, now),
        task_ms=work.work_ms / speed_of(work.ops_per_s),
        price=work.price,
        rate=work.rate,
        left_ms=max(0, int((work.late_at - now).total_seconds() * 1000)),
        deadline_sold=work.deadline_sold,
    )


def elapsed_ms(work: RunningWork, now: datetime) -> int:
    """How long it has run, as the platform saw it."""
    return max(0, int((now - work.started_at).total_seconds() * 1000))
