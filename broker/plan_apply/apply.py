"""Applies one plan in the caller's transaction: locks, re-checks, writes, tells."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from broker.plan_apply.recheck import Checked, recheck
from db import events, notify
from db.control import plans
from db.control.plans import FreeNode, NewLeases, OpenDemand, Outcomes
from db.events import NewEvent
from db.ids import new_ids
from market import pricing
from market.plan import Plan
from market.snapshot import Ints, Snapshot

DETAIL_CHARS_MAX = 500
# With more losers than this only those are noted whose reason is new: ten thousands of demands that
# wait for the same reason need not be written again every few seconds.
LOSERS_NOTED_MAX = 2_000
ROUNDS_ALWAYS_NOTED = 2  # so that a demand which its cell cannot serve is seen to be stuck
_REFUSED = "the plan's place was gone when it was to be leased; it is offered to the next round"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of a plan."""

    slots_matched: int
    slots_applied: int
    refused: Mapping[str, int] = field(default_factory=dict)  # slots by reason
    jobs: tuple[str, ...] = ()  # that have new leases

    @property
    def slots_refused(self) -> int:
        return self.slots_matched - self.slots_applied


def apply_plan(
    session: Session,
    snapshot: Snapshot,
    plan: Plan,
    *,
    now: datetime,
    packed: bytes | None,
    every_loser: bool,
    budget_ms: int = 0,
) -> Applied:
    """Make leases of all of ``plan`` that still holds, and record the round.

    ``packed`` is the stored form of the snapshot, ``budget_ms`` what the mechanism was given: with
    the plan's effort they repeat it. ``every_loser`` notes the outcome of each bid
    that won nothing (unless they are very many), otherwise only of those whose reason is new:
    rounds may follow one another by the hundred while the same bids wait.
    """
    winners = {snapshot.bids.ids[i] for i in np.unique(plan.bid).tolist()}
    chosen = {snapshot.asks.ids[j] for j in np.unique(plan.ask).tolist()}
    demands = plans.lock_demands(session, winners, cell=snapshot.cell, now=now) if winners else {}
    nodes = plans.lock_nodes(session, chosen, now=now) if chosen else {}
    checked = recheck(snapshot, plan, demands, nodes)
    leases = _leases(snapshot, plan, checked, demands, nodes, now=now)
    plans.insert_leases(session, leases, round_id=snapshot.round_id, now=now)
    slots_of = _slots_of_jobs(leases)
    applied = Applied(
        slots_matched=int(plan.count.sum()),
        slots_applied=int(checked.count.sum()),
        refused=checked.refused,
        jobs=tuple(sorted(slots_of)),
    )
    plans.insert_round(session, _round(snapshot, plan, applied, packed, budget_ms), now=now)
    _record_outcomes(session, snapshot, plan, checked, every_loser=every_loser)
    plans.mark_matched(session, slots_of, now=now)
    moved = plans.set_prices(
        session, _prices(snapshot, plan, checked), round_id=snapshot.round_id, now=now
    )
    events.append(session, _round_events(snapshot, plan, applied, moved), now=now)
    notify.notify_all(session, [(notify.LEASE, job) for job in applied.jobs])
    return applied


def _leases(
    snapshot: Snapshot,
    plan: Plan,
    checked: Checked,
    demands: Mapping[str, OpenDemand],
    nodes: Mapping[str, FreeNode],
    *,
    now: datetime,
) -> NewLeases:
    """In the order of their jobs, so that rows and ids go to the end of most indexes."""
    bids = snapshot.bids
    sold = np.flatnonzero(checked.count)
    wanted = [demands[bids.ids[i]] for i in plan.bid[sold].tolist()]
    order = sorted(range(len(sold)), key=lambda k: wanted[k].job_id)
    sold = sold[order]
    mine = [wanted[k] for k in order]
    bid = plan.bid[sold]
    chosen = [nodes[snapshot.asks.ids[j]] for j in plan.ask[sold].tolist()]
    return NewLeases(
        id=new_ids("lease", now, len(sold)),
        job_id=[demand.job_id for demand in mine],
        demand_id=[demand.id for demand in mine],
        node_id=[node.id for node in chosen],
        cell_id=[node.cell_id for node in chosen],
        owner_id=[node.owner_id for node in chosen],
        tenant_id=[snapshot.tenants[t] for t in bids.tenant[bid].tolist()],
        slots=checked.count[sold],
        resources=bids.demand[bid],
        rate=plan.rate[sold],
        reserve=plan.reserve_rate[sold],
        limit=bids.limit[bid],
        ends_at=_ends(bids.duration_ms[bid], mine, now=now),
    )


def _ends(duration_ms: Ints, demands: Sequence[OpenDemand], *, now: datetime) -> list[datetime]:
    """(k,) the end of each window, but not after its job's own end."""
    ends = {ms: now + timedelta(milliseconds=ms) for ms in np.unique(duration_ms).tolist()}
    return [
        min(ends[ms], demand.expires_at)
        for ms, demand in zip(duration_ms.tolist(), demands, strict=True)
    ]


def _slots_of_jobs(leases: NewLeases) -> dict[str, int]:
    slots: dict[str, int] = defaultdict(int)
    for job, count in zip(leases.job_id, leases.slots.tolist(), strict=True):
        slots[job] += count
    return slots


def _round(
    snapshot: Snapshot, plan: Plan, applied: Applied, packed: bytes | None, budget_ms: int
) -> dict[str, Any]:
    return {
        "id": snapshot.round_id,
        "cell_id": snapshot.cell,
        "policy_id": snapshot.policy.id,
        "mechanism": plan.mechanism,
        "seed": snapshot.seed,
        "bid_count": len(snapshot.bids),
        "ask_count": len(snapshot.asks),
        "slots_asked": int(snapshot.bids.count.sum()),
        "slots_matched": applied.slots_matched,
        "slots_applied": applied.slots_applied,
        "slots_refused": applied.slots_refused,
        "welfare": plan.welfare,
        "bound": plan.bound,
        "timings_ms": {name: round(value, 3) for name, value in plan.timings_ms.items()},
        "snapshot": packed,
        "budget_ms": budget_ms,
        "effort": plan.effort,
        "digest": plan.digest(),
        "depth": _depth(snapshot, plan),
    }


def _depth(snapshot: Snapshot, plan: Plan) -> dict[str, list[int]]:
    """Base units free, asked for and taken, by resource; without those nobody offers or asks."""
    bids = snapshot.bids
    free = snapshot.asks.capacity.sum(axis=0)
    asked = (bids.demand * bids.count[:, None]).sum(axis=0)
    taken = (bids.demand[plan.bid] * plan.count[:, None]).sum(axis=0)
    return {
        name: [int(free[r]), int(asked[r]), int(taken[r])]
        for r, name in enumerate(snapshot.resources)
        if free[r] or asked[r]
    }


def _record_outcomes(
    session: Session, snapshot: Snapshot, plan: Plan, checked: Checked, *, every_loser: bool
) -> None:
    bids = snapshot.bids
    won = np.bincount(plan.bid, weights=checked.count, minlength=len(bids)).astype(np.int64)
    planned = np.bincount(plan.bid, weights=plan.count, minlength=len(bids)).astype(np.int64)
    details = [detail[:DETAIL_CHARS_MAX] for detail in plan.loss_detail]
    for i in np.flatnonzero(won < planned).tolist():
        details[i] = details[i] or _REFUSED
    outcomes = Outcomes(
        demand_id=bids.ids,
        asked=bids.count,
        won=won,
        loss=[loss or "" for loss in plan.loss],
        detail=details,
    )
    winners, losers = outcomes.at(np.flatnonzero(won)), outcomes.at(np.flatnonzero(won == 0))
    plans.record_winners(session, winners)
    every = every_loser and len(losers) <= LOSERS_NOTED_MAX
    noted = plans.record_losers(session, losers, every=every, few=ROUNDS_ALWAYS_NOTED)
    for shown in (winners, noted):
        plans.insert_outcomes(session, shown, round_id=snapshot.round_id)


def _prices(
    snapshot: Snapshot, plan: Plan, checked: Checked
) -> dict[tuple[str, str], tuple[float, float]]:
    """(price, utilisation) by (cell, resource), where the cell offers the resource at all."""
    used = pricing.taken(snapshot, plan.bid, plan.ask, checked.count)
    share = pricing.utilisation(snapshot, used)
    return {
        (snapshot.cells[c], snapshot.resources[r]): (
            float(plan.standing_price[c, r]),
            float(share[c, r]),
        )
        for c, r in np.argwhere(~np.isnan(share)).tolist()
    }


def _round_events(
    snapshot: Snapshot, plan: Plan, applied: Applied, moved: Mapping[tuple[str, str], float]
) -> list[NewEvent]:
    told = [
        NewEvent(
            kind="round.cleared",
            subject_id=snapshot.cell,
            data={
                "round_id": snapshot.round_id,
                "cell_id": snapshot.cell,
                "slots": applied.slots_applied,
                "refused": applied.slots_refused,
                "welfare": plan.welfare,
                "gap": plan.gap,
                "prices": {resource: price for (_, resource), price in moved.items()},
            },
        )
    ]
    by_cell: dict[str, dict[str, float]] = defaultdict(dict)
    for (cell, resource), price in moved.items():
        by_cell[cell][resource] = price
    told += [
        NewEvent(kind="price.moved", subject_id=cell, data={"cell_id": cell, "prices": prices})
        for cell, prices in by_cell.items()
    ]
    return told
