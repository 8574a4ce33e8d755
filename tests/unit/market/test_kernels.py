"""The kernels agree with the score, their bound holds for the whole problem, and plans repeat."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market import feasible, last_asks, losses, score
from market.factors import problem_of
from market.kernels import auction, clearing, first_prices, pairs, schedule
from market.kernels.pace import Pace
from market.kernels.placement import Placement
from market.mechanisms import get
from market.repeating import repeated
from market.snapshot import Policy, Snapshot
from sim.generators import random_snapshot

from .factories import check_plan, make_asks, make_bids, make_snapshot

SEEDS = st.integers(0, 100_000)


def all_listed(snapshot: Snapshot) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(bid, ask, value) of every pair that the kernels find feasible."""
    problem = problem_of(snapshot)
    lists = auction.Auction(problem, seed=1, pace=Pace(threads=1)).lists(
        width=len(snapshot.asks), heat=0.0
    )
    bid, column = np.nonzero(lists.ask >= 0)
    return bid, problem.node[lists.ask[bid, column]], lists.value[bid, column]


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_kernel_values_are_the_score_of_the_feasible_pairs(seed: int) -> None:
    snapshot = random_snapshot(bids=25, asks=12, seed=seed)
    # Kernels need room for one slot now; the constraint "too large" only asks for an empty node.
    bid, ask = feasible.feasible_pairs(snapshot)
    room = (snapshot.bids.demand[bid] <= snapshot.asks.capacity[ask]).all(axis=1)
    wanted = {(i, j) for i, j in zip(bid[room].tolist(), ask[room].tolist(), strict=True)}
    found_bid, found_ask, value = all_listed(snapshot)
    found = set(zip(found_bid.tolist(), found_ask.tolist(), strict=True))
    assert found >= wanted
    # Costs are rounded up to micros for each resource; kernels have no such steps.
    demand, limit = snapshot.bids.demand, snapshot.bids.limit
    unit = score.unit_prices(snapshot)
    for i, j in found - wanted:
        assert limit[i] - demand.shape[1] < (demand[i] * unit[j]).sum() <= limit[i]
    exact = score.values(snapshot, found_bid.astype(np.int32), found_ask.astype(np.int32))
    assert value == pytest.approx(exact, rel=2e-5)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, load=st.floats(0.5, 3.0))
def test_bound_is_above_the_optimum(seed: int, load: float) -> None:
    snapshot = random_snapshot(bids=9, asks=5, seed=seed, load=load)
    best = get("exact").clear(snapshot, budget_ms=20_000)
    plan = get("hierarchical").clear(snapshot, budget_ms=30)
    check_plan(snapshot, plan)
    assert best.bound <= best.welfare * (1 + 1e-6) + 1e-9
    assert plan.bound >= best.welfare
    assert plan.welfare <= best.welfare * (1 + 1e-6)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_bound_holds_at_any_prices(seed: int) -> None:
    snapshot = random_snapshot(bids=30, asks=8, seed=seed)
    welfare = get("greedy").clear(snapshot, budget_ms=10).welfare
    kernel = auction.Auction(problem_of(snapshot), seed=seed, pace=Pace(threads=1))
    rng = np.random.default_rng(seed)
    for spread in (0.0, 0.1, 1.0, 10.0):
        kernel.price = kernel.certified = (
            rng.random(kernel.price.shape) * spread * kernel.mean_value / kernel.scale
        )
        kernel.bound = np.inf
        kernel.lists(width=2, heat=0.01 * spread)
        assert kernel.bound >= welfare


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, load=st.floats(0.3, 3.0))
def test_hierarchical_plan_keeps_every_rule(seed: int, load: float) -> None:
    snapshot = random_snapshot(bids=80, asks=15, seed=seed, load=load)
    check_plan(snapshot, get("hierarchical").clear(snapshot, budget_ms=40))


def test_hierarchical_repeats_to_the_byte() -> None:
    policy = Policy(parameters={"repeatable": 1.0})
    first, second = (
        get("hierarchical").clear(
            random_snapshot(bids=800, asks=90, seed=3, policy=policy), budget_ms=300
        )
        for _ in range(2)
    )
    for name in ("bid", "ask", "count", "rate", "score", "node_price"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    assert first.bound == second.bound


def test_hierarchical_beats_greedy_and_is_near_its_bound() -> None:
    policy = Policy(parameters={"repeatable": 1.0})
    snapshot = random_snapshot(bids=400, asks=80, seed=5, load=1.5, policy=policy)
    plain = get("greedy").clear(snapshot, budget_ms=100)
    plan = get("hierarchical").clear(snapshot, budget_ms=500)
    assert plan.welfare > plain.welfare
    assert plan.gap < 0.2
    carried = get("hierarchical").clear(
        replace(snapshot, carried_price=plan.node_price), budget_ms=500
    )
    assert carried.welfare > plain.welfare


def test_empty_sides() -> None:
    for snapshot in (make_snapshot(make_bids(0)), make_snapshot(asks=make_asks(0))):
        plan = get("hierarchical").clear(snapshot, budget_ms=20)
        check_plan(snapshot, plan)
        assert plan.welfare == 0.0


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, width=st.integers(1, 40), asks=st.sampled_from([3, 30, 400]))
def test_lists_hold_the_highest_reduced_values(seed: int, width: int, asks: int) -> None:
    kernel = auction.Auction(
        problem_of(random_snapshot(bids=10, asks=asks, seed=seed)), seed=1, pace=Pace(threads=1)
    )
    problem = kernel.problem
    rng = np.random.default_rng(seed)
    kernel.price = kernel.certified = (
        rng.random(kernel.price.shape) * kernel.mean_value / kernel.scale
    )
    every = kernel.lists(width=asks, heat=0.0)
    some = kernel.lists(width=width, heat=0.0)
    Placement(kernel, some).best_first()

    def reduced(i: int, ask: np.ndarray, value: np.ndarray) -> np.ndarray:
        listed = ask >= 0
        return value[listed] - kernel.price[ask[listed]] @ problem.demand[i]

    for i in range(10):
        full = np.sort(reduced(i, every.ask[i], every.value[i]))[::-1]
        got = reduced(i, some.ask[i], some.value[i])
        near = 1e-4 * float(np.abs(every.value[i]).max(initial=0.0, where=every.ask[i] >= 0))
        assert len(set(some.ask[i].tolist()) - {-1}) == (some.ask[i] >= 0).sum()
        # Candidates without value are dropped after the best were chosen.
        assert len(got) <= min(width, len(full))
        assert (np.diff(got) <= near).all()
        if (full > 0).sum() >= width:
            assert got == pytest.approx(full[:width], abs=near)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, nodes=st.integers(1, 60))
def test_node_factors_are_orthonormal(seed: int, nodes: int) -> None:
    rng = np.random.default_rng(seed)
    attraction, capacity = rng.normal(5.0, 2.0, nodes), rng.uniform(0.0, 3.0, nodes)
    factor = first_prices.node_factors(attraction, capacity)
    kept = factor[:, factor.any(axis=0)]
    products = kept.T @ (kept * (capacity / capacity.sum())[:, None])
    assert products == pytest.approx(np.eye(kept.shape[1]), abs=1e-6)
    assert factor[:, 0].tolist() == [1.0] * nodes
    if nodes > 4:
        assert kept.shape[1] == 3


def test_equal_nodes_have_one_factor() -> None:
    factor = first_prices.node_factors(np.full(7, 0.3), np.ones(7))
    assert factor.tolist() == [[1.0, 0.0, 0.0]] * 7


def test_what_nobody_asks_for_or_offers_has_no_first_price() -> None:
    snapshot = random_snapshot(bids=300, asks=60, seed=2, load=1.5)
    problem = problem_of(snapshot)
    some = np.flatnonzero(problem.demand.sum(axis=0) > 0)
    kept = np.isin(np.arange(problem.demand.shape[1]), some[:2])
    offered = np.where(kept[::-1] | kept, problem.capacity, 0.0)
    problem = replace(problem, demand=problem.demand * kept, capacity=offered)
    kernel = auction.Auction(problem, seed=1, pace=Pace(threads=1))
    kernel.lists(width=0, heat=0.0)
    free = kernel.bound
    kernel.first_prices(schedule.DRAFTS[0])
    assert not kernel.price[:, ~kept].any()
    assert not kernel.price[offered == 0].any()
    kernel.lists(width=0, heat=0.0)
    assert kernel.bound < free


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_first_prices_certify_nearly_as_much_as_settled_ones(seed: int) -> None:
    snapshot = random_snapshot(bids=1_500, asks=200, seed=seed, load=1.5)
    problem = problem_of(snapshot)
    kernel = auction.Auction(problem, seed=1, pace=Pace(threads=1))
    kernel.lists(width=0, heat=0.0)
    free = kernel.bound
    kernel.first_prices(schedule.DRAFTS[-1])
    kernel.lists(width=0, heat=0.0)
    settled = clearing.clear(
        problem, count_min=snapshot.bids.count_min, budget_ms=1_500, seed=1, repeatable=True
    )
    assert settled.bound < kernel.bound < free
    assert kernel.bound - settled.bound < 0.15 * (free - settled.bound)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
def test_first_prices_do_not_die_where_nodes_differ_much(seed: int) -> None:
    """Four resources, of which few nodes have one: prices cut at nought never rose again here."""
    snapshot = random_snapshot(bids=3_000, asks=600, seed=seed, zones=64, slots_max=1)
    problem = problem_of(snapshot)
    kernel = auction.Auction(problem, seed=1, pace=Pace(threads=1))
    kernel.lists(width=0, heat=0.0)
    free = kernel.bound
    kernel.first_prices(schedule.DRAFTS[-1])
    kernel.lists(width=0, heat=0.0)
    settled = clearing.clear(
        problem, count_min=snapshot.bids.count_min, budget_ms=500, seed=1, repeatable=True
    )
    assert kernel.bound - settled.bound < 0.4 * (free - settled.bound)


def test_thin_looks_see_each_block_once_in_as_many_turns() -> None:
    snapshot = random_snapshot(bids=60, asks=2_000, seed=1, zones=64)
    kernel = auction.Auction(problem_of(snapshot), seed=1, pace=Pace(threads=1))
    whole = kernel.lists(width=8, heat=0.0)
    bound, turns = kernel.bound, 4
    kernel.bound = np.inf
    thin = [kernel.lists(width=8, heat=0.0, every=turns, seed=turn) for turn in range(turns)]
    assert bound < kernel.bound == np.inf  # of some of the nodes: certifies nothing
    problem = kernel.problem
    near = problem.latency[problem.zone][:, problem.block_zone] <= problem.latency_max[:, None]
    reach = (near & problem.compatible[problem.bid_class][:, problem.block_class]).sum(axis=1)
    step = np.clip(reach // pairs.BLOCKS_LEAST, 1, turns)  # few blocks: none is passed over
    assert set(step.tolist()) == {1, 2, 3, 4}
    for i in range(60):
        seen = [set(lists.ask[i].tolist()) - {-1} for lists in thin[: step[i]]]
        assert sum(len(one) for one in seen) == len(set.union(*seen))
        assert set(whole.ask[i].tolist()) - {-1} <= set.union(*seen)


def test_drawn_candidates_stand_beside_the_best() -> None:
    snapshot = random_snapshot(bids=50, asks=300, seed=2)
    kernel = auction.Auction(problem_of(snapshot), seed=1, pace=Pace(threads=1))
    every = kernel.lists(width=300, heat=0.0)
    best = kernel.lists(width=4, heat=0.0)
    both = kernel.lists(width=4, heat=0.0, drawn=6, seed=3)
    assert both.ask.shape == (50, 10)
    for i in range(50):
        known = dict(zip(every.ask[i].tolist(), every.value[i].tolist(), strict=True))
        listed = both.ask[i][both.ask[i] >= 0].tolist()
        assert both.ask[i, len(listed) :].tolist() == [-1] * (10 - len(listed))  # empty ones last
        assert set(best.ask[i].tolist()) - {-1} <= set(listed)
        for node, value in zip(listed, both.value[i].tolist(), strict=False):
            assert value == known[node]
    assert ((both.ask >= 0).sum(axis=1) > 4).sum() > 20


def test_bound_taken_beside_other_work_is_that_of_a_look() -> None:
    snapshot = random_snapshot(bids=700, asks=90, seed=3)
    kernel = auction.Auction(problem_of(snapshot), seed=1, pace=Pace(threads=2))
    kernel.first_prices(schedule.DRAFTS[0])
    end = kernel.begin_bound()
    end()
    beside, kernel.bound = kernel.bound, np.inf
    kernel.lists(width=8, heat=0.0)
    assert beside == kernel.bound


def test_free_share_is_of_the_scarcest_resource() -> None:
    snapshot = make_snapshot(
        make_bids(3, demand=[[1_000, 1 << 30, 0, 0]] * 3),
        make_asks(2, capacity=[[1_000, 4 << 30, 0, 0]] * 2),
    )
    kernel = auction.Auction(problem_of(snapshot), seed=1, pace=Pace(threads=1))
    placement = Placement(kernel, kernel.lists(width=2, heat=0.0))
    assert placement.free_share() == 1.0
    placement.fill()
    assert (placement.at >= 0).sum() == 2
    assert placement.free_share() == 0.0  # of the cores, whatever memory is left


def test_equal_nodes_are_all_candidates_of_somebody() -> None:
    """Lists of many equal nodes are full, and not the same for all bids."""
    snapshot = make_snapshot(make_bids(40), make_asks(300))
    kernel = auction.Auction(problem_of(snapshot), seed=1, pace=Pace(threads=1))
    lists = kernel.lists(width=16, heat=0.0)
    assert (lists.ask >= 0).all()
    assert len(np.unique(lists.ask)) > 40


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, asks=st.sampled_from([4, 40, 150]))
def test_what_found_no_candidate_looks_at_all_nodes_with_room(seed: int, asks: int) -> None:
    snapshot = random_snapshot(bids=60, asks=asks, seed=seed, load=2.0)
    problem = problem_of(snapshot)
    kernel = auction.Auction(problem, seed=1, pace=Pace(threads=1))
    every = kernel.lists(width=asks, heat=0.0)
    placement = Placement(kernel, kernel.lists(width=1, heat=0.0))
    placement.fill()
    before = placement.at.copy()
    placement.fill_anywhere()
    assert (placement.at[before >= 0] == before[before >= 0]).all()
    used = np.zeros_like(problem.capacity)
    for item in np.flatnonzero(placement.at >= 0).tolist():
        bid, node = placement.bid[item], placement.at[item]
        used[node] += problem.demand[bid]
        where = np.flatnonzero(every.ask[bid] == node)
        assert len(where) == 1
        assert placement.worth[item] == pytest.approx(every.value[bid, where[0]], rel=1e-4)
    assert (used <= problem.capacity * (1 + 1e-9)).all()
    assert placement.free == pytest.approx(problem.capacity - used)
    for item in np.flatnonzero(placement.at < 0).tolist():
        bid = placement.bid[item]
        nodes = every.ask[bid][every.ask[bid] >= 0]
        assert not (problem.demand[bid] <= placement.free[nodes]).all(axis=1).any()


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, asks=st.sampled_from([3, 30, 200]))
def test_random_candidates_are_feasible_and_spread(seed: int, asks: int) -> None:
    snapshot = random_snapshot(bids=10, asks=asks, seed=seed)
    kernel = auction.Auction(problem_of(snapshot), seed=1, pace=Pace(threads=1))
    every = kernel.lists(width=asks, heat=0.0)
    drawn = kernel.random_lists(kernel.problem, width=48, seed=seed)
    for i in range(10):
        feasible_nodes, got = set(every.ask[i].tolist()), set(drawn.ask[i].tolist()) - {-1}
        assert got <= feasible_nodes
        if asks > 100 and len(feasible_nodes) > 60:
            assert len(got) > 20


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_last_constraints_are_those_of_the_plain_check(seed: int) -> None:
    snapshot = random_snapshot(bids=20, asks=6, seed=seed)
    bids = np.arange(20, dtype=np.int32)
    free = snapshot.asks.capacity
    last = last_asks.last_asks(snapshot, bids, free=free, node_price=np.zeros(free.shape))
    for i in range(20):
        code, ask = losses.closest(snapshot, i)
        assert last.code[i] == code
        if code < feasible.FEASIBLE:
            told = losses.constraint_loss(snapshot, i, code, int(last.ask[i]))
            assert told == losses.constraint_loss(snapshot, i, code, ask)


@pytest.mark.parametrize("budget_ms", [1, 5, 40])
def test_hierarchical_plan_is_repeated_by_its_effort_however_it_was_cut(budget_ms: int) -> None:
    snapshot = random_snapshot(bids=400, asks=60, seed=5, load=1.5)
    plan = get("hierarchical").clear(snapshot, budget_ms=budget_ms)
    again = get("hierarchical").clear(repeated(snapshot, plan.effort), budget_ms=budget_ms)
    assert again.digest() == plan.digest()
    assert again.welfare == plan.welfare
    assert again.node_price.tobytes() == plan.node_price.tobytes()
    assert again.effort == plan.effort


def test_hierarchical_without_scarcity_is_the_optimum_without_a_search() -> None:
    snapshot = random_snapshot(bids=3, asks=30, seed=4, load=0.01)
    plan = get("hierarchical").clear(snapshot, budget_ms=1_000)
    assert plan.gap == pytest.approx(0.0, abs=1e-9)
    assert plan.effort == {}
    assert plan.welfare == pytest.approx(get("exact").clear(snapshot, budget_ms=2_000).welfare)


def test_digest_tells_plans_apart() -> None:
    snapshot = random_snapshot(bids=40, asks=10, seed=6, load=1.5)
    plans = [get(name).clear(snapshot, budget_ms=20) for name in ("greedy", "random", "greedy")]
    assert plans[0].digest() == plans[2].digest() != plans[1].digest()


def test_pace_notes_what_the_clock_cut() -> None:
    hurried = Pace(threads=1, prices_until=0.0, search_until=0.0)
    assert [hurried.prices_late(), hurried.prices_late()] == [True, True]
    assert list(hurried.phases(8)) == []
    assert hurried.effort == {"threads": 1, "price_looks": 0, "phases": 0}
    free = Pace(threads=2)
    assert not any(free.prices_late() for _ in range(5))
    assert list(free.phases(4)) == [0, 1, 2, 3]
    assert free.effort == {"threads": 2, "price_looks": -1, "phases": 15}
    again = Pace.repeating({"threads": 1, "price_looks": 2, "phases": 5})
    assert [again.prices_late() for _ in range(4)] == [False, False, True, True]
    assert list(again.phases(4)) == [0, 2]
    assert again.effort == {"threads": 1, "price_looks": 2, "phases": 5}
