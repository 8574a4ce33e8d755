"""Properties that every mechanism keeps, on random rounds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.mechanisms import UnknownMechanism, get, names
from market.outcome import PaymentUnavailable
from market.plan import Loss
from market.snapshot import PaymentRule, Policy
from sim.generators import random_snapshot

from .factories import check_plan, make_asks, make_bids, make_snapshot

SEEDS = st.integers(0, 100_000)


def test_names_are_the_files() -> None:
    assert {"exact", "greedy"} <= set(names())


def test_unknown_mechanism_says_what_there_is() -> None:
    with pytest.raises(UnknownMechanism, match="greedy"):
        get("oracle")


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, load=st.floats(0.3, 3.0), payment=st.sampled_from(["pay_as_bid", "uniform"]))
def test_greedy_plan_keeps_every_rule(seed: int, load: float, payment: PaymentRule) -> None:
    snapshot = random_snapshot(
        bids=40, asks=12, seed=seed, load=load, policy=Policy(payment=payment)
    )
    check_plan(snapshot, get("greedy").clear(snapshot, budget_ms=100))


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_exact_is_at_least_greedy_and_under_every_bound(seed: int) -> None:
    snapshot = random_snapshot(bids=10, asks=5, seed=seed, load=2.0)
    plain = get("greedy").clear(snapshot, budget_ms=100)
    best = get("exact").clear(snapshot, budget_ms=20_000)
    check_plan(snapshot, best)
    assert best.gap < 1e-6
    assert best.welfare >= plain.welfare * (1 - 1e-9)
    assert plain.bound >= best.welfare * (1 - 1e-9)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_same_snapshot_same_plan(seed: int) -> None:
    for mechanism in ("greedy", "exact"):
        first, second = (
            get(mechanism).clear(random_snapshot(bids=8, asks=5, seed=seed), budget_ms=20_000)
            for _ in range(2)
        )
        for name in ("bid", "ask", "count", "rate", "score"):
            assert (getattr(first, name) == getattr(second, name)).all()
        assert first.loss_detail == second.loss_detail


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_critical_payment_is_the_least_winning_limit(seed: int) -> None:
    snapshot = random_snapshot(
        bids=16, asks=4, seed=seed, load=3.0, policy=Policy(payment="critical")
    )
    snapshot = replace(snapshot, bids=replace(snapshot.bids, count_min=snapshot.bids.count))
    plan = get("greedy").clear(snapshot, budget_ms=100)
    check_plan(snapshot, plan)
    for winner in np.unique(plan.bid)[:4].tolist():
        rate = int(plan.rate[plan.bid == winner].max())
        assert served_at(snapshot, winner, rate) == snapshot.bids.count[winner]
        assert served_at(snapshot, winner, rate - 1) == 0


def served_at(snapshot, bid: int, limit: int) -> int:  # type: ignore[no-untyped-def]
    changed = snapshot.bids.limit.copy()
    changed[bid] = limit
    plan = get("greedy").clear(
        replace(snapshot, bids=replace(snapshot.bids, limit=changed)), budget_ms=100
    )
    return int(plan.count[plan.bid == bid].sum())


def test_greedy_offers_no_vcg() -> None:
    with pytest.raises(PaymentUnavailable, match="vcg"):
        get("greedy").clear(make_snapshot(policy=Policy(payment="vcg")), budget_ms=100)


def test_vcg_on_equal_nodes_is_the_highest_losing_limit() -> None:
    # Two equal nodes of one slot each, three bids that differ in limit alone: both winners pay
    # the limit of the best loser (the k-unit Vickrey price).
    cores = [[1_000, 1 << 30, 0, 0]] * 2
    snapshot = make_snapshot(
        make_bids(3, limit=[30_000, 20_000, 25_000]),
        make_asks(2, capacity=cores),
        policy=Policy(payment="vcg"),
    )
    plan = get("exact").clear(snapshot, budget_ms=5_000)
    assert plan.bid.tolist() == [0, 2]
    assert plan.rate.tolist() == [20_000, 20_000]


def test_exact_clears_what_is_worth_next_to_nothing() -> None:
    # All weight on fairness, and the only tenant far ahead of its share: values near 1e-304.
    policy = Policy(weight_cost=0, weight_qos=0, weight_energy=0, weight_fairness=1, payment="vcg")
    snapshot = make_snapshot(policy=policy)
    snapshot = replace(snapshot, entitlement=np.array([1e-90]), received=np.ones(1))
    plan = get("exact").clear(snapshot, budget_ms=5_000)
    check_plan(snapshot, plan)
    assert plan.bound < 1e-200


def test_vcg_without_competition_is_the_reserve() -> None:
    plan = get("exact").clear(make_snapshot(policy=Policy(payment="vcg")), budget_ms=5_000)
    assert plan.rate.tolist() == plan.reserve_rate.tolist() == [11_000]


def test_uniform_payment_is_the_standing_price() -> None:
    plan = get("greedy").clear(make_snapshot(), budget_ms=100)
    assert plan.rate.tolist() == [22_000]  # 1 core × 20,000 + 1 GiB × 2,000


@pytest.mark.parametrize("mechanism", sorted(set(names()) - {"exact"}))
def test_every_mechanism_keeps_every_rule(mechanism: str) -> None:
    for seed in range(12):
        snapshot = random_snapshot(bids=40, asks=12, seed=seed, load=1.5)
        plan = get(mechanism).clear(snapshot, budget_ms=50)
        check_plan(snapshot, plan)
        assert plan.mechanism == mechanism


@pytest.mark.parametrize("mechanism", sorted(set(names()) - {"exact"}))
@pytest.mark.parametrize(("bids", "asks"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_thin_market(mechanism: str, bids: int, asks: int) -> None:
    snapshot = make_snapshot(make_bids(bids), make_asks(asks))
    plan = get(mechanism).clear(snapshot, budget_ms=50)
    check_plan(snapshot, plan)
    assert plan.count.sum() == min(bids, asks)
    assert np.isfinite(plan.standing_price).all()


@pytest.mark.parametrize("mechanism", names())
def test_a_full_cell_has_no_gap(mechanism: str) -> None:
    # 300 MiB are free on each node and no core: whatever is asked for, nothing can be won.
    full = make_asks(3, capacity=[[0, 300 << 20, 0, 0]] * 3, total=[[4_000, 4 << 30, 0, 0]] * 3)
    plan = get(mechanism).clear(make_snapshot(make_bids(2), full), budget_ms=50)
    assert (plan.welfare, plan.bound, plan.gap) == (0.0, 0.0, 0.0)
    assert plan.loss == (Loss.NO_CAPACITY,) * 2


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS)
def test_critical_payment_leaves_no_gain_from_misreports(seed: int) -> None:
    snapshot = random_snapshot(
        bids=14, asks=4, seed=seed, load=3.0, policy=Policy(payment="critical")
    )
    snapshot = replace(snapshot, bids=replace(snapshot.bids, count_min=snapshot.bids.count))
    honest = get("greedy").clear(snapshot, budget_ms=50)
    rng = np.random.default_rng(seed)
    for bid in range(0, 14, 4):
        worth = int(snapshot.bids.limit[bid])
        best = gain(honest, bid, worth)
        for factor in (*rng.uniform(0.3, 2.5, 4), 0.99, 1.01):
            limit = snapshot.bids.limit.copy()
            limit[bid] = max(1, int(worth * factor))
            lie = replace(snapshot, bids=replace(snapshot.bids, limit=limit))
            assert gain(get("greedy").clear(lie, budget_ms=50), bid, worth) <= best


def gain(plan, bid: int, worth: int) -> int:  # type: ignore[no-untyped-def]
    mine = plan.bid == bid
    return int(((worth - plan.rate[mine]) * plan.count[mine]).sum())
