"""The default mechanism: Lagrangian prices per node and resource, greedy, annealing, certified.

See ``market.kernels.auction`` for the method. Slots of a bid are items of their own in the search;
a bid that then has fewer than its least count gets the rest or nothing. The payment rule
``critical`` needs an allocation that is monotone in the limit, which no local search is: under it
the round is cleared by ``greedy``, and the certified bound of this mechanism is kept beside it.

Where the plain greedy serves every bid on its best ask, its plan is the optimum: no search is run.
In a small round it is also the guard: the better of the two plans counts.

The policy parameter ``repeatable`` = 1 keeps the clock out: the same snapshot and budget then give
the same plan to the byte, however long it takes. A plan says in ``effort`` how far the clock let it
come; given back as parameters (``market.repeating``) that very plan is made again.
"""

import time
from dataclasses import replace

import numpy as np

from market import feasible, pricing, score
from market.factors import problem_of
from market.kernels import auction
from market.mechanisms import greedy
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Floats, Indices, Ints, Snapshot

PLAIN_PAIRS_MAX = 50_000
ROUNDING = 1e-9


class Hierarchical:
    """The hierarchical mechanism, clearing one cell (or a flat market)."""

    name = "hierarchical"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """The best plan found within ``budget_ms``, with a bound that holds for all pairs."""
        started = time.perf_counter()
        plain = plain_plan(snapshot)
        if plain is not None and plain.welfare >= plain.bound * (1.0 - ROUNDING):
            idle = np.zeros(snapshot.asks.capacity.shape)  # nothing is scarce: the rents are known
            plain = repriced(snapshot, plain, idle)
            return replace(plain, mechanism=self.name, timings_ms=_since(started))
        solution = solve(snapshot, budget_ms=budget_ms)
        if snapshot.policy.payment == "critical":
            plain = plain or greedy.create().clear(snapshot, budget_ms=budget_ms)
            bound = min(plain.bound, solution.bound)
            plain = repriced(snapshot, plain, solution.price)
            return replace(plain, bound=bound, effort=solution.effort)
        bid, ask, count = checked(snapshot, solution.bid, solution.ask, solution.count)
        if plain is not None and plain.welfare > float(score.values(snapshot, bid, ask) @ count):
            bid, ask, count = plain.bid, plain.ask, plain.count
        solved = time.perf_counter()
        plan = complete(
            snapshot,
            mechanism=self.name,
            bid=bid,
            ask=ask,
            count=count,
            bound=min(solution.bound, np.inf if plain is None else plain.bound),
            node_price=solution.price,
            timings_ms=solution.timings_ms,
        )
        plan.timings_ms["explain_ms"] = (time.perf_counter() - solved) * 1e3
        plan.timings_ms.update(_since(started))
        return replace(plan, effort=solution.effort)


def create() -> Hierarchical:
    """The hierarchical mechanism."""
    return Hierarchical()


def plain_plan(snapshot: Snapshot) -> Plan | None:
    """The greedy plan of a small round; None where listing all pairs would cost too much."""
    if len(snapshot.bids) * len(snapshot.asks) > PLAIN_PAIRS_MAX:
        return None
    return greedy.create().clear(snapshot, budget_ms=0)


def repriced(snapshot: Snapshot, plan: Plan, node_price: Floats) -> Plan:
    """``plan`` with these shadow prices, and the standing prices that follow from them."""
    worth = pricing.worth_of_score(snapshot, plan.bid, plan.ask, plan.count, plan.reserve_rate)
    used = pricing.taken(snapshot, plan.bid, plan.ask, plan.count)
    rent = pricing.rents(snapshot, node_price, worth=worth)
    price = pricing.next_prices(snapshot, used, rent=rent)
    return replace(plan, node_price=node_price, standing_price=price)


def _since(started: float) -> dict[str, float]:
    return {"round_ms": (time.perf_counter() - started) * 1e3}


def solve(snapshot: Snapshot, *, budget_ms: int) -> auction.Solution:
    """The kernels' solution of ``snapshot``, in the snapshot's indices."""
    carried = snapshot.carried_price
    shape = snapshot.asks.capacity.shape
    parameters = snapshot.policy.parameters
    return auction.clear(
        problem_of(snapshot),
        count_min=snapshot.bids.count_min,
        budget_ms=budget_ms,
        seed=snapshot.seed,
        carried=carried if carried is not None and carried.shape == shape else None,
        repeatable=parameters.get("repeatable", 0.0) > 0.0,
        effort=parameters if "price_looks" in parameters else None,
    )


def checked(
    snapshot: Snapshot, bid: Indices, ask: Indices, count: Ints
) -> tuple[Indices, Indices, Ints]:
    """The matches that hold in exact integers; single precision may let a hair's breadth pass."""
    good = feasible.refusals(snapshot, bid, ask) == feasible.FEASIBLE
    kept = np.bincount(bid[good], count[good], minlength=len(snapshot.bids))
    good &= kept[bid] >= snapshot.bids.count_min[bid]
    return bid[good], ask[good], count[good]
