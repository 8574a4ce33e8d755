"""The steps of prices and the small parts of the kernels, against the plain way of doing them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.kernels import auction, pairs, prices
from market.kernels.compiled import NEVER, kernel
from market.kernels.pace import Pace
from market.kernels.placement import Placement, falling
from market.kernels.problem import Problem, Singles
from market.kernels.schedule import LAST_STEPS
from market.kernels.vectors import peaks_of
from sim.hard import hard_arrays, hard_problem

SEEDS = st.integers(0, 2**32 - 1)
ROWS = 8


@pytest.fixture
def problem() -> Problem:
    return hard_problem(hard_arrays(bids=400, nodes=90, zones=6, seed=3))


def plain_demand(
    problem: Problem, ask: np.ndarray, value: np.ndarray, price: np.ndarray, temperature: np.ndarray
) -> np.ndarray:
    """(m, R) by the exponential weights themselves, bid by bid."""
    used = np.zeros_like(price)
    for i in range(problem.bids):
        here = ask[i][ask[i] >= 0]
        left = value[i][ask[i] >= 0] - price[here] @ problem.demand[i]
        best = max(0.0, left.max(initial=0.0))
        weight = np.exp((left - best) / temperature[i])
        share = weight / (weight.sum() + np.exp(-best / temperature[i]))
        np.add.at(used, here, share[:, None] * problem.demand[i] * problem.count[i])
    return used


@pytest.mark.parametrize("heat", [0.05, 0.005, 0.0005])
def test_soft_demand_is_about_that_of_exponential_weights(problem: Problem, heat: float) -> None:
    kernel_of = auction.Auction(problem, seed=0, pace=Pace(threads=1))
    kernel_of.price = np.random.default_rng(0).random(kernel_of.price.shape)
    kernel_of.price *= 0.3 * kernel_of.mean_value / kernel_of.scale
    lists = kernel_of.lists(width=24, heat=0.0)
    used = np.zeros_like(kernel_of.price)
    single = np.ascontiguousarray(kernel_of.price.T, np.float32)
    prices.soft_demand(
        (0, problem.bids, 1), lists.ask, lists.value, problem.demand, problem.count,
        kernel_of.temperature, heat, single, used,
    )  # fmt: skip
    plain = plain_demand(
        problem, lists.ask, lists.value, kernel_of.price, heat * kernel_of.temperature
    )
    total = plain.sum(axis=0)
    assert total.min() > 0
    assert (np.abs(used - plain).sum(axis=0) < 0.05 * total).all()
    assert used.sum(axis=0) == pytest.approx(total, rel=0.01)


def test_empty_lists_ask_for_nothing(problem: Problem) -> None:
    kernel_of = auction.Auction(problem, seed=0, pace=Pace(threads=1))
    ask = np.full((problem.bids, 3), -1, np.int32)
    value = np.full((problem.bids, 3), NEVER, np.float32)
    used, single = np.zeros_like(problem.capacity), np.zeros(problem.capacity.T.shape, np.float32)
    prices.soft_demand(
        (0, problem.bids, 1), ask, value, problem.demand, problem.count, kernel_of.temperature,
        0.0, single, used,
    )  # fmt: skip
    assert not used.any()


def test_steps_apart_of_one_thread_are_those_together(problem: Problem) -> None:
    together, apart = (auction.Auction(problem, seed=0, pace=Pace(threads=1)) for _ in range(2))
    for one, move in ((together, together.move_prices), (apart, apart.move_prices_apart)):
        lists = one.lists(width=24, heat=0.0)
        move(lists, LAST_STEPS, 9)
    assert together.price.any()
    assert apart.price == pytest.approx(together.price, rel=1e-6, abs=1e-9)


def test_steps_apart_give_a_bound_like_those_together(problem: Problem) -> None:
    bounds = []
    for threads, name in ((1, "move_prices"), (2, "move_prices_apart")):
        one = auction.Auction(problem, seed=0, pace=Pace(threads=threads))
        lists = one.lists(width=64, heat=0.0)
        loose = one.bound
        for _ in range(6):
            getattr(one, name)(lists, LAST_STEPS, 12)
        one.lists(width=1, heat=0.0)
        assert one.bound < 0.9 * loose
        bounds.append(one.bound)
    assert bounds[1] == pytest.approx(bounds[0], rel=0.02)


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, few=st.booleans())
def test_falling_is_the_stable_order(seed: int, few: bool) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=60).astype(np.float32)
    if few:
        values = random.choice(np.float32([-1e30, -2.5, 0.0, 1e-20, 3.0]), size=60)
    assert (falling(values) == np.argsort(-values, kind="stable")).all()


def test_insertion_goes_by_surplus_at_the_prices(problem: Problem) -> None:
    kernel_of = auction.Auction(problem, seed=0, pace=Pace(threads=1))
    kernel_of.price += 0.05 * kernel_of.mean_value / kernel_of.scale
    lists = kernel_of.lists(width=16, heat=0.0)
    placement = Placement(kernel_of, lists)
    for i in range(problem.bids):
        here = lists.ask[i][lists.ask[i] >= 0]
        left = lists.value[i][lists.ask[i] >= 0] - kernel_of.price[here] @ problem.demand[i]
        assert placement.surplus[i] == pytest.approx(left.max(initial=NEVER), rel=1e-3, abs=1e-3)


@kernel
def _fold(values: Singles, peak: Singles, first: int, extreme: Singles) -> None:
    peaks_of(values, ROWS, peak, first, extreme, pairs.FEASIBLE)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_peaks_are_the_maxima_by_place_and_their_extremes_are_kept(seed: int) -> None:
    random = np.random.default_rng(seed)
    peak = np.zeros(3 * 8, np.float32)
    extreme = np.concatenate([np.full(8, NEVER), np.full(8, -NEVER)]).astype(np.float32)
    blocks = random.normal(size=(3, 8 * ROWS)).astype(np.float32)
    blocks[random.random(blocks.shape) < 0.7] = NEVER
    for number, values in enumerate(blocks):
        _fold(values, peak, 8 * number, extreme)
    plain = blocks.reshape(3, ROWS, 8).max(axis=1)
    assert (peak.reshape(3, 8) == plain).all()
    assert (extreme[:8] == plain.max(axis=0)).all()
    alive = np.where(plain > pairs.FEASIBLE, plain, -NEVER)
    assert (extreme[8:] == alive.min(axis=0)).all()


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, wanted=st.integers(1, 40), size=st.integers(1, 80))
def test_cut_at_least_leaves_enough_and_little_more(seed: int, wanted: int, size: int) -> None:
    values = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    low, high = np.float32(values.min() - 1.0), values.max()
    cut = pairs.cut_at_least(values, size, wanted, low, high)
    if size <= wanted:
        assert cut == pairs.FEASIBLE
    else:
        assert wanted <= (values > cut).sum() <= wanted + wanted // 8
