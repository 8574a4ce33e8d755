"""The parameter ``requesters``: slots count alike in the search, while score and bound stay."""

from dataclasses import replace

import numpy as np
import pytest

from market import score
from market.factors import problem_of
from market.mechanisms import get
from market.mechanisms.hierarchical import tilted
from market.repeating import repeated, unhurried
from market.snapshot import Policy, Snapshot
from sim.generators import random_snapshot

from .factories import check_plan, make_asks, make_bids, make_snapshot


def crowded(requesters: float) -> Snapshot:
    policy = Policy(parameters={"repeatable": 1.0, "requesters": requesters})
    return random_snapshot(bids=900, asks=60, seed=4, load=3.0, slots_max=1, policy=policy)


def test_tilted_values_are_those_of_sizes_nearer_the_mean() -> None:
    snapshot = crowded(0.0)
    problem, size = problem_of(snapshot), score.sizes(snapshot)
    all_alike = tilted(problem, size, 1.0)
    np.testing.assert_allclose(all_alike.base / size.mean(), problem.base / size, rtol=1e-5)
    half = tilted(problem, size, 0.5)
    np.testing.assert_allclose(half.near, (problem.near + all_alike.near) / 2, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(("requesters", "more", "kept"), [(0.5, 1.4, 0.96), (1.0, 1.1, 0.9)])
def test_more_requesters_are_served_for_little_welfare(
    requesters: float, more: float, kept: float
) -> None:
    plain = get("hierarchical").clear(crowded(0.0), budget_ms=400)
    fair = get("hierarchical").clear(crowded(requesters), budget_ms=400)
    check_plan(crowded(requesters), fair)
    assert len(fair.bid) > more * len(plain.bid)
    assert fair.welfare > kept * plain.welfare
    # The bound is of the score, not of what was searched by.
    assert fair.bound >= plain.welfare


def test_plan_is_made_again_from_its_effort() -> None:
    snapshot = replace(crowded(1.0), policy=Policy(parameters={"requesters": 1.0}))
    plan = get("hierarchical").clear(snapshot, budget_ms=40)
    again = repeated(snapshot, plan.effort)
    assert get("hierarchical").clear(again, budget_ms=40).digest() == plan.digest()
    assert set(unhurried(again).policy.parameters) == {"requesters", "repeatable"}


def test_bids_for_nothing_are_served_for_free() -> None:
    demand = [[0, 0, 0, 0], [1_000, 1 << 30, 0, 0], [1_000, 1 << 30, 0, 0]]
    snapshot = make_snapshot(
        make_bids(3, demand=demand), make_asks(1, capacity=[[1_000, 1 << 30, 0, 0]])
    )
    large = random_snapshot(bids=400, asks=200, seed=1, slots_max=1)
    nothing = large.bids.demand.copy()
    nothing[:50] = 0
    large = replace(large, bids=replace(large.bids, demand=nothing))
    for market in (snapshot, large):
        plan = get("hierarchical").clear(market, budget_ms=50)
        check_plan(market, plan)
        free = np.flatnonzero(~market.bids.demand.any(axis=1))
        able = get("random").clear(market, budget_ms=0).bid
        assert set(plan.bid) & set(free) == set(able) & set(free)
