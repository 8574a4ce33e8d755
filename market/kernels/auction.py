"""The Lagrangian auction on a ``Problem``: prices, lists, greedy, annealing, certified bound.

Stages: prices per node and resource by a smoothed dual on candidate lists that are redrawn as the
temperature falls (skipped where the last round's prices are carried); greedy by reduced value;
annealing by insertion and ejection until the budget is used; one pass over all pairs for a bound
that holds for the whole problem. Between two lists no price moves further than the temperature:
beyond that the lists would no longer hold the nodes that the new prices make attractive, and the
prices of unlisted nodes would swing without end.

How much each stage does is planned from the sizes and the budget alone, so that the same problem
and budget give the same plan; only when the machine is slower than planned does the wall clock cut
the search short (``cut_short`` in the timings).
"""

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from market.kernels import pairs, prices
from market.kernels.compiled import NEVER
from market.kernels.pace import Pace
from market.kernels.placement import PHASES, Lists, Placement
from market.kernels.problem import Problem, Singles, block_extremes
from market.snapshot import Floats, Indices, Ints

T = TypeVar("T")

# Called with the tuple of their common arguments.
_best_reduced_values: Callable[..., None] = pairs.best_reduced_values
_nearest_candidates: Callable[..., None] = pairs.nearest_candidates

THREADS = max(1, min(2, os.cpu_count() or 1))
LIST_WIDTH = 64
LIST_WIDTH_HURRIED = 32
LIST_WIDTH_PRICES = 32
LIST_HEAT = 0.006  # spread of the final lists, as a share of the mean value
NOISE_ROWS = 64
NOISE_MAX = 6.0
SAMPLE_NODES = 600  # about how many nodes a bid samples at first, feasible or not
PARTS_MAX = 64
# (heat as a share of the mean value, gradient steps on one set of lists, how many temperatures a
# price may move on them)
SAMPLED_HEATS = ((0.09, 12), (0.045, 12))
HEATS = (
    (0.045, 12, 1.0), (0.026, 12, 1.0), (0.018, 12, 1.0), (0.012, 12, 1.5), (0.009, 15, 2.0),
    (0.006, 15, 4.0), (0.004, 20, 4.0), (0.002, 30, 4.0), (0.001, 40, 4.0), (0.0006, 60, 4.0),
    (0.0004, 80, 4.0),
)  # fmt: skip
CARRIED_FROM = 6  # the heat at which carried prices are taken up again
PRICES_SHARE = 0.45  # of the budget left beside lists and bound
CARRIED_PRICES_SHARE = 0.25
PRICES_GUARD = 0.6  # of the budget by the clock: after it the prices are left as they are
SEARCH_GUARD = 1.1  # of the budget by the clock: after it the search ends
STEP = 1.5  # over the number of resources: their demands move together
# Nominal speeds of one thread, in work for each millisecond; they plan, the clock only guards.
PAIRS_PER_MS = 550_000
LISTED_PER_MS = 80_000
MOVES_PER_MS = 6_000
MOVES_PER_MS_LARGE = 2_800  # when the state no longer fits the cache
LARGE_ITEMS = 20_000
MOVES_PER_ITEM_MAX = 20_000  # more change nothing that could be seen


@dataclass(slots=True, kw_only=True)
class Solution:
    """Matches in the caller's indices, and what certifies them."""

    bid: Indices  # (k,)
    ask: Indices  # (k,)
    count: Ints  # (k,)
    welfare: float  # in single precision values; callers score again
    bound: float
    price: Floats  # (m, R) shadow prices in the caller's node order
    timings_ms: dict[str, float] = field(default_factory=dict)
    effort: dict[str, float] = field(default_factory=dict)  # see ``Pace``: repeats this very run


class Auction:
    """One problem being cleared; the stages change ``price`` and the item state in place."""

    def __init__(self, problem: Problem, *, seed: int, pace: Pace) -> None:
        self.problem = problem
        self.pace = pace
        threads = self.threads = pace.threads
        self.random = np.random.default_rng(seed)
        self.pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self.timings: dict[str, float] = {}
        self.scale = np.maximum(problem.capacity.mean(axis=0), 1e-9)
        self.bulk = np.maximum((problem.demand / self.scale).max(axis=1), 1e-9)
        self.price = np.zeros(problem.capacity.shape)
        self.bound = np.inf  # the least dual seen, by any of the passes over all pairs
        noise = np.minimum(self.random.exponential(size=(NOISE_ROWS, problem.nodes)), NOISE_MAX)
        self.noise = noise.astype(np.float32)
        self.most_noise = block_extremes(problem, self.noise)[1].max(axis=1)
        self.mean_value = self._mean_value()

    def close(self) -> None:
        """Ends the threads."""
        if self.pool is not None:
            self.pool.shutdown()

    def in_parts(self, work: Callable[[int, int], T], size: int, *, least: int = 512) -> list[T]:
        """Runs ``work(low, high)`` on even parts of ``range(size)``, results in order."""
        if self.pool is None or size < least:
            return [work(0, size)]
        edges = np.linspace(0, size, self.threads + 1).astype(int).tolist()
        return list(self.pool.map(work, edges[:-1], edges[1:]))

    def _pair_arrays(self, problem: Problem, price: Floats) -> tuple[Any, ...]:
        """The common arguments of both kernels over all pairs of ``problem`` at ``price``."""
        feature = np.concatenate([problem.feature, price.T.astype(np.float32)])
        least, most = block_extremes(problem, feature)
        weight = np.concatenate([problem.slope, -problem.demand.astype(np.float32)], axis=1)
        return (
            problem.block_start, problem.block_zone, problem.block_class, feature, least, most,
            problem.attribute, *block_extremes(problem, problem.attribute), problem.unit_price,
            block_extremes(problem, problem.unit_price)[1],
            problem.base, weight, problem.near, problem.horizon, problem.latency_max,
            problem.zone, problem.need, problem.money, problem.bid_class, problem.compatible,
            problem.latency,
        )  # fmt: skip

    def _mean_value(self) -> float:
        """Value for each unit of bulk that bids could have with all nodes free, by a sample."""
        problem = self.problem
        some = self.random.permutation(problem.bids)[:256]
        best = np.zeros(problem.bids, np.float32)
        arrays = self._pair_arrays(problem, self.price)
        for i in some.tolist():
            _best_reduced_values(i, i + 1, *arrays, best)
        useful = some[best[some] > 0]
        if not len(useful):
            return 1e-12
        return float(best[useful].sum() / self.bulk[useful].sum())

    def lists(self, *, width: int, heat: float) -> Lists:
        """New candidate lists at the present prices, spread by ``heat`` × mean value."""
        problem = self.problem
        ask = np.empty((problem.bids, width), np.int32)
        value = np.empty((problem.bids, width), np.float32)
        arrays = self._pair_arrays(problem, self.price)
        spread = (heat * self.mean_value * self.bulk).astype(np.float32)
        best = np.zeros(problem.bids, np.float32)
        node_zone = np.repeat(problem.block_zone, np.diff(problem.block_start)).astype(np.int32)

        def work(low: int, high: int) -> None:
            _nearest_candidates(
                low, high, *arrays, self.noise, self.most_noise, spread, ask, value, best
            )
            pairs.candidate_values(
                low, high, node_zone, problem.feature, problem.base, problem.slope, problem.near,
                problem.horizon, problem.zone, problem.latency, ask, value,
            )  # fmt: skip

        self.in_parts(work, problem.bids)
        self.bound = min(self.bound, self._dual(best))
        return Lists(ask, value)

    def sampled_lists(self, *, parts: int, width: int) -> Lists:
        """Lists among every ``parts``-th node only, another such sample for each part of the bids.

        A fair sample of all nodes in reach, for when prices say nothing yet: the best of all
        nodes at wrong prices would leave most nodes unlisted.
        """
        problem = self.problem
        ask = np.full((problem.bids, width), -1, np.int32)
        value = np.full((problem.bids, width), NEVER, np.float32)
        edges = np.linspace(0, problem.bids, parts + 1).astype(int).tolist()
        silent, unused = np.zeros(problem.bids, np.float32), np.zeros(problem.bids, np.float32)
        node_zone = np.repeat(problem.block_zone, np.diff(problem.block_start)).astype(np.int32)

        def work(first: int, last: int) -> None:
            for part in range(first, last):
                low, high = edges[part], edges[part + 1]
                arrays, blocks = self._thinned_arrays(part, parts)
                none = np.zeros((1, problem.nodes), np.float32)
                _nearest_candidates(
                    low, high, *arrays, none, np.zeros(blocks, np.float32), silent, ask, value,
                    unused,
                )  # fmt: skip
                mine = ask[low:high]
                np.copyto(mine, mine * parts + part, where=mine >= 0)
                pairs.candidate_values(
                    low, high, node_zone, problem.feature, problem.base, problem.slope,
                    problem.near, problem.horizon, problem.zone, problem.latency, ask, value,
                )  # fmt: skip

        self.in_parts(work, parts, least=2)
        return Lists(ask, value)

    def _thinned_arrays(self, part: int, parts: int) -> tuple[tuple[Any, ...], int]:
        """``_pair_arrays`` of the nodes part, part + parts, …, blocks of one kind merged."""
        problem = self.problem
        kind = problem.block_zone * (problem.compatible.shape[1] + 1) + problem.block_class
        first = np.flatnonzero(np.concatenate([[True], np.diff(kind) != 0]))
        start = -(-(np.append(problem.block_start[first], problem.nodes) - part) // parts)
        kept = np.flatnonzero(np.diff(start) > 0)
        thin = replace(
            problem,
            node=problem.node[part::parts],
            feature=np.ascontiguousarray(problem.feature[:, part::parts]),
            attribute=np.ascontiguousarray(problem.attribute[:, part::parts]),
            unit_price=np.ascontiguousarray(problem.unit_price[:, part::parts]),
            block_start=np.append(start[kept], start[-1]).astype(np.int64),
            block_zone=problem.block_zone[first[kept]],
            block_class=problem.block_class[first[kept]],
        )
        return self._pair_arrays(thin, self.price[part::parts]), len(kept)

    def move_prices(self, lists: Lists, *, heat: float, steps: int, reach: float = np.inf) -> None:
        """Accelerated gradient steps on the smoothed dual, with restart when it rises."""
        problem = self.problem
        temperature = np.maximum(heat * self.mean_value * self.bulk, 1e-30)
        unit = heat * self.mean_value / self.scale
        low, high = np.maximum(self.price - reach * unit, 0.0), self.price + reach * unit
        step = STEP / len(self.scale) * unit
        capacity = np.maximum(problem.capacity, 1e-12)
        offered = problem.capacity > 0
        ahead, before = self.price.copy(), self.price.copy()
        momentum, least = 1.0, np.inf
        for step_number in range(steps):
            if step_number >= 3 and self.pace.prices_late():
                break
            surplus, used = self._soft(lists, ahead, temperature)
            dual = surplus + float((ahead * problem.capacity).sum())
            if dual > least:
                momentum, least, ahead = 1.0, np.inf, before.copy()
                continue
            least = dual
            excess = np.where(offered, np.minimum(used / capacity - 1.0, 4.0), 0.0)
            moved = np.clip(ahead + step * excess, low, high)
            following = (1.0 + np.sqrt(1.0 + 4.0 * momentum * momentum)) / 2.0
            ahead = np.maximum(moved + (momentum - 1.0) / following * (moved - before), 0.0)
            before, momentum = moved, following
        self.price = before

    def _soft(self, lists: Lists, price: Floats, temperature: Floats) -> tuple[float, Floats]:
        problem = self.problem

        def work(low: int, high: int) -> tuple[float, Floats]:
            used = np.zeros_like(price)
            total = prices.soft_demand(
                low, high, lists.ask, lists.value, problem.demand, problem.count, price,
                temperature, used,
            )  # fmt: skip
            return total, used

        parts = self.in_parts(work, problem.bids)
        return sum(total for total, _ in parts), np.sum([used for _, used in parts], axis=0)

    def _dual(self, best: Singles) -> float:
        """The dual at the present prices: an upper bound of any plan's welfare.

        ``best`` (n,) are the best reduced values over all pairs.
        """
        problem = self.problem
        # Single precision loses at most a few units in the last place of the largest summand.
        largest = np.abs(problem.base) + (
            np.abs(problem.slope) * np.abs(problem.feature).max(axis=1, initial=0.0)
        ).sum(axis=1)
        slack = 2e-6 * largest.astype(np.float64)
        surplus = (best.astype(np.float64) + slack) * problem.count
        return float((self.price * problem.capacity).sum() + surplus.sum())


def clear(
    problem: Problem,
    *,
    count_min: Ints,
    budget_ms: int,
    seed: int,
    carried: Floats | None = None,
    threads: int = THREADS,
    repeatable: bool = False,
    effort: Mapping[str, float] | None = None,
) -> Solution:
    """The best plan found in about ``budget_ms``; ``carried`` (m, R) in the caller's node order.

    With ``repeatable`` the clock is never looked at, so that a slow machine takes longer instead of
    ending earlier; with the ``effort`` of an earlier solution that very run is repeated.
    """
    started = time.perf_counter()
    if not problem.bids or not problem.nodes:
        none = np.zeros(0, np.int32)
        price = np.zeros(problem.capacity.shape)
        return Solution(
            bid=none, ask=none, count=none.astype(np.int64), welfare=0.0, bound=0.0, price=price
        )
    pace = Pace(threads=threads) if effort is None else Pace.repeating(effort)
    if effort is None and not repeatable:
        pace.prices_until = started + PRICES_GUARD * budget_ms / 1e3
        pace.search_until = started + SEARCH_GUARD * budget_ms / 1e3
    auction = Auction(problem, seed=seed, pace=pace)
    try:
        return _clear(auction, count_min, budget_ms, carried, started)
    finally:
        auction.close()


def _clear(
    auction: Auction,
    count_min: Ints,
    budget_ms: int,
    carried: Floats | None,
    started: float,
) -> Solution:
    problem, timings = auction.problem, auction.timings

    def lap(name: str, since: float) -> float:
        now = time.perf_counter()
        timings[name] = timings.get(name, 0.0) + (now - since) * 1e3
        return now

    now = lap("prepare_ms", started)
    pass_ms = _pass_ms(problem, auction.threads)
    planned = pass_ms  # the final lists, and with them the bound
    hurried = budget_ms < 4 * planned
    width = LIST_WIDTH_HURRIED if hurried else LIST_WIDTH
    if carried is not None:
        auction.price = np.maximum(carried[problem.node], 0.0)
        room = CARRIED_PRICES_SHARE * (budget_ms - planned)
        planned += _cool(auction, HEATS[CARRIED_FROM:], room, pass_ms)
    else:
        planned += _first_prices(auction, PRICES_SHARE * (budget_ms - planned), pass_ms)
    now = lap("prices_ms", now)
    lists = auction.lists(width=width, heat=LIST_HEAT)
    now = lap("lists_ms", now)
    placement = Placement(auction, lists)
    placement.fill()
    now = lap("greedy_ms", now)
    listed_ms = problem.bids * width / LISTED_PER_MS / auction.threads
    rate = MOVES_PER_MS if len(placement.bid) < LARGE_ITEMS else MOVES_PER_MS_LARGE
    moves = int(max(0.0, budget_ms - planned - 0.2 * listed_ms) * rate * auction.threads)
    moves = min(moves, MOVES_PER_ITEM_MAX * len(placement.bid))
    if moves > len(placement.bid) // 2:
        placement.anneal(moves=moves)
        timings["cut_short"] = float(auction.pace.cut_short(PHASES))
        timings["moves"] = float(moves)
    placement.settle(count_min)
    lap("search_ms", now)
    bid, ask, count = placement.matches()
    price = np.zeros_like(auction.price)
    price[problem.node] = auction.price
    timings["total_ms"] = (time.perf_counter() - started) * 1e3
    return Solution(
        bid=bid,
        ask=ask,
        count=count,
        welfare=float(placement.worth.sum()),
        bound=auction.bound,
        price=price,
        timings_ms=timings,
        effort=auction.pace.effort,
    )


def _pass_ms(problem: Problem, threads: int) -> float:
    """Nominal time of one pass over all pairs."""
    return problem.bids * problem.nodes / PAIRS_PER_MS / threads


def _first_prices(auction: Auction, room: float, pass_ms: float) -> float:
    """Prices from nothing in about ``room`` milliseconds; returns the nominal cost."""
    problem = auction.problem
    parts = int(np.clip(problem.nodes // SAMPLE_NODES, 1, PARTS_MAX))
    sampled = auction.sampled_lists(parts=parts, width=LIST_WIDTH)
    listed_ms = problem.bids * LIST_WIDTH / LISTED_PER_MS / auction.threads
    spent = pass_ms / parts
    for heat, most in SAMPLED_HEATS:
        steps = int(np.clip((room - spent) / listed_ms / 2, 3, most))
        auction.move_prices(sampled, heat=heat, steps=steps)
        spent += steps * listed_ms
    return spent + _cool(auction, HEATS, room - spent, pass_ms)


def _cool(
    auction: Auction, heats: tuple[tuple[float, int, float], ...], room: float, pass_ms: float
) -> float:
    """Rounds of new lists and price steps at falling heat within ``room``; returns their cost."""
    spent = 0.0
    for heat, steps, reach in heats:
        listed_ms = auction.problem.bids * LIST_WIDTH_PRICES / LISTED_PER_MS / auction.threads
        cost = pass_ms + steps * listed_ms
        if spent + cost > room or auction.pace.prices_late():
            break
        lists = auction.lists(width=LIST_WIDTH_PRICES, heat=heat)
        auction.move_prices(lists, heat=heat, steps=steps, reach=reach)
        spent += cost
    return spent
