"""The price that would have won, against brute force on small markets."""

from dataclasses import replace

import numpy as np
import pytest

from market.explain import winning_limit
from market.mechanisms import get
from market.repeating import unhurried
from market.snapshot import Policy, Snapshot
from market.winning import price_to_win, wins
from sim.generators import random_snapshot

BUDGET_MS = 5


def market(seed: int, mechanism: str) -> Snapshot:
    policy = Policy(mechanism=mechanism, weight_cost=0.7, weight_fairness=0.1)
    made = random_snapshot(bids=14, asks=3, seed=seed, zones=2, load=3.0, policy=policy)
    return unhurried(made)


def served(snapshot: Snapshot, bid: int, limit: int) -> int:
    """Slots of ``bid`` with another limit, by clearing the whole round."""
    limits = np.where(np.arange(len(snapshot.bids)) == bid, limit, snapshot.bids.limit)
    changed = replace(snapshot, bids=replace(snapshot.bids, limit=limits))
    plan = get(snapshot.policy.mechanism).clear(changed, budget_ms=BUDGET_MS)
    return int(plan.count[plan.bid == bid].sum())


@pytest.mark.parametrize("mechanism", ["greedy", "hierarchical", "first_price"])
@pytest.mark.parametrize("seed", range(4))
def test_price_to_win_wins_and_a_micro_less_loses(seed: int, mechanism: str) -> None:
    snapshot = market(seed, mechanism)
    plan = get(mechanism).clear(snapshot, budget_ms=BUDGET_MS)
    losers = [i for i in range(len(snapshot.bids)) if not (plan.bid == i).any()]
    assert losers
    found = 0
    for bid in losers[:4]:
        price = price_to_win(snapshot, plan, bid, budget_ms=BUDGET_MS)
        assert price.method == "bisected"
        if price.micros is None:
            for limit in (10 * int(snapshot.bids.limit[bid]), 10**9, 10**12):
                assert not wins(snapshot, bid, limit=limit, budget_ms=BUDGET_MS)
            continue
        found += 1
        least = int(min(snapshot.bids.count_min[bid], snapshot.bids.count[bid]))
        assert served(snapshot, bid, price.micros) >= least
        assert served(snapshot, bid, price.micros - 1) < least
    assert found or seed  # at least the first market has one that money could have helped


def test_price_to_win_of_greedy_is_the_least_of_all() -> None:
    """Greedy is monotone, so no limit below wins: tried on a grid of all magnitudes."""
    snapshot = market(1, "greedy")
    plan = get("greedy").clear(snapshot, budget_ms=BUDGET_MS)
    for bid in range(len(snapshot.bids)):
        price = None if (plan.bid == bid).any() else price_to_win(
            snapshot, plan, bid, budget_ms=BUDGET_MS
        ).micros  # fmt: skip
        if price is None:
            continue
        for limit in np.geomspace(1, price - 1, 25).astype(int).tolist():
            assert not wins(snapshot, bid, limit=limit, budget_ms=BUDGET_MS)


def test_price_to_win_of_a_large_round_is_marginal() -> None:
    snapshot = random_snapshot(bids=400, asks=60, seed=3, load=2.0, policy=Policy())
    plan = get("greedy").clear(snapshot, budget_ms=BUDGET_MS)
    bid = next(i for i in range(400) if not (plan.bid == i).any())
    price = price_to_win(snapshot, plan, bid, budget_ms=BUDGET_MS)
    assert price.method == "marginal"
    assert price.micros == winning_limit(snapshot, plan, bid)


def test_price_to_win_never_runs_the_exact_solver() -> None:
    snapshot = market(0, "exact")
    plan = get("greedy").clear(snapshot, budget_ms=BUDGET_MS)
    bid = next(i for i in range(len(snapshot.bids)) if not (plan.bid == i).any())
    assert price_to_win(snapshot, plan, bid, budget_ms=BUDGET_MS).method == "marginal"
