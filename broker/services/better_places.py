"""Moves running work off healthy nodes to clearly better places, for its tenant's gain.

The plain way would be to give the attempt up, as on a draining node, and place its task again. But
its owner has kept its word and would have worked for nothing; the task might be placed anywhere;
and a job that pays for half a run and then for a whole one might run out of money. So the attempt
ends as ``cancelled``, ``moved``, its time is charged as a delivered one's is; the new attempt is
written on the very place that was weighed, in the same transaction; and the job bids from then on
no more than what its hold still pays at worst, should the new place die as well. Each task moves
for a gain once. What can still go wrong is the estimate: the tenant's stated or its tasks' measured
run times, and how fast the nodes say they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from broker.services import leases
from broker.services.buying import buy, nearest_cells, snapshot_of
from broker.services.moving import EVENT, elapsed_ms, running
from broker.services.snapshots import REFERENCE_OPS_PER_S, current_policy, speed_of
from db import outbox
from db.control import moving, placing, reports, rounds
from db.control.moving import RunningWork
from db.control.placing import NewAttempt
from db.control.reports import AttemptMove
from db.ids import new_id
from db.outbox import NewCommand
from market.better_places import BetterPlace, best_place, only
from market.lifecycle import AttemptState, EndReason, LeaseState
from market.money import charge_micros, format_credits
from market.moving import REST_MS_MIN, limit_after
from market.settlement import owed_on_moving_ms
from market.snapshot import Snapshot

EVERY_S = 10.0  # between two looks
LOOKED_AT_MAX = 64  # attempts in one look
MOVES_MAX = 8  # jobs in one look: each is a small round of its own
PARAMETER = "moving"  # of the policy; 0: nothing is moved off a healthy node


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What moves where."""

    work: RunningWork
    place: BetterPlace
    limit: int  # that the job bids from then on, micros per slot and hour


def jobs_with_better_places(session: Session, now: datetime) -> list[str]:
    """Jobs of which something runs that would clearly gain elsewhere, as it looks without locks.

    Those that gain most first, at most ``MOVES_MAX``. Costs two statements where nothing runs long
    enough, and else a snapshot as of one round.
    """
    if current_policy(session, mechanism="").parameters.get(PARAMETER, 1.0) <= 0.0:
        return []
    works = [work for work in _works(session, None, now) if limit_left(work, now) > 0]
    if not works:
        return []
    bids = rounds.read_bids_by_id(session, sorted({work.demand_id for work in works}))
    homes = sorted({work.home_cell for work in works})
    cells = nearest_cells(session, homes)
    snapshot = snapshot_of(session, bids, cells=cells, cell=homes[0], now=now)
    found = [choice for work in works if (choice := choose(snapshot, [work], now)) is not None]
    found.sort(key=lambda choice: choice.place.net_micros, reverse=True)
    return list(dict.fromkeys(choice.work.job_id for choice in found))[:MOVES_MAX]


def better_job(session: Session, job: str, *, now: datetime) -> int:
    """Move what gains most of one job, if anything still does; how many attempts. Locks the job."""
    reports.lock_jobs(session, [job])
    works = _works(session, [job], now)
    if not works:
        return 0
    made: list[Choice] = []

    def narrow(snapshot: Snapshot) -> tuple[Snapshot, str] | None:
        choice = choose(snapshot, works, now)
        if choice is None:
            return None
        made.append(choice)
        return only(snapshot, choice.place.ask), why(choice, now)

    bought = buy(session, job, slots=1, event=EVENT, why="", now=now, narrow=narrow)
    if not bought.slots:
        return 0
    _move(session, made[0], bought.round_id, now=now)
    return 1


def choose(snapshot: Snapshot, works: Sequence[RunningWork], now: datetime) -> Choice | None:
    """The move of one of ``works`` that gains most, to a place its job can pay."""
    found = []
    bids = {demand: k for k, demand in enumerate(snapshot.bids.ids)}
    for work in works:
        limit = limit_left(work, now)
        if limit < max(work.rate_staying, 1) or work.demand_id not in bids:
            continue
        place = best_place(
            snapshot,
            bids[work.demand_id],
            running(work, now),
            here=work.node_id,
            speed_here=speed_of(work.ops_per_s),
            bytes_missing=work.bytes_missing,
            rate_max=limit,
        )
        if place is not None:
            found.append(Choice(work=work, place=place, limit=limit))
    return max(found, key=lambda choice: choice.place.net_micros, default=None)


def limit_left(work: RunningWork, now: datetime) -> int:
    """What the job may bid once ``work`` is moved and paid: all its open tasks must stay payable.

    At that rate each of them may still run for its longest, so whatever happens to the new place,
    nobody's work is left unpaid.
    """
    owed = charge_micros(rate_micros_per_hour=work.rate, slot_ms=_owed_ms(work, now))
    left = work.hold - work.spent - owed
    return min(
        work.limit,
        limit_after(left_micros=left, tasks=work.tasks_open, max_run_ms=work.max_run_ms),
    )


def why(choice: Choice, now: datetime) -> str:
    """A sentence for people, with the figures that decided."""
    work, place = choice.work, choice.place
    here, late = running(work, now), ""
    if not here.stays_in_time:
        late = ", too late,"
    owed = charge_micros(rate_micros_per_hour=work.rate, slot_ms=_owed_ms(work, now))
    return (
        f"task {work.task_index} would take {here.rest_ms / 1000:.1f} s more{late} at "
        f"{format_credits(work.rate)} credits an hour where it runs, and elsewhere "
        f"{place.there_ms / 1000:.1f} s at {format_credits(place.rate)}; "
        f"the {_owed_ms(work, now) / 1000:.1f} s that it ran are paid, {format_credits(owed)}"
    )


def _works(session: Session, only_of: list[str] | None, now: datetime) -> list[RunningWork]:
    """What may move for a gain, and has enough left to do."""
    found = moving.healthy_work(
        session,
        only=only_of,
        rest_ms_min=REST_MS_MIN,
        turn=str(int(now.timestamp() // EVERY_S)),
        most=LOOKED_AT_MAX,
        reference_ops_per_s=REFERENCE_OPS_PER_S,
        now=now,
    )
    return [work for work in found if running(work, now).rest_ms >= REST_MS_MIN]


def _owed_ms(work: RunningWork, now: datetime) -> int:
    return owed_on_moving_ms(ran_ms=elapsed_ms(work, now), max_run_ms=work.max_run_ms)


def _move(session: Session, choice: Choice, round_id: str, *, now: datetime) -> None:
    """End the old attempt as moved and charged, write the new one on the place just leased.

    The task stays placed and keeps its tries: the move is not a failure. The job is locked, so
    whatever the old node reports later finds its attempt ended, and is stale.
    """
    work = choice.work
    ended = AttemptMove(
        id=work.attempt,
        state=AttemptState.CANCELLED,
        reason=EndReason.MOVED,
        detail=why(choice, now),
        chargeable_ms=_owed_ms(work, now),
        ended_at=now,
    )
    reports.move_attempts(session, [ended])
    place = moving.new_place(session, round_id, work.job_id)
    begun = NewAttempt(
        id=new_id("attempt", now),
        task_id=work.task_id,
        job_id=work.job_id,
        lease_id=place.lease_id,
        node_id=place.node_id,
        number=work.attempts + 1,
        fence=place.epoch,
    )
    placing.insert_attempts(session, [begun], now=now, sent=False)
    moving.lower_limit(session, work.demand_id, choice.limit)
    stop = {"attempts": [work.attempt], "reason": str(EndReason.MOVED)}
    outbox.add(session, [NewCommand(node_id=work.node_id, type="cancel", data=stop)], now=now)
    idle = reports.idle_leases(session, [work.lease_id])
    leases.end_leases(session, idle, LeaseState.RELEASED, reason=str(EndReason.MOVED), now=now)
