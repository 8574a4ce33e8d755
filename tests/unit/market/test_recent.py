"""What past rounds say of a bid that was not in them."""

from dataclasses import replace

import numpy as np
import pytest

from market import feasible
from market.mechanisms import get
from market.predict import ROUNDS_MAX, predict, rounds_until
from market.recent import Past
from market.snapshot import Policy, Snapshot

from .factories import make_asks, make_bids, make_snapshot

SLOT = [[1_000, 1 << 30, 0, 0]]
TWO = [[2_000, 2 << 30, 0, 0]]


def past_of(snapshot: Snapshot) -> Past:
    return Past.of(snapshot, get("greedy").clear(snapshot, budget_ms=1))


def passes(past: Past, **bid: object) -> bool:
    snapshot = make_snapshot(make_bids(**bid), make_asks(capacity=TWO))
    return past.passes(snapshot, 0, feasible.candidates(snapshot, 0))


def taken_by(limit: int, *, slots: int = 2) -> Past:
    """A round in which bids with ``limit`` took ``slots`` of the two slots of the only node."""
    return past_of(make_snapshot(make_bids(slots, limit=[limit] * slots), make_asks(capacity=TWO)))


# A node of two slots; the bid is for slots of the same size at 30,000 unless said otherwise.
@pytest.mark.parametrize(
    ("past", "bid", "served"),
    [
        (taken_by(20_000, slots=1), {}, True),  # one slot was left
        (taken_by(20_000), {}, True),  # both gave way to a dearer limit
        (taken_by(40_000), {}, False),  # neither gives way
        (taken_by(20_000), {"count": [2], "count_min": [2]}, True),  # both give way
        (taken_by(20_000), {"count": [3], "count_min": [3]}, False),  # there is no third
        # Twice the size is worth twice as much: two slots of the weaker give way, but they are two
        # bids, and only one winner is asked at a time.
        (taken_by(20_000), {"demand": TWO, "limit": [60_000]}, False),
        (taken_by(20_000, slots=1), {"demand": TWO, "limit": [60_000]}, True),
    ],
)
def test_passes_where_room_was_left_or_weaker_give_way(
    past: Past, bid: dict[str, object], served: bool
) -> None:
    assert passes(past, **bid) is served


def test_node_that_was_not_in_the_round_had_nothing_to_give() -> None:
    elsewhere = make_snapshot(make_bids(0), make_asks(ids=("node_9",)))
    assert not passes(past_of(elsewhere))


def test_trust_is_less_where_losers_would_pass() -> None:
    assert taken_by(20_000).trust == 1.0
    # Two slots and three bids alike but for what is asked for: one that lost is worth as much.
    bids = make_bids(3, count=[2, 1, 1], count_min=[2, 1, 1], limit=[30_000, 29_000, 40_000])
    past = past_of(make_snapshot(bids, make_asks(capacity=TWO)))
    assert past.trust == 1.0, "who lost was worth less"
    worse = replace(past, value=past.value / 10)
    snapshot = make_snapshot(bids, make_asks(capacity=TWO))
    assert worse._trust(snapshot, get("greedy").clear(snapshot, budget_ms=1)) < 1.0


def test_chance_is_the_share_of_rounds_by_age() -> None:
    snapshot = make_snapshot(make_bids(), make_asks(capacity=TWO))
    good, bad = taken_by(20_000), taken_by(40_000)

    def told(*past: Past) -> float:
        return predict(snapshot, 0, next_round_ms=0, past=past).chance

    assert told() == told(good) == told(good, good) == 1.0
    assert told(bad, bad, bad) < told(bad, bad, good) < told(good, bad, bad) < 1.0
    # One bad round against the present, which has room and counts as two and a half.
    assert told(bad) == pytest.approx(2.5 / 3.5)


def test_price_range_is_what_such_a_slot_came_to() -> None:
    snapshot = make_snapshot()
    history = [
        replace(taken_by(20_000), standing={"cell_0": np.array([price, 2_000.0, 0, 0])})
        for price in np.linspace(12_000, 24_000, 11)
    ]
    told = predict(snapshot, 0, next_round_ms=0, past=history)
    assert 14_000 < told.price_low < 16_000
    assert told.price_likely == 22_000
    assert 24_000 < told.price_high < 26_000
    unknown = predict(snapshot, 0, next_round_ms=0)
    assert (unknown.price_low, unknown.price_high) == (11_000, 30_000)


def test_price_is_the_limit_where_winners_pay_it() -> None:
    told = predict(make_snapshot(policy=Policy(payment="pay_as_bid")), 0, next_round_ms=0)
    assert (told.price_low, told.price_likely, told.price_high) == (30_000,) * 3


@pytest.mark.parametrize(
    ("chance", "share", "rounds"),
    [
        (1.0, 0.9, 0),
        (0.5, 0.5, 0),
        (0.5, 0.9, 3),  # 1/2, 3/4, 7/8, 15/16: in the fourth
        (0.2, 0.5, 3),  # .2, .36, .488, .59
        (0.0, 0.5, ROUNDS_MAX),
        (1e-6, 0.5, ROUNDS_MAX),
    ],
)
def test_rounds_until(chance: float, share: float, rounds: int) -> None:
    assert rounds_until(chance, share=share) == rounds
