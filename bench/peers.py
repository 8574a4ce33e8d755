"""What a user would write with a solver, for separable instances, each as an anytime search.

A peer gets the instance and a ``Clock``; it tells the clock of every plan that it has, and of the
time that goes into building models. Each is told what it is good at: compiled candidate pairs,
models built in whole arrays, two workers, a warm hint, a repair that looks at all nodes. Peers that
cannot be interrupted with a plan in hand (network simplex, linear programme) climb a ladder of
candidate widths up to all pairs, so that there is an early plan and, with time, the best one.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from bench.peer_arrays import NOWHERE, Market, Pairs
from market.snapshot import Floats, Indices, Ints
from sim.hard import Arrays, hard_arrays, hard_values

WIDTHS = (16, 64, 256)
PAIRS_MAX = 8_000_000  # in one model; beyond it memory, not time, ends the search
UNITS = 100  # flow units of a core
NONE: Ints = np.zeros(0, np.int64)
FLOW_STEPS = 10**6  # integer steps of the largest value of a core
CP_STEPS = 10**4  # of each capacity and of the largest value; finer ones slow CP-SAT down


@dataclass(slots=True)
class Clock:
    """Sends plans as (wall s, of it building s, CPU s, bid (k,), ask (k,), label)."""

    arrays: Arrays
    send: Callable[[Any], None]
    limit_s: float  # of the solver, beside building
    building_s: float = 0.0
    best: float = -1.0
    started: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)

    def left_s(self) -> float:
        """What the solver may still use."""
        return self.limit_s + self.building_s - (time.perf_counter() - self.started)

    @contextmanager
    def building(self) -> Iterator[None]:
        """Time in here is told apart."""
        since = time.perf_counter()
        yield
        self.building_s += time.perf_counter() - since

    def found(self, where: Indices, label: str) -> None:
        """A plan, (n,) node of each bid; those worse than an earlier one are not sent."""
        bid = np.flatnonzero(where != NOWHERE).astype(np.int32)
        ask = where[bid]
        wall, cpu = time.perf_counter() - self.started, time.process_time() - self.cpu
        welfare = float(hard_values(self.arrays, bid, ask).sum())
        if welfare > self.best:
            self.best = welfare
            self.send((wall, self.building_s, cpu, bid, ask, label))


def greedy(market: Market, clock: Clock) -> None:
    """Bids by density, each on its most valuable node that has room."""
    best = market.candidates(1)
    clock.found(market.rounded(best, NONE, market.order(best)), "all pairs")


def ladder(market: Market, clock: Clock) -> Iterator[tuple[Pairs, Ints, str]]:
    """(candidates, bids in order, label) of wider and wider models, while there is time."""
    nodes = len(market.capacity)
    for width in (*(w for w in WIDTHS if w < nodes), nodes):
        if clock.left_s() <= 0.0:
            return
        with clock.building():
            pairs = market.candidates(width)
            order = market.order(pairs)
        if len(pairs.bid) > PAIRS_MAX:
            return
        yield pairs, order, "all pairs" if width == nodes else f"best {width}"


def min_cost_flow(market: Market, clock: Clock) -> None:
    """Cores flow from bids to nodes at the least cost; the other resources by repair."""
    from ortools.graph.python import min_cost_flow as flows

    n, m = len(market.demand), len(market.capacity)
    wanted = np.ceil(market.demand[:, 0] * UNITS).astype(np.int64)
    room = np.floor(market.capacity[:, 0] * UNITS).astype(np.int64)
    sink = n + m
    for pairs, order, label in ladder(market, clock):
        with clock.building():
            model = flows.SimpleMinCostFlow()
            gain = pairs.value / wanted[pairs.bid]
            cost = -np.rint(gain * (FLOW_STEPS / gain.max())).astype(np.int64)
            everyone, nodes = np.arange(n, dtype=np.int32), np.arange(m, dtype=np.int32)
            arcs = model.add_arcs_with_capacity_and_unit_cost(
                np.concatenate([pairs.bid, everyone, nodes + n]).astype(np.int32),
                np.concatenate([pairs.ask + n, np.full(n + m, sink)]).astype(np.int32),
                np.concatenate([wanted[pairs.bid], wanted, room]),
                np.concatenate([cost, np.zeros(n + m, np.int64)]),
            )
            supply = np.concatenate([wanted, np.zeros(m, np.int64), [-wanted.sum()]])
            model.set_nodes_supplies(np.arange(sink + 1, dtype=np.int32), supply)
        if model.solve() != model.OPTIMAL:
            return
        flow = model.flows(arcs[: len(pairs.bid)])
        rounding(market, clock, pairs, flow / wanted[pairs.bid], order, label)


def rounding(
    market: Market,
    clock: Clock,
    pairs: Pairs,
    share: Floats,
    order: Ints,
    label: str,
    price: Floats | None = None,
) -> None:
    """Whole bids of fractional ones (k,): by the share, and by the share times density."""
    some = np.flatnonzero(share > 1e-6)
    dense = share[some] * market.density(pairs.bid[some], pairs.value[some])
    for key in (share[some], dense):
        ranked = some[np.argsort(-key, kind="stable")]
        clock.found(market.rounded(pairs, ranked, order), label)
        if price is not None:
            sure = ranked[share[ranked] > 1 - 1e-6]
            clock.found(market.rounded(pairs, sure, order, price), label)


def linear(market: Market, clock: Clock) -> None:
    """The linear relaxation by HiGHS; whole shares, then the rest, also at the dual prices.

    By the interior point method, which is several times as fast here as the dual simplex.
    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    n, (m, kinds) = len(market.demand), market.capacity.shape
    for pairs, order, label in ladder(market, clock):
        with clock.building():
            k = len(pairs.bid)
            rows = [pairs.bid, *(n + r * m + pairs.ask for r in range(kinds))]
            entries = [np.ones(k), *market.demand[pairs.bid].T]
            columns = np.tile(np.arange(k), 1 + kinds)
            matrix = csr_array(
                (np.concatenate(entries), (np.concatenate(rows), columns)),
                shape=(n + kinds * m, k),
            )
            most = np.concatenate([np.ones(n), market.capacity.T.ravel()])
        options = {"time_limit": max(0.01, clock.left_s())}
        solved = linprog(-pairs.value, A_ub=matrix, b_ub=most, method="highs-ipm", options=options)
        if solved.x is None or solved.status not in (0, 1):
            return
        price = -solved.ineqlin.marginals[n:].reshape(kinds, m).T if solved.status == 0 else None
        rounding(market, clock, pairs, solved.x, order, label, price)


def cp_sat(
    market: Market, clock: Clock, *, width: int, workers: int = 2, hinted: bool = True
) -> None:
    """The whole integer programme on each bid's best nodes, with greedy's plan as the hint.

    More workers than cores search in more ways; without the hint they start elsewhere.
    """
    from ortools.sat.python import cp_model

    with clock.building():
        pairs = market.candidates(width)
        order = market.order(pairs)
        hint = market.rounded(pairs, NONE, order)
        pairs = _with_hint(market, pairs, hint)
        model = cp_model.CpModel()
        chosen = [model.new_bool_var("") for _ in range(len(pairs.bid))]
        for low, high in pairwise(pairs.start.tolist()):
            if high - low > 1:
                model.add_at_most_one(chosen[low:high])
        by_ask = np.argsort(pairs.ask, kind="stable")
        edges = np.searchsorted(pairs.ask[by_ask], np.arange(len(market.capacity) + 1)).tolist()
        for j, (low, high) in enumerate(pairwise(edges)):
            here = by_ask[low:high]
            mine = [chosen[k] for k in here.tolist()]
            parts = np.ceil(market.demand[pairs.bid[here]] / market.capacity[j] * CP_STEPS)
            for weights in parts.astype(np.int64).T.tolist():
                if sum(weights) > CP_STEPS:
                    model.add(cp_model.LinearExpr.weighted_sum(mine, weights) <= CP_STEPS)
        worth = np.floor(pairs.value * (CP_STEPS / pairs.value.max())).astype(np.int64)
        model.maximize(cp_model.LinearExpr.weighted_sum(chosen, worth.tolist()))
        if hinted:
            taken = hint[pairs.bid] == pairs.ask
            for variable, value in zip(chosen, taken.tolist(), strict=True):
                model.add_hint(variable, value)

    def tell(solution: Any) -> None:
        some = np.flatnonzero(np.asarray(solution))
        clock.found(market.rounded(pairs, some, order), f"best {width}")

    class Improvements(cp_model.CpSolverSolutionCallback):
        def on_solution_callback(self) -> None:
            tell(self.response_proto.solution)

    solver = cp_model.CpSolver()
    solver.parameters.num_workers = workers
    solver.parameters.max_time_in_seconds = max(0.01, clock.left_s())
    status = solver.solve(model, Improvements())
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        tell(solver.response_proto.solution)


def _with_hint(market: Market, pairs: Pairs, hint: Indices) -> Pairs:
    """The pairs and those of the hint that are not among them."""
    known = np.zeros(len(hint), np.bool_)
    known[pairs.bid[hint[pairs.bid] == pairs.ask]] = True
    more = np.flatnonzero((hint != NOWHERE) & ~known).astype(np.int32)
    bid = np.concatenate([pairs.bid, more])
    order = np.argsort(bid, kind="stable")
    ask = np.concatenate([pairs.ask, hint[more]])
    value = np.concatenate([pairs.value, market.value(more, hint[more])])
    start = np.searchsorted(bid[order], np.arange(len(hint) + 1))
    return Pairs(start, bid[order], ask[order], value[order])


PEERS: dict[str, Callable[[Market, Clock], None]] = {
    "greedy": greedy,
    "min-cost flow": min_cost_flow,
    "LP + rounding": linear,
    "CP-SAT, best 16": partial(cp_sat, width=16),
    "CP-SAT, best 64": partial(cp_sat, width=64),
    "CP-SAT, best 16, 8 workers, no hint": partial(cp_sat, width=16, workers=8, hinted=False),
}


def run(name: str, connection: Connection, case: dict[str, int], limit_s: float) -> None:
    """A peer in a process of its own; imports, compiling and the instance are before its clock."""
    tiny = hard_arrays(bids=20, nodes=8, zones=2, seed=1)
    PEERS[name](Market(tiny), Clock(tiny, lambda _: None, 1.0))
    arrays = hard_arrays(**case)
    connection.send(None)
    PEERS[name](Market(arrays), Clock(arrays, connection.send, limit_s))
    connection.close()
