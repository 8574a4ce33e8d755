"""The Lagrangian auction on a ``Problem``: prices, lists, greedy, annealing, certified bound.

Stages: prices per node and resource by a smoothed dual on candidate lists that are redrawn as the
temperature falls (the first ones left out where the last round's prices are carried); lists of the
best nodes at these prices by one pass over all pairs, which also gives a bound that holds for the
whole problem; greedy by reduced value; what found no place looks at all nodes with room; annealing
by insertion and ejection until the budget is used.

How much each stage does is planned from the sizes and the budget alone, so that the same problem
and budget give the same plan; only when the machine is slower than planned does the wall clock cut
the search short (``cut_short`` in the timings).
"""

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from market.kernels import pairs, prices
from market.kernels.pace import Pace
from market.kernels.placement import PHASES, Lists, Placement, joined
from market.kernels.problem import (
    Problem,
    Singles,
    absent_lanes,
    block_extremes,
    in_lanes,
    lanes_of,
)
from market.snapshot import Floats, Indices, Ints

T = TypeVar("T")

THREADS = max(1, min(2, os.cpu_count() or 1))
LIST_WIDTHS = (128, 64, 32, 16)  # the widest that leaves half of the budget
LIST_HEAT = 0.006  # spread of narrow final lists, as a share of the mean value
NOISE_ROWS = 16
NOISE_MAX = 6.0
MEAN_KEPT, SQUARE_KEPT = 0.8, 0.95  # what Adam keeps of its moments in a step
AVERAGED = 0.25  # of the steps on one set of lists
STEPS_MIN = 8
ENOUGH = 0.6  # of the steps of a stage, for its prices to be of use
SAMPLE = 40  # bids looked at to know values and reach
STEPS_UNHURRIED = 12
FIRST_PRICE = (0.3, 0.03)  # of limit by demand: for the first resource, for the others


@dataclass(frozen=True, slots=True)
class Stage:
    """One set of lists and the price steps on it.

    ``listed`` best nodes at the present prices, spread by ``spread``, and ``drawn`` others at
    random, without which nodes that no list holds would look free. ``heat`` (first and last) are
    shares of the mean value, ``rate`` of the price unit.
    """

    listed: int
    drawn: int
    spread: float
    steps: int
    heat: tuple[float, float]
    rate: tuple[float, float]


FIRST_STAGE = Stage(0, 48, 0.0, 30, (0.04, 0.008), (0.12, 0.02))
FIRST_STAGE_HURRIED = Stage(0, 24, 0.0, 30, (0.04, 0.01), (0.25, 0.04))
STAGES = (
    Stage(32, 16, 0.004, 30, (0.01, 0.003), (0.06, 0.01)),
    Stage(32, 16, 0.002, 60, (0.004, 0.0005), (0.03, 0.002)),
    Stage(32, 16, 0.001, 60, (0.0008, 0.0002), (0.008, 0.001)),
    Stage(48, 16, 0.0005, 60, (0.0004, 0.0001), (0.004, 0.0005)),
    Stage(48, 16, 0.0004, 80, (0.0002, 0.00006), (0.002, 0.0003)),
    Stage(48, 16, 0.0004, 80, (0.0001, 0.00004), (0.001, 0.0002)),
)
CARRIED_FROM = 1  # the stage at which carried prices are taken up again
PRICES_SHARE = 0.6  # of the budget left beside lists and bound
CARRIED_PRICES_SHARE = 0.5
PRICES_GUARD = 0.5  # of the budget by the clock: after it the prices are left as they are
SEARCH_GUARD = 0.97  # of the budget by the clock: after it the search ends
# Nominal speeds of one thread, in work for each millisecond; they plan, the clock only guards.
LANE_ROWS_PER_MS = 5_500_000
LANE_ROWS_BESIDE = 4  # what a pair costs beside its features and attributes, in rows
KEPT_PER_MS = 27_000
LISTED_PER_MS = 110_000
DRAWN_PER_MS = 30_000
STEP_MS = 0.3  # of a price step, beside its lists
FILLED_PER_MS = 2_000
LOOKED_PER_MS = 1_500_000
MOVES_PER_MS = 12_000
MOVES_PER_MS_LARGE = 5_000  # when the state no longer fits the cache
LARGE_ITEMS = 20_000
MOVES_PER_ITEM_MAX = 60_000  # more change nothing that could be seen


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
        lanes = self.lanes = lanes_of(problem)
        self.candidates = pairs.CANDIDATES[lanes]
        self.node_lanes = (
            in_lanes(problem, problem.attribute, lanes),
            *block_extremes(problem, problem.attribute),
            in_lanes(problem, problem.unit_price, lanes),
            block_extremes(problem, problem.unit_price)[1],
            absent_lanes(problem, lanes),
        )
        blocks = len(problem.block_zone)
        noise = np.minimum(self.random.exponential(size=(NOISE_ROWS, blocks, lanes)), NOISE_MAX)
        self.noise = noise.astype(np.float32)
        some = self.random.permutation(problem.bids)[:SAMPLE].astype(np.int32)
        self.mean_value = self._mean_value(some)
        self.reach = self._reach(some)

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

    def _pair_arrays(self) -> tuple[Any, ...]:
        """The common arguments of the kernel over all pairs at the present prices."""
        problem, lanes = self.problem, self.lanes
        feature = np.concatenate([problem.feature, self.price.T.astype(np.float32)])
        weight = np.concatenate([problem.slope, -problem.demand.astype(np.float32)], axis=1)
        return (
            problem.block_start, problem.block_zone, problem.block_class,
            in_lanes(problem, feature, lanes), *self.node_lanes,
            problem.base, weight, problem.near, problem.horizon, problem.latency_max,
            problem.zone, problem.need, problem.money, problem.bid_class, problem.compatible,
            problem.latency,
        )  # fmt: skip

    def _reach(self, some: Indices) -> float:
        """How many nodes are near enough and of a fitting class for a bid, by a sample."""
        problem = self.problem
        near = problem.latency[problem.zone[some]][:, problem.block_zone]
        fits = near <= problem.latency_max[some, None]
        fits &= problem.compatible[problem.bid_class[some]][:, problem.block_class]
        return float((fits @ np.diff(problem.block_start)).mean())

    def _mean_value(self, some: Indices) -> float:
        """Value for each unit of bulk that bids could have with all nodes free, by a sample."""
        problem = self.problem
        best = np.zeros(problem.bids, np.float32)
        ask, rank = np.empty((problem.bids, 1), np.int32), np.empty((problem.bids, 1), np.float32)
        silent = np.zeros(problem.bids, np.float32)
        arrays = self._pair_arrays()
        for i in some.tolist():
            self.candidates(i, i + 1, *arrays, self.noise, silent, ask, rank, best)
        useful = some[best[some] > 0]
        if not len(useful):
            return 1e-12
        return float(best[useful].sum() / self.bulk[useful].sum())

    def lists(self, *, width: int, heat: float, best_first: bool = False) -> Lists:
        """New candidate lists at the present prices, spread by ``heat`` × mean value."""
        problem = self.problem
        ask = np.empty((problem.bids, width), np.int32)
        value = np.empty((problem.bids, width), np.float32)
        arrays = self._pair_arrays()
        spread = (heat * self.mean_value * self.bulk).astype(np.float32)
        best = np.zeros(problem.bids, np.float32)
        self.in_parts(
            lambda low, high: self.candidates(
                low, high, *arrays, self.noise, spread, ask, value, best
            ),
            problem.bids,
        )
        self.bound = min(self.bound, self._dual(best))
        if best_first:
            self.in_parts(lambda low, high: pairs.sort_by_rank(low, high, ask, value), problem.bids)
        return self._valued(ask, value)

    def random_lists(self, *, width: int, seed: int) -> Lists:
        """Lists of nodes drawn evenly among those that each bid could use."""
        problem = self.problem
        ask = np.empty((problem.bids, width), np.int32)
        self.in_parts(
            lambda low, high: pairs.random_candidates(
                low, high, problem.block_start, problem.block_zone, problem.block_class,
                problem.attribute, problem.unit_price, problem.latency_max, problem.zone,
                problem.need, problem.money, problem.bid_class, problem.compatible,
                problem.latency, seed, ask,
            ),
            problem.bids,
        )  # fmt: skip
        return self._valued(ask, np.empty(ask.shape, np.float32))

    def _valued(self, ask: Indices, value: Singles) -> Lists:
        """Writes the value of each candidate, and drops those without a positive one."""
        problem = self.problem
        node_zone = np.repeat(problem.block_zone, np.diff(problem.block_start)).astype(np.int32)
        self.in_parts(
            lambda low, high: pairs.candidate_values(
                low, high, node_zone, problem.feature, problem.base, problem.slope, problem.near,
                problem.horizon, problem.zone, problem.latency, ask, value,
            ),
            problem.bids,
        )  # fmt: skip
        return Lists(ask, value)

    def move_prices(self, lists: Lists, stage: "Stage", steps: int) -> None:
        """Steps on the smoothed dual as it cools; the price becomes the mean of the last ones.

        Steps by Adam (Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015), with
        each resource's own unit of price: nodes differ in size by orders of magnitude.
        """
        problem = self.problem
        unit = self.mean_value / self.scale
        capacity = np.maximum(problem.capacity, 1e-12)
        offered = problem.capacity > 0
        mean, square = np.zeros_like(self.price), np.zeros_like(self.price)
        price, total, summed = self.price, np.zeros_like(self.price), 0
        for step in range(steps):
            if step >= 3 and self.pace.prices_late():
                if stage.listed and step < ENOUGH * steps:
                    return  # still hot: what the stage began with is better
                break
            done = step / max(1, steps - 1)
            heat = stage.heat[0] * (stage.heat[1] / stage.heat[0]) ** done
            rate = stage.rate[0] * (stage.rate[1] / stage.rate[0]) ** done
            temperature = np.maximum(heat * self.mean_value * self.bulk, 1e-30)
            used = self._demand(lists, price, temperature)
            excess = np.where(offered, np.minimum(used / capacity - 1.0, 3.0), 0.0)
            mean = MEAN_KEPT * mean + (1.0 - MEAN_KEPT) * excess
            square = SQUARE_KEPT * square + (1.0 - SQUARE_KEPT) * excess * excess
            even = 1.0 - MEAN_KEPT ** (step + 1)
            deviation = np.sqrt(square / (1.0 - SQUARE_KEPT ** (step + 1)))
            price = np.maximum(price + rate * unit * (mean / even) / (deviation + 0.1), 0.0)
            if step >= (1.0 - AVERAGED) * steps:
                total, summed = total + price, summed + 1
        self.price = total / summed if summed else price

    def _demand(self, lists: Lists, price: Floats, temperature: Floats) -> Floats:
        """(m, R) what bids ask of each node at ``price``, spread by their ``temperature``."""
        problem = self.problem

        def work(low: int, high: int) -> Floats:
            used = np.zeros_like(price)
            prices.soft_demand(
                low, high, lists.ask, lists.value, problem.demand, problem.count, price,
                temperature, used,
            )  # fmt: skip
            return used

        parts: Floats = np.sum(self.in_parts(work, problem.bids), axis=0)
        return parts

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
    width = next(
        (w for w in LIST_WIDTHS if 2.0 * _pass_ms(auction, w) < budget_ms), LIST_WIDTHS[-1]
    )
    planned = _pass_ms(auction, width)  # the final lists, and with them the bound
    if carried is not None:
        auction.price = np.maximum(carried[problem.node], 0.0)
        room = CARRIED_PRICES_SHARE * (budget_ms - planned)
        planned += _cool(auction, STAGES[CARRIED_FROM:], room)
    else:
        planned += _first_prices(auction, PRICES_SHARE * (budget_ms - planned))
    now = lap("prices_ms", now)
    lists = auction.lists(
        width=width, heat=LIST_HEAT if width < LIST_WIDTHS[0] else 0.0, best_first=True
    )
    now = lap("lists_ms", now)
    placement = Placement(auction, lists)
    placement.fill()
    anywhere_ms = problem.bids * auction.reach / LOOKED_PER_MS
    affordable = planned + anywhere_ms < budget_ms
    # Where most are left over, few nodes were listed, and what is free must be looked for.
    if affordable or 2 * (placement.at < 0).sum() > len(placement.bid):
        placement.fill_anywhere()
        planned += anywhere_ms
    now = lap("greedy_ms", now)
    rate = MOVES_PER_MS if len(placement.bid) < LARGE_ITEMS else MOVES_PER_MS_LARGE
    moves = int(
        max(0.0, budget_ms - planned - len(placement.bid) / FILLED_PER_MS) * rate * auction.threads
    )
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


def _pass_ms(auction: Auction, width: int) -> float:
    """Nominal time of one pass over all pairs that keeps ``width`` candidates of each bid."""
    problem = auction.problem
    rows = len(problem.feature) + problem.demand.shape[1] + len(problem.attribute)
    rows += len(problem.unit_price)
    passed = problem.bids * auction.reach * (LANE_ROWS_BESIDE + rows) / LANE_ROWS_PER_MS
    return (passed + problem.bids * width / KEPT_PER_MS) / auction.threads


def _stage_ms(auction: Auction, stage: Stage, steps: int) -> float:
    """Nominal time of a stage with ``steps`` steps."""
    bids, width = auction.problem.bids, stage.listed + stage.drawn
    passes = _pass_ms(auction, stage.listed) if stage.listed else 0.0
    work = bids * stage.drawn / DRAWN_PER_MS + steps * bids * width / LISTED_PER_MS
    return passes + work / auction.threads + steps * STEP_MS


def _first_prices(auction: Auction, room: float) -> float:
    """Prices from nothing in about ``room`` milliseconds; returns the nominal cost."""
    problem = auction.problem
    wanted = np.maximum(problem.base, 0.0).astype(np.float64) @ problem.count
    total = np.maximum(problem.demand.T @ problem.count, 1e-30)
    auction.price[:] = np.where(np.arange(len(total)) == 0, *FIRST_PRICE) * wanted / total
    unhurried = _stage_ms(auction, FIRST_STAGE, STEPS_UNHURRIED) < room
    stage = FIRST_STAGE if unhurried else FIRST_STAGE_HURRIED
    # Without any prices there is no plan worth the name: a few steps, however late.
    least = _stage_ms(auction, stage, STEPS_MIN)
    spent = _run_stage(auction, stage, max(room, least), seed=0)
    return spent + _cool(auction, STAGES, room - spent)


def _cool(auction: Auction, stages: tuple[Stage, ...], room: float) -> float:
    """Stage after stage within ``room`` milliseconds; returns their nominal cost."""
    spent = 0.0
    for number, stage in enumerate(stages):
        cost = _run_stage(auction, stage, room - spent, seed=number + 1)
        spent += cost
        if not cost:
            break
    return spent


def _run_stage(auction: Auction, stage: Stage, room: float, *, seed: int) -> float:
    """One stage, with as many of its steps as ``room`` allows; its cost, nought if left out."""
    fixed = _stage_ms(auction, stage, 0)
    step = _stage_ms(auction, stage, 1) - fixed
    steps = min(stage.steps, int((room - fixed) / step + 1e-6))
    # Stopped half way, prices are still too hot and worse than before.
    least = stage.steps // 2 if stage.listed else STEPS_MIN
    if steps < least or auction.pace.prices_late():
        return 0.0
    lists = auction.random_lists(width=stage.drawn, seed=seed)
    if stage.listed:
        lists = joined(auction.lists(width=stage.listed, heat=stage.spread), lists)
    auction.move_prices(lists, stage, steps)
    return fixed + steps * step
