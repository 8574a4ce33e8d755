"""The Lagrangian auction on a ``Problem``: what its stages do; ``clearing.py`` says in what order.

Stages: prices per node and resource by a smoothed dual on candidate lists that are redrawn as the
temperature falls (the first ones left out where the last round's prices are carried); lists of the
best nodes at these prices by one pass over all pairs, which also gives a bound that holds for the
whole problem.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from market.kernels import first_prices, pairs, prices
from market.kernels.pace import Pace
from market.kernels.placement import Lists
from market.kernels.problem import (
    Problem,
    Singles,
    absent_lanes,
    block_extremes,
    in_lanes,
    lanes_of,
)
from market.kernels.schedule import DRAFT_HEATS, Draft, Schedule, Stage
from market.snapshot import Floats, Indices

T = TypeVar("T")

NOISE_MAX = 6.0
SILENCE = np.zeros((1, 1), np.float32)
ENOUGH = 0.6  # of the steps of a stage, for its prices to be of use
BOUND_PARTS = 24  # of a pass for the bound, that threads take in turn
SAMPLE, SAMPLE_REACH = 40, 200  # bids looked at to know values, and how far they reach
FIRST_PRICE = (0.3, 0.03)  # of limit by demand: for the first resource, for the others


_kept = threading.local()


def _pool(threads: int) -> ThreadPoolExecutor:
    """The other threads of this one, kept: to begin and end them takes a sixth of a millisecond."""
    mine = os.getpid(), threads  # none of a process outlives its fork
    if getattr(_kept, "of", None) != mine:
        _kept.of, _kept.pool = mine, ThreadPoolExecutor(threads - 1)
    pool: ThreadPoolExecutor = _kept.pool
    return pool


class Auction:
    """One problem being cleared; the stages move ``price`` and lower ``bound``."""

    def __init__(self, problem: Problem, *, seed: int, pace: Pace) -> None:
        self.problem = problem
        self.pace = pace
        threads = self.threads = pace.threads
        self.random = np.random.default_rng(seed)
        self.pool = _pool(threads) if threads > 1 else None
        self.scale = np.maximum(problem.capacity.mean(axis=0), 1e-9)
        relative = np.ascontiguousarray((problem.demand / self.scale).T)
        self.bulk = relative.max(axis=0, initial=1e-9)
        self.price = np.zeros(problem.capacity.shape)
        self.bound = np.inf  # the least dual seen, by any of the passes over all pairs
        self.certified = self.price  # at which it was
        lanes = self.lanes = lanes_of(problem)
        self.candidates = pairs.CANDIDATES[lanes]
        self.node_lanes = (
            in_lanes(problem, problem.attribute, lanes),
            *block_extremes(problem, problem.attribute),
            in_lanes(problem, problem.unit_price, lanes),
            block_extremes(problem, problem.unit_price)[1],
            absent_lanes(problem, lanes),
        )
        width = np.diff(problem.block_start)
        self.node_zone = np.repeat(problem.block_zone, width).astype(np.int32)
        self.noise: Singles | None = None
        some = self.random.permutation(problem.bids)[:SAMPLE_REACH].astype(np.int32)
        few = some[:SAMPLE]
        self.mean_value = self._mean_value(problem.of_bids(few), self.bulk[few])
        self.temperature = self.mean_value * self.bulk  # of each bid at heat 1
        nodes, blocks = self._reach(problem.of_bids(some))
        self.schedule = Schedule.of(
            problem, reach=nodes, blocks=blocks, lanes=lanes, threads=threads
        )

    def in_parts(self, work: Callable[[int, int], T], size: int, *, least: int = 128) -> list[T]:
        """Runs ``work(low, high)`` on even parts of ``range(size)``, results in order."""
        if self.pool is None or size < least:
            return [work(0, size)]
        edges = np.linspace(0, size, self.threads + 1).astype(int).tolist()
        others = [self.pool.submit(work, low, high) for low, high in pairwise(edges[1:])]
        first = work(edges[0], edges[1])
        return [first, *(other.result() for other in others)]

    def _pair_arrays(self, problem: Problem) -> tuple[Any, ...]:
        """The common arguments of the kernel over all pairs at the present prices."""
        feature = np.concatenate([problem.feature, self.price.T.astype(np.float32)])
        weight = np.concatenate([problem.slope, -problem.demand.astype(np.float32)], axis=1)
        return (
            problem.block_start, problem.block_zone, problem.block_class,
            in_lanes(problem, feature, self.lanes), *self.node_lanes,
            problem.base, weight, problem.near, problem.horizon, problem.latency_max,
            problem.zone, problem.need, problem.money, problem.bid_class, problem.compatible,
            problem.latency,
        )  # fmt: skip

    def _reach(self, sample: Problem) -> tuple[float, float]:
        """How many nodes, and blocks, are near enough and of a fitting class for a bid."""
        near = sample.latency[sample.zone][:, sample.block_zone]
        fits = near <= sample.latency_max[:, None]
        fits &= sample.compatible[sample.bid_class][:, sample.block_class]
        return float((fits @ np.diff(sample.block_start)).mean()), float(fits.sum(axis=1).mean())

    def _mean_value(self, sample: Problem, bulk: Floats) -> float:
        """Value for each unit of bulk that bids could have with all nodes free, by a sample."""
        ask, rank = np.empty((sample.bids, 1), np.int32), np.empty((sample.bids, 1), np.float32)
        best, silent = np.zeros(sample.bids, np.float32), np.zeros(sample.bids, np.float32)
        arrays = self._pair_arrays(sample)
        self.candidates(0, sample.bids, *arrays, SILENCE, silent, 1, 0, ask, rank, best)
        useful = best > 0
        if not useful.any():
            return 1e-12
        return float(best[useful].sum() / bulk[useful].sum())

    def _noise(self) -> Singles:
        """A row of noise for each block, which bids begin to read at different ones."""
        if self.noise is None:
            shape = (len(self.problem.block_zone) + pairs.NOISE_ROWS, self.lanes)
            drawn = self.random.exponential(size=shape)
            self.noise = np.minimum(drawn, NOISE_MAX).astype(np.float32)
        return self.noise

    def lists(
        self, *, width: int, heat: float, every: int = 1, drawn: int = 0, seed: int = 0
    ) -> Lists:
        """New candidate lists at the present prices, spread by ``heat`` × mean value; a bound.

        ``drawn`` further ones are drawn evenly. Of bids that reach many blocks only one of
        ``every`` is looked at, another one for each ``seed``: then there is no bound.
        """
        problem = self.problem
        ask = np.empty((problem.bids, width), np.int32)
        value = np.empty((problem.bids, width), np.float32)
        best = np.zeros(problem.bids, np.float32)
        self.in_parts(self._pass(ask, value, best, heat, every, seed), problem.bids)
        if every == 1:
            self._certify(best)
        if drawn:
            others = np.empty((problem.bids, drawn), np.int32)
            self.in_parts(self._draw(problem, seed, others), problem.bids)
            ask = np.concatenate([ask, others], axis=1)
            value = np.empty(ask.shape, np.float32)
        self.in_parts(self._value(problem, ask, value), problem.bids)
        return Lists(ask, value)

    def begin_bound(self) -> Callable[[], None]:
        """Begins a pass for the bound at the present prices alone; what it returns ends it.

        Another thread begins meanwhile: the caller has work for one thread.
        """
        bids = self.problem.bids
        best = np.zeros(bids, np.float32)
        none = np.empty((bids, 0))
        work = self._pass(none.astype(np.int32), none.astype(np.float32), best, 0.0)
        edges = np.linspace(0, bids, BOUND_PARTS + 1).astype(int).tolist()
        parts = deque(pairwise(edges))

        def take_parts() -> None:
            while parts:
                try:
                    part = parts.popleft()
                except IndexError:  # the other thread took the last one
                    return
                work(*part)

        other = self.pool.submit(take_parts) if self.pool else None

        def end() -> None:
            take_parts()
            if other is not None:
                other.result()
            self._certify(best)

        return end

    def _pass(
        self,
        ask: Indices,
        value: Singles,
        best: Singles,
        heat: float,
        every: int = 1,
        seed: int = 0,
    ) -> Callable[[int, int], None]:
        """The pass over all pairs of bids ``low`` to ``high``, at the present prices."""
        arrays = self._pair_arrays(self.problem)
        spread = (heat * self.mean_value * self.bulk).astype(np.float32)
        noise = self._noise() if heat else SILENCE
        return lambda low, high: self.candidates(
            low, high, *arrays, noise, spread, every, seed, ask, value, best
        )

    def _certify(self, best: Singles) -> None:
        bound = self._dual(best)
        if bound < self.bound:
            self.bound, self.certified = bound, self.price.copy()

    def random_lists(self, problem: Problem, *, width: int, seed: int) -> Lists:
        """Lists of nodes drawn evenly among those that each bid of ``problem`` could use.

        By the calling thread alone: for samples.
        """
        ask = np.empty((problem.bids, width), np.int32)
        value = np.empty(ask.shape, np.float32)
        self._draw(problem, seed, ask)(0, problem.bids)
        self._value(problem, ask, value)(0, problem.bids)
        return Lists(ask, value)

    def _draw(self, problem: Problem, seed: int, ask: Indices) -> Callable[[int, int], None]:
        """Draws the nodes of bids ``low`` to ``high`` of ``problem``."""
        return lambda low, high: pairs.random_candidates(
            low, high, problem.block_start, problem.block_zone, problem.block_class,
            problem.attribute, problem.unit_price, problem.latency_max, problem.zone,
            problem.need, problem.money, problem.bid_class, problem.compatible,
            problem.latency, seed, ask,
        )  # fmt: skip

    def _value(self, problem: Problem, ask: Indices, value: Singles) -> Callable[[int, int], None]:
        """Writes the value of each candidate, and drops those without a positive one."""
        return lambda low, high: pairs.candidate_values(
            low, high, self.node_zone, problem.feature, problem.base, problem.slope, problem.near,
            problem.horizon, problem.zone, problem.latency, ask, value,
        )  # fmt: skip

    def first_prices(self, draft: Draft) -> None:
        """Prices from nothing, see ``first_prices.py``; each thread asks bids of its own."""
        problem = self.problem
        some = self.random.permutation(problem.bids)[: self.threads * draft.bids].astype(np.int32)
        sample, bulk = problem.of_bids(some), self.bulk[some]
        attraction = (sample.slope / bulk[:, None]).mean(axis=0) @ problem.feature
        capacity = problem.capacity / self.scale
        factor = first_prices.node_factors(attraction.astype(np.float64), capacity.mean(axis=1))
        total = np.maximum((problem.demand * problem.count[:, None]).sum(axis=0), 1e-30)
        wanted = float((np.maximum(problem.base, 0.0).astype(np.float64) * problem.count).sum())
        unit = self.mean_value / self.scale
        guess = np.where(np.arange(len(total)) == 0, *FIRST_PRICE) * wanted / total / unit
        asked = total * unit > 1e-9 * wanted  # what nobody asks for is free

        def work(low: int, high: int) -> Floats:
            mine = some[low:high]
            sample, slots = problem.of_bids(mine), problem.count[mine].astype(np.float64)
            lists = self.random_lists(sample, width=draft.drawn, seed=low)
            part = np.maximum(sample.demand.T @ slots, 1e-30) / total
            theta = np.zeros((factor.shape[1], len(total)))
            theta[0] = np.where(asked, guess, 0.0)
            first_prices.lower_dual(
                lists.ask, lists.value, self.mean_value, sample.demand / self.scale, slots,
                self.bulk[mine], factor, capacity * part, theta, draft.steps, DRAFT_HEATS,
            )  # fmt: skip
            return first_prices.positive(factor @ theta)

        price = np.mean(self.in_parts(work, len(some)), axis=0) * unit
        self.price = np.where(asked & (problem.capacity > 0), price, 0.0)

    def move_prices(self, lists: Lists, stage: Stage, steps: int) -> bool:
        """Steps on the smoothed dual as it cools; the price becomes the mean of the last ones.

        False where the clock stopped them too soon to be of use.
        """
        problem, unit = self.problem, self.mean_value / self.scale
        mean, square = np.zeros_like(self.price), np.zeros_like(self.price)
        price, total, summed = self.price.copy(), np.zeros_like(self.price), 0
        single = np.ascontiguousarray(price.T, np.float32)
        for step in range(steps):
            if stage.listed and step >= 3 and self.pace.prices_late():
                if step < ENOUGH * steps:
                    return False  # still hot: what the stage began with is better
                break
            heat = prices.cooled(stage.heat, step, steps)
            rate = prices.cooled(stage.rate, step, steps)
            used = self._demand(lists, single, heat)
            prices.take_step(step, rate, used, problem.capacity, unit, mean, square, price, single)
            if prices.is_last(step, steps):
                total, summed = total + price, summed + 1
        self.price = total / summed if summed else price
        return True

    def _demand(self, lists: Lists, price: Singles, heat: float) -> Floats:
        """(m, R) what bids ask of each node at ``price`` (R, m), spread by ``heat``."""
        problem = self.problem

        def work(low: int, high: int) -> Floats:
            used = np.zeros_like(self.price)
            prices.soft_demand(
                (low, high, 1), lists.ask, lists.value, problem.demand, problem.count,
                self.temperature, heat, price, used,
            )  # fmt: skip
            return used

        parts: Floats = np.sum(self.in_parts(work, problem.bids), axis=0)
        return parts

    def move_prices_apart(self, lists: Lists, stage: Stage, steps: int) -> None:
        """As ``move_prices``, but each thread steps by bids of its own, and their mean is taken.

        For small problems, in which threads would wait for each other longer than a step takes.
        """
        problem, unit = self.problem, self.mean_value / self.scale
        wanted = problem.demand * problem.count[:, None]
        total = np.maximum(wanted.sum(axis=0), 1e-30)

        def work(first: int, _: int) -> Floats:
            price = self.price.copy()
            part = wanted[first :: self.threads].sum(axis=0) / total
            prices.take_steps(
                (first, problem.bids, self.threads), lists.ask, lists.value, problem.demand,
                problem.count, self.temperature, stage.heat, stage.rate, steps,
                problem.capacity * part, unit, price,
            )  # fmt: skip
            return price

        self.price = np.mean(self.in_parts(work, self.threads, least=2), axis=0)

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
