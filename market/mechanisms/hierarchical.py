"""The default mechanism: Lagrangian prices per node and resource, greedy, annealing, certified.

See ``market.kernels.auction`` for the method. Slots of a bid are items of their own in the search;
a bid that then has fewer than its least count gets the rest or nothing. The payment rule
``critical`` needs an allocation that is monotone in the limit, which no local search is: under it
the round is cleared by ``greedy``, and the certified bound of this mechanism is kept beside it.

The policy parameter ``repeatable`` = 1 keeps the clock out: the same snapshot and budget then give
the same plan to the byte on any machine, however long it takes.
"""

import time
from dataclasses import replace

import numpy as np

from market import feasible
from market.factors import problem_of
from market.kernels import auction
from market.mechanisms import greedy
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Indices, Ints, Snapshot


class Hierarchical:
    """The hierarchical mechanism, clearing one cell (or a flat market)."""

    name = "hierarchical"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """The best plan found within ``budget_ms``, with a bound that holds for all pairs."""
        started = time.perf_counter()
        solution = solve(snapshot, budget_ms=budget_ms)
        if snapshot.policy.payment == "critical":
            plain = greedy.create().clear(snapshot, budget_ms=budget_ms)
            bound = min(plain.bound, solution.bound)
            return replace(plain, bound=bound, node_price=solution.price)
        bid, ask, count = checked(snapshot, solution.bid, solution.ask, solution.count)
        solved = time.perf_counter()
        plan = complete(
            snapshot,
            mechanism=self.name,
            bid=bid,
            ask=ask,
            count=count,
            bound=solution.bound,
            node_price=solution.price,
            timings_ms=solution.timings_ms,
        )
        plan.timings_ms["explain_ms"] = (time.perf_counter() - solved) * 1e3
        plan.timings_ms["round_ms"] = (time.perf_counter() - started) * 1e3
        return plan


def create() -> Hierarchical:
    """The hierarchical mechanism."""
    return Hierarchical()


def solve(snapshot: Snapshot, *, budget_ms: int) -> auction.Solution:
    """The kernels' solution of ``snapshot``, in the snapshot's indices."""
    carried = snapshot.carried_price
    shape = snapshot.asks.capacity.shape
    return auction.clear(
        problem_of(snapshot),
        count_min=snapshot.bids.count_min,
        budget_ms=budget_ms,
        seed=snapshot.seed,
        carried=carried if carried is not None and carried.shape == shape else None,
        repeatable=snapshot.policy.parameters.get("repeatable", 0.0) > 0.0,
    )


def checked(
    snapshot: Snapshot, bid: Indices, ask: Indices, count: Ints
) -> tuple[Indices, Indices, Ints]:
    """The matches that hold in exact integers; single precision may let a hair's breadth pass."""
    good = feasible.refusals(snapshot, bid, ask) == feasible.FEASIBLE
    kept = np.bincount(bid[good], count[good], minlength=len(snapshot.bids))
    good &= kept[bid] >= snapshot.bids.count_min[bid]
    return bid[good], ask[good], count[good]
