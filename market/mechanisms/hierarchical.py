"""The default mechanism: Lagrangian prices per node and resource, greedy, annealing, certified.

See ``market.kernels.clearing`` for the method. Slots of a bid are items of their own in the search;
a bid that then has fewer than its least count gets the rest or nothing. The payment rule
``critical`` needs an allocation that is monotone in the limit, which no local search is: under it
the round is cleared by ``greedy``, and the certified bound of this mechanism is kept beside it.

Where the plain greedy serves every bid on its best ask, its plan is the optimum: no search is run.
In a small round it is also the guard: the better of the two plans counts.

Welfare counts bids by their size, so of two plans that are about as good it does not matter whether
one large bid or ten small ones are served. The policy parameter ``requesters`` (0 to 1) lets the
search, not the score, count slots alike: more requesters are served for about the same welfare.

The policy parameter ``repeatable`` = 1 keeps the clock out: the same snapshot and budget then give
the same plan to the byte, however long it takes. A plan says in ``effort`` how far the clock let it
come; given back as parameters (``market.repeating``) that very plan is made again.
"""

import time
from dataclasses import replace

import numpy as np

from market import feasible, pricing, score
from market.factors import problem_of
from market.kernels import clearing
from market.kernels.problem import Problem, single
from market.mechanisms import greedy
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Floats, Indices, Ints, Snapshot

PAYMENTS = ("critical",)
PARAMETERS = {"requesters": (0.0, 1.0)}
PLAIN_PAIRS_MAX = 50_000
ROUNDING = 1e-9
BOUND_SHARE = 0.3  # of the budget, where requesters count beside the score
TILTED = "tilted_"  # before the names of the second search's effort


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
            plain = replace(plain, mechanism=self.name, bound=bound, effort=solution.effort)
            plain.timings_ms.update(solution.timings_ms | _since(started))
            return plain
        bid, ask, count = checked(snapshot, solution.bid, solution.ask, solution.count)
        bid, ask, count = with_free(snapshot, bid, ask, count)
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


def solve(snapshot: Snapshot, *, budget_ms: int) -> clearing.Solution:
    """The kernels' solution of ``snapshot``, in the snapshot's indices.

    With the parameter ``requesters`` a part of the budget finds prices and the bound, and the rest
    the matches.
    """
    tilt = min(max(snapshot.policy.parameters.get("requesters", 0.0), 0.0), 1.0)
    carried, problem = snapshot.carried_price, problem_of(snapshot)
    if carried is not None and carried.shape != snapshot.asks.capacity.shape:
        carried = None
    if tilt == 0.0:
        return _search(snapshot, problem, carried, budget_ms=budget_ms)
    first = max(int(budget_ms * BOUND_SHARE), 1)
    plain = _search(snapshot, problem, carried, budget_ms=first)
    problem = tilted(problem, score.sizes(snapshot), tilt)
    rest = max(budget_ms - first, 1)
    fair = _search(snapshot, problem, plain.price, budget_ms=rest, noted=TILTED)
    effort = plain.effort | {TILTED + name: value for name, value in fair.effort.items()}
    return replace(fair, bound=plain.bound, price=plain.price, effort=effort)


def _search(
    snapshot: Snapshot,
    problem: Problem,
    carried: Floats | None,
    *,
    budget_ms: int,
    noted: str = "",
) -> clearing.Solution:
    """One search; as an earlier one where its effort is among the parameters, from ``noted`` on."""
    parameters = snapshot.policy.parameters
    names = (name for name in parameters if name.startswith(noted))
    effort = {name.removeprefix(noted): parameters[name] for name in names}
    return clearing.clear(
        problem,
        count_min=snapshot.bids.count_min,
        budget_ms=budget_ms,
        seed=snapshot.seed,
        carried=carried,
        repeatable=parameters.get("repeatable", 0.0) > 0.0,
        effort=effort if "price_looks" in effort else None,
    )


def tilted(problem: Problem, size: Floats, tilt: float) -> Problem:
    """The problem whose values are as if each bid's ``size`` (n,) were this much nearer the mean.

    That is (1 − tilt) · size + tilt · mean: with 1 a slot counts alike, be it large or small.
    """
    some = size > 0
    mean = float(size[some].mean()) if some.any() else 0.0
    factor = np.zeros(len(size))
    np.divide((1.0 - tilt) * size + tilt * mean, size, out=factor, where=some)
    return replace(
        problem,
        base=single(problem.base * factor),
        slope=single(problem.slope * factor[:, None]),
        near=single(problem.near * factor),
    )


def checked(
    snapshot: Snapshot, bid: Indices, ask: Indices, count: Ints
) -> tuple[Indices, Indices, Ints]:
    """The matches that hold in exact integers; single precision may let a hair's breadth pass."""
    good = feasible.refusals(snapshot, bid, ask) == feasible.FEASIBLE
    kept = np.bincount(bid[good], count[good], minlength=len(snapshot.bids))
    good &= kept[bid] >= snapshot.bids.count_min[bid]
    return bid[good], ask[good], count[good]


def with_free(
    snapshot: Snapshot, bid: Indices, ask: Indices, count: Ints
) -> tuple[Indices, Indices, Ints]:
    """The matches and those of bids that ask for nothing: worth nothing, they are served for free.

    The search leaves them out, for a demand of nothing fits without end.
    """
    free = np.flatnonzero(~snapshot.bids.demand.any(axis=1)).astype(np.int32)
    free = np.setdiff1d(free, bid).astype(np.int32)
    if not len(free):
        return bid, ask, count
    from market.mechanisms._scanning import BY_SCORE, Scan  # more to compile: only where needed

    more_bid, more_ask, more = Scan.of(snapshot).by_turns(BY_SCORE, free)
    return (
        np.concatenate([bid, more_bid]),
        np.concatenate([ask, more_ask]),
        np.concatenate([count, more]),
    )
