"""The optimum of a round as an integer programme, solved by OR-Tools CP-SAT.

Variables: slots of bid i on ask j, and whether bid i is served at all (for ``count_min``). One
worker and a fixed seed: the same plan each time, as long as the budget does not cut the search.
"""

from dataclasses import replace

import numpy as np
from ortools.sat.python import cp_model

from market import feasible, score
from market.mechanisms import greedy
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Floats, Indices, Ints, Snapshot

OBJECTIVE_STEPS = 10**9  # integer steps that the best pair's value is divided into
WORTHLESS = 1e-250  # a value below it cannot be divided so: tenants far ahead get as little


class Exact:
    """The exact mechanism."""

    name = "exact"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """The optimum, or the best plan of the budget with the solver's own bound."""
        bid, ask = feasible.feasible_pairs(snapshot)
        value = score.values(snapshot, bid, ask)
        hint = greedy.create().clear(_pay_as_bid(snapshot), budget_ms=budget_ms)
        slots, bound = solve(snapshot, bid, ask, value, hint=hint, budget_ms=budget_ms)
        won = slots > 0
        rate = None
        if snapshot.policy.payment == "vcg":
            rate = vcg_rates(snapshot, bid, ask, value, slots, budget_ms=budget_ms)[won]
        return complete(
            snapshot,
            mechanism=self.name,
            bid=bid[won],
            ask=ask[won],
            count=slots[won],
            bound=bound,
            rate=rate,
        )


def solve(
    snapshot: Snapshot,
    bid: Indices,
    ask: Indices,
    value: Floats,
    *,
    budget_ms: int,
    hint: Plan | None = None,
) -> tuple[Ints, float]:
    """(slots (k,) of each pair, a valid upper bound of the welfare)."""
    if not len(bid) or value.max() < WORTHLESS:
        return np.zeros(len(bid), np.int64), _best_each(snapshot, bid, value)
    bids = snapshot.bids
    scale = OBJECTIVE_STEPS / float(value.max())
    model = cp_model.CpModel()
    room = np.minimum(_room(snapshot, bid, ask), bids.count[bid])
    slots = [model.new_int_var(0, int(most), "") for most in room]
    for i in np.unique(bid).tolist():
        mine = [slots[k] for k in np.flatnonzero(bid == i)]
        if bids.count_min[i] > 1:
            served = model.new_bool_var("")
            model.add(sum(mine) <= int(bids.count[i]) * served)
            model.add(sum(mine) >= int(bids.count_min[i]) * served)
        else:
            model.add(sum(mine) <= int(bids.count[i]))
    for j in np.unique(ask).tolist():
        here = np.flatnonzero(ask == j)
        for r in range(len(snapshot.resources)):
            weights = bids.demand[bid[here], r]
            model.add(
                sum(slots[k] * int(w) for k, w in zip(here, weights, strict=True))
                <= int(snapshot.asks.capacity[j, r])
            )
    coefficients = np.floor(value * scale).astype(np.int64)
    model.maximize(sum(x * int(c) for x, c in zip(slots, coefficients, strict=True)))
    if hint is not None:
        for variable, hinted in zip(slots, _hinted(bid, ask, hint).tolist(), strict=True):
            model.add_hint(variable, hinted)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = budget_ms / 1_000
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = snapshot.seed % 2**31
    status = solver.solve(model)
    # Rounding the coefficients down loses less than one step a slot: the bound gets it back.
    able = np.minimum(np.bincount(bid, room.astype(float)), bids.count[: int(bid.max()) + 1])
    slack = float(able.sum())
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        found = np.array([solver.value(x) for x in slots], dtype=np.int64)
        return found, (solver.best_objective_bound + slack) / scale
    return _hinted(bid, ask, hint), _best_each(snapshot, bid, value)


def vcg_rates(
    snapshot: Snapshot, bid: Indices, ask: Indices, value: Floats, slots: Ints, *, budget_ms: int
) -> Ints:
    """(k,) the limit at which each winner's own score would just make good the others' loss.

    The loss that winner i causes is E = W(without i) − (W − what i's slots are worth). Its score
    is size·(a − α·c/limit) per slot, so the limit that makes it worth E is solved for directly.
    """
    alpha = score.weights(snapshot)[0]
    size = score.sizes(snapshot)
    expense = np.einsum(
        "kr,kr->k", snapshot.bids.demand[bid].astype(float), score.unit_prices(snapshot)[ask]
    )
    rate = snapshot.bids.limit[bid].copy()
    welfare = float(value @ slots)
    for i in np.unique(bid[slots > 0]).tolist():
        mine = (bid == i) & (slots > 0)
        others = bid != i
        without, _ = solve(snapshot, bid[others], ask[others], value[others], budget_ms=budget_ms)
        worth = float(value[mine] @ slots[mine])
        loss = float(value[others] @ without) - (welfare - worth)
        spent = size[i] * alpha * float(expense[mine] @ slots[mine])
        # worth(limit) = worth + spent·(1/limit_i − 1/limit) = loss
        inverse = 1.0 / snapshot.bids.limit[i] + (worth - loss) / max(spent, 1e-300)
        rate[mine] = int(np.ceil(1.0 / inverse - 1e-9))
    return rate


def _pay_as_bid(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, policy=replace(snapshot.policy, payment="pay_as_bid"))


def _room(snapshot: Snapshot, bid: Indices, ask: Indices) -> Ints:
    demand = snapshot.bids.demand[bid]
    free = snapshot.asks.capacity[ask]
    fits = np.full(demand.shape, np.iinfo(np.int64).max)
    np.floor_divide(free, demand, out=fits, where=demand > 0)
    room: Ints = np.maximum(fits.min(axis=1, initial=np.iinfo(np.int64).max), 0)
    return room


def _hinted(bid: Indices, ask: Indices, hint: Plan | None) -> Ints:
    given: dict[tuple[int, int], int] = {}
    if hint is not None:
        keys = zip(hint.bid.tolist(), hint.ask.tolist(), strict=True)
        given = dict(zip(keys, hint.count.tolist(), strict=True))
    pairs = zip(bid.tolist(), ask.tolist(), strict=True)
    return np.array([given.get(pair, 0) for pair in pairs], dtype=np.int64)


def _best_each(snapshot: Snapshot, bid: Indices, value: Floats) -> float:
    best = np.zeros(len(snapshot.bids))
    np.maximum.at(best, bid, value)
    return float(best @ snapshot.bids.count)
