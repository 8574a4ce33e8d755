"""All kernels within a time budget: prices, bound, first plan, local search.

Anytime: there is a plan after the first pass, and whatever time is left improves it. How far the
search came is returned as ``Effort``; given back, the same problem and seed give the same solution
to the byte, on any machine.
"""

import time
from dataclasses import asdict, dataclass, field

import numpy as np

from market.kernels.anneal import anneal_chunk, draw_halves, fresh_free, residents
from market.kernels.construct import construct, order_by_need
from market.kernels.dual import Schedule, improve, price_scale, sample_nodes
from market.kernels.problem import Layout, Problem, lay_out
from market.kernels.scan import best_nodes, lagrangian_bound, pair_values
from market.snapshot import Floats, Ints

COLD = Schedule(iterations=60, warm=0.03, cold=0.01, step=0.3, step_end=0.03)
REFINE = Schedule(iterations=40, warm=0.012, cold=0.004, step=0.1, step_end=0.01)
CHUNK_MOVES_PER_ITEM = 8
WARM, COOL = 0.12, 0.015  # of the mean value of a placed item


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How far a solution went: enough to do the same again."""

    refinements: int
    width: int
    chunks_planned: int
    chunks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """``at`` (n,) is each item's node or −1; ``price`` (m, R) in value per unit of resource."""

    at: Ints
    welfare: float
    bound: float
    price: Floats
    effort: Effort
    timings_ms: dict[str, float] = field(default_factory=dict)

    def facts(self) -> dict[str, float]:
        """Effort and timings in one flat mapping."""
        return {**asdict(self.effort), **self.timings_ms}


class _Clock:
    def __init__(self, budget_ms: float) -> None:
        self._begun = self._lap = time.perf_counter()
        self.budget_s = budget_ms / 1000
        self.laps: dict[str, float] = {}

    def left_s(self) -> float:
        return self.budget_s - (time.perf_counter() - self._begun)

    def lap(self, name: str) -> float:
        now = time.perf_counter()
        took = now - self._lap
        self.laps[name] = self.laps.get(name, 0.0) + took * 1000
        self._lap = now
        return took


def solve(
    problem: Problem,
    *,
    budget_ms: float,
    seed: int,
    carried_price: Floats | None = None,
    effort: Effort | None = None,
) -> Solution:
    """The best assignment found in about ``budget_ms``.

    ``carried_price`` (m, R) are the last round's prices. With ``effort`` the clock is not looked at
    and exactly that much is done.
    """
    clock = _Clock(budget_ms)
    layout = lay_out(problem, seed=seed)
    n, m = len(problem.base), problem.capacity.shape[1]
    if n == 0 or m == 0:
        return _nothing(problem)
    clock.lap("lay_out_ms")
    price, refinements = _prices(layout, carried_price, seed, clock, effort)
    width = effort.width if effort else _width(n, m, clock.left_s())
    nodes, reduced = best_nodes(layout, price, width=width)
    bound = lagrangian_bound(layout, price, reduced[:, 0])
    values = pair_values(layout, nodes)
    clock.lap("scan_ms")
    capacity = np.ascontiguousarray(layout.problem.capacity.T)
    demand = layout.problem.demand
    order = order_by_need(reduced[:, 0])
    at, worth, _ = construct(
        order, nodes, values, demand, np.ascontiguousarray(price.T), capacity
    )
    clock.lap("construct_ms")
    planned, chunks = _search(nodes, values, demand, capacity, at, worth, seed, clock, effort)
    clock.lap("search_ms")
    placed = at >= 0
    original = np.full(n, -1, np.int64)
    original[placed] = layout.order[at[placed]]
    unsorted = np.empty((m, price.shape[0]))
    unsorted[layout.order] = price.T
    return Solution(
        at=original,
        welfare=float(worth.sum()),
        bound=bound,
        price=unsorted,
        effort=Effort(refinements=refinements, width=width, chunks_planned=planned, chunks=chunks),
        timings_ms=clock.laps,
    )


def _nothing(problem: Problem) -> Solution:
    resources, m = problem.capacity.shape
    return Solution(
        at=np.full(len(problem.base), -1, np.int64),
        welfare=0.0,
        bound=0.0,
        price=np.zeros((m, resources)),
        effort=Effort(refinements=0, width=1, chunks_planned=0, chunks=0),
    )


def _width(n: int, m: int, left_s: float) -> int:
    """How many nodes of each item to keep: more where there is time to use them."""
    per_node_s = n * m * 1.2e-9
    if left_s < 2.0 * per_node_s:
        return min(m, 32)
    return min(m, 64 if left_s < 5.0 * per_node_s else 128)


def _prices(
    layout: Layout,
    carried: Floats | None,
    seed: int,
    clock: _Clock,
    effort: Effort | None,
) -> tuple[Floats, int]:
    p = layout.problem
    n, m = len(p.base), p.capacity.shape[1]
    done = 0
    if carried is not None:
        price = np.ascontiguousarray(np.maximum(carried[layout.order], 0.0).T)
    else:
        price = np.repeat(price_scale(layout)[:, None], m, axis=1)
        if effort is None and clock.left_s() < n * 2e-6 * 10:
            return price, 0
        nodes = sample_nodes(layout, width=min(m, 48), seed=seed)
        price = improve(layout, nodes, pair_values(layout, nodes), price, COLD)
        clock.lap("price_ms")
    step_s = n * m * 1.5e-9 + n * 60 * 1.0e-6
    while done < effort.refinements if effort else clock.left_s() > 2.5 * step_s and done < 3:
        price = refine(layout, price, seed=seed + done + 1)
        done += 1
        step_s = clock.lap("price_ms")
        if effort is None and carried is not None and clock.left_s() < 6 * step_s:
            break
    return price, done


def refine(layout: Layout, price: Floats, *, seed: int) -> Floats:
    """Prices improved on each item's best nodes beside a sample of the others."""
    m = layout.problem.capacity.shape[1]
    near, _ = best_nodes(layout, price, width=min(m, 32))
    nodes = np.concatenate([near, sample_nodes(layout, width=min(m, 24), seed=seed)], axis=1)
    return improve(layout, nodes, pair_values(layout, nodes), price, REFINE)


def _search(
    nodes: Ints,
    values: Floats,
    demand: Floats,
    capacity: Floats,
    at: Ints,
    worth: Floats,
    seed: int,
    clock: _Clock,
    effort: Effort | None,
) -> tuple[int, int]:
    n, m = len(at), len(capacity)
    placed = int((at >= 0).sum())
    if placed == 0:
        return 0, 0
    unit = float(worth.sum()) / placed
    moves = CHUNK_MOVES_PER_ITEM * n
    planned = effort.chunks_planned if effort else 0
    best_at, best_worth, best = at.copy(), worth.copy(), float(worth.sum())
    done = 0
    took = n * CHUNK_MOVES_PER_ITEM * 3e-7
    clock.lap("construct_ms")
    while done < effort.chunks if effort else clock.left_s() > 1.3 * took:
        if effort is None and done in (0, 1):
            planned = done + max(1, int(clock.left_s() / took))
        free = fresh_free(at, demand, capacity)
        head, after, before = residents(at, m)
        half, turn = draw_halves(m, n, seed=seed + done)
        warm = WARM * (COOL / WARM) ** min(1.0, done / planned)
        cool = WARM * (COOL / WARM) ** min(1.0, (done + 1) / planned)
        anneal_chunk(
            nodes, values, demand, at, worth, free, head, after, before, half, turn, moves,
            warm * unit, cool * unit, seed + 7919 * done,
        )  # fmt: skip
        done += 1
        if (total := float(worth.sum())) > best:
            best_at, best_worth, best = at.copy(), worth.copy(), total
        took = clock.lap("search_ms")
    at[:], worth[:] = best_at, best_worth
    return planned, done
