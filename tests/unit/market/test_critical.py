"""Critical payments, slot by slot: the least limits that win, and no gain from any misreport."""

from dataclasses import replace

import numpy as np
import pytest

from market.mechanisms import get, greedy
from market.mechanisms._critical import Critical
from market.payments import Step, critical
from market.snapshot import Policy, Snapshot
from sim.generators import random_snapshot

from .factories import make_bids, make_snapshot

MISREPORTS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 1.05, 1.2, 2.0, 10.0)


def crowded(seed: int, *, bids: int = 14, asks: int = 4) -> Snapshot:
    """A round with bids that take parts and bids that do not."""
    policy = Policy(payment="critical")
    return random_snapshot(bids=bids, asks=asks, seed=seed, load=3.0, slots_max=4, policy=policy)


def with_limit(snapshot: Snapshot, bid: int, limit: int) -> Snapshot:
    limits = snapshot.bids.limit.copy()
    limits[bid] = limit
    return replace(snapshot, bids=replace(snapshot.bids, limit=limits))


def served(snapshot: Snapshot, bid: int) -> int:
    pairs = greedy.candidates(snapshot)
    found, _, count = greedy.allocate(snapshot, pairs, greedy.ranking(snapshot, pairs))
    return int(count[found == bid].sum())


@pytest.mark.parametrize("seed", range(12))
def test_every_step_is_the_least_limit_that_wins_its_slots(seed: int) -> None:
    snapshot = crowded(seed)
    pairs = greedy.candidates(snapshot)
    rank = greedy.ranking(snapshot, pairs)
    steps = Critical(snapshot, pairs, rank, greedy.allocate(snapshot, pairs, rank)).steps()
    assert steps
    for bid, of_bid in steps.items():
        won = 0
        for step in of_bid:
            assert served(with_limit(snapshot, bid, step.limit - 1), bid) == won
            won += step.slots
            assert served(with_limit(snapshot, bid, step.limit), bid) == won
        assert won == served(snapshot, bid)


def gain(snapshot: Snapshot, bid: int, worth: int) -> int:
    """What the slots that the bid wins are worth to it, less what it pays for them."""
    plan = get("greedy").clear(snapshot, budget_ms=10)
    mine = plan.bid == bid
    return int(((worth - plan.rate[mine]) * plan.count[mine]).sum())


@pytest.mark.parametrize("seed", range(25))
def test_asking_for_parts_at_another_limit_brings_nothing(seed: int) -> None:
    snapshot = crowded(seed)
    for bid in range(0, len(snapshot.bids), 3):
        worth = int(snapshot.bids.limit[bid])
        honest = gain(snapshot, bid, worth)
        rounding = int(snapshot.bids.count[bid])  # a mean is rounded up to a micro
        for factor in MISREPORTS:
            lied = with_limit(snapshot, bid, int(worth * factor))
            assert gain(lied, bid, worth) <= honest + rounding


def test_slots_pay_their_own_steps_the_cheapest_owner_first() -> None:
    snapshot = make_snapshot(make_bids(1, limit=[100], count=[3]))
    steps = {0: (Step(limit=10, slots=1), Step(limit=40, slots=2))}
    bid, count = np.zeros(2, np.int32), np.array([1, 2])
    rate = critical(snapshot, bid, count, np.array([30, 5]), steps)
    # The match of two slots is the cheaper one: (10 + 40) / 2; the last slot pays 40.
    assert rate.tolist() == [40, 25]
