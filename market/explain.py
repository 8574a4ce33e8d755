"""Explains one bid's outcome: its candidates, what ruled the others out, what would have won."""

from dataclasses import dataclass

import numpy as np

from market import feasible, losses, score
from market.plan import Loss, Plan
from market.pricing import taken
from market.snapshot import Indices, Snapshot

CANDIDATES_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One ask that could serve the bid."""

    node: str
    cost: float
    qos: float
    energy: float
    fairness: float
    value: float  # of one slot
    reserve_rate: int  # micros per slot and hour
    slots_free: int  # whole slots that fit in what the plan leaves
    slots_won: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a bid got what it got."""

    bid: str
    served: int
    wanted: int
    loss: Loss | None
    detail: str
    candidates: tuple[Candidate, ...]  # best first, at most ``CANDIDATES_SHOWN_MAX``
    candidates_total: int
    ruled_out: dict[Loss, int]  # asks by the first hard constraint that they break
    figures: dict[Loss, str]  # of each: what is needed, and what the ask that comes closest has
    winning_limit: int | None  # micros per slot and hour that would have won; None: no price would


def explain(snapshot: Snapshot, plan: Plan, bid: int) -> Explanation:
    """The explanation of bid ``bid`` (an index) under ``plan``; one pass over the asks."""
    codes = feasible.row_refusals(snapshot, bid)
    asks = np.flatnonzero(codes == feasible.FEASIBLE).astype(np.int32)
    broken = {k: loss for k, loss in enumerate(feasible.CONSTRAINTS) if (codes == k).any()}
    mine = plan.bid == bid
    won = dict(zip(plan.ask[mine].tolist(), plan.count[mine].tolist(), strict=True))
    served = int(plan.count[mine].sum())
    return Explanation(
        bid=snapshot.bids.ids[bid],
        served=served,
        wanted=int(snapshot.bids.count[bid]),
        loss=plan.loss[bid],
        detail=plan.loss_detail[bid],
        candidates=best_candidates(snapshot, plan, bid, asks, won),
        candidates_total=len(asks),
        ruled_out={reason: int((codes == code).sum()) for code, reason in broken.items()},
        figures={
            reason: losses.constraint_loss(
                snapshot, bid, code, losses.closest_of(snapshot, bid, code, codes)
            )[1]
            for code, reason in broken.items()
        },
        winning_limit=None if plan.loss[bid] is None else winning_limit(snapshot, plan, bid),
    )


def best_candidates(
    snapshot: Snapshot, plan: Plan, bid: int, asks: Indices, won: dict[int, int]
) -> tuple[Candidate, ...]:
    """The asks that won and the best others, by value."""
    row = np.full(len(asks), bid, dtype=np.int32)
    value = score.values(snapshot, row, asks)
    winner = np.isin(asks, list(won))
    shown = np.lexsort((asks, -value, ~winner))[:CANDIDATES_SHOWN_MAX]
    asks, row = asks[shown], row[shown]
    part = score.terms(snapshot, row, asks)
    free = snapshot.asks.capacity - taken(snapshot, plan.bid, plan.ask, plan.count)
    room = np.minimum(
        feasible.slots_that_fit(free[asks], snapshot.bids.demand[bid]), snapshot.bids.count[bid]
    )
    rates = feasible.reserve_rates(snapshot, row, asks)
    return tuple(
        Candidate(
            node=snapshot.asks.ids[ask],
            cost=float(part.cost[k]),
            qos=float(part.qos[k]),
            energy=float(part.energy[k]),
            fairness=float(part.fairness[k]),
            value=float(value[shown[k]]),
            reserve_rate=int(rates[k]),
            slots_free=int(room[k]),
            slots_won=won.get(ask, 0),
        )
        for k, ask in enumerate(asks.tolist())
    )


def winning_limit(snapshot: Snapshot, plan: Plan, bid: int) -> int | None:
    """The least limit at which one slot would have been worth the place it takes on some ask.

    On an ask with room that is the reserve; on a full one the limit at which the bid's density
    beats that of the least dense winners whose places it needs. An estimate for mechanisms that
    search; None where no limit would do (the other terms are too low, or no ask may serve it).
    """
    bids = snapshot.bids
    codes = feasible.row_refusals(snapshot, bid)
    money = feasible.CONSTRAINTS.index(Loss.LIMIT_BELOW_RESERVE)
    asks = np.flatnonzero(codes >= money).astype(np.int32)
    if not len(asks):
        return None
    row = np.full(len(asks), bid, dtype=np.int32)
    reserve = feasible.reserve_rates(snapshot, row, asks).astype(np.float64)
    needed = needed_densities(snapshot, plan, bid, asks)
    alpha = score.weights(snapshot)[0]
    part = score.densities(snapshot, row, asks)
    cost = score.terms(snapshot, row, asks).cost
    expense = (1.0 - cost) * max(int(bids.limit[bid]), 1)
    # density(limit) = rest + α·(1 − expense / limit) ≥ needed, solved for the limit
    short = alpha + (part - alpha * cost) - needed
    wanted = np.full(len(asks), np.inf)
    np.divide(alpha * expense, short, out=wanted, where=short > 0)
    wanted = np.maximum(np.where(needed <= 0, 0.0, wanted), reserve)
    best = float(wanted.min())
    return int(np.ceil(best)) if np.isfinite(best) and best < 2**62 else None


def needed_densities(snapshot: Snapshot, plan: Plan, bid: int, asks: Indices) -> np.ndarray:
    """(k,) density that a slot of ``bid`` must beat to take its place on each ask.

    0 where the plan leaves room; inf where even all the plan's matches would not make room.
    """
    demand = snapshot.bids.demand[bid]
    free = snapshot.asks.capacity - taken(snapshot, plan.bid, plan.ask, plan.count)
    density = score.densities(snapshot, plan.bid, plan.ask)
    needed = np.full(len(asks), np.inf)
    order = np.argsort(plan.ask, kind="stable")
    first = np.searchsorted(plan.ask[order], asks)
    last = np.searchsorted(plan.ask[order], asks, side="right")
    for k, ask in enumerate(asks.tolist()):
        room = free[ask].copy()
        here = order[first[k] : last[k]]
        needed[k] = 0.0 if (room >= demand).all() else np.inf
        for match in here[np.argsort(density[here], kind="stable")].tolist():
            if needed[k] < np.inf:
                break
            room += snapshot.bids.demand[plan.bid[match]] * plan.count[match]
            if (room >= demand).all():
                needed[k] = density[match]
    return needed
