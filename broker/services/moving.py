"""Moves what runs on draining nodes, where that pays (``market.moving`` says when).

A node that drains keeps what it is at. Work of which little is done is worth doing again elsewhere,
so that its owner has the device back: first the new place is bought, then the old attempt is given
up; with no place to go, nothing moves.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from broker.services.buying import buy
from broker.services.giving_up import give_up
from broker.services.snapshots import speed_of
from db.control import buying, reports
from db.control.buying import DrainedWork
from market.lifecycle import EndReason
from market.moving import Place, Running, weigh
from market.plan import Plan
from market.snapshot import Snapshot

EVENT = "lease.moved"


def jobs_to_move(session: Session, now: datetime) -> list[str]:
    """Jobs with work on draining nodes that might gain by moving."""
    works = buying.drained_work(session, only=None, now=now)
    return sorted({work.job_id for work in works if _may_pay(work, now)})


def move_job(session: Session, job: str, *, fee_basis_points: int, now: datetime) -> int:
    """Move what pays of one job's work on draining nodes; how many attempts. Locks the job."""
    reports.lock_jobs(session, [job])
    found = buying.drained_work(session, only=[job], now=now)
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


def _may_pay(work: DrainedWork, now: datetime) -> bool:
    """Whether moving would pay to a place as fast as this one, at this one's rate."""
    return weigh(_running(work, now), Place(rate=work.rate, speed=1.0, bytes_missing=0)).pays


def _all_pay(snapshot: Snapshot, plan: Plan, works: Sequence[DrainedWork], now: datetime) -> bool:
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


def _running(work: DrainedWork, now: datetime) -> Running:
    return Running(
        elapsed_ms=max(0, int((now - work.started_at).total_seconds() * 1000)),
        task_ms=work.task_ms or work.said_ms / speed_of(work.ops_per_s),
        price=work.limit,
        rate=work.rate,
        left_ms=max(0, int((work.late_at - now).total_seconds() * 1000)),
        freeing=work.limit,
    )
