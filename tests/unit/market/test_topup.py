"""How many slots a late or ill-served job buys extra, and bilateral trade at the standing price."""

import numpy as np
import pytest

from market import score
from market.mechanisms import get
from market.topup import Progress, top_up
from sim.generators import random_snapshot

from .factories import check_plan

LATE = {"waiting": 20, "live": 2, "slots": 2, "slots_failing": 0, "task_ms": 1_000.0,
        "left_ms": 6_250, "affordable": 1_000}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "slots"),
    [
        # 20 + 2/2 tasks at 5 a slot: 5 slots, 3 more than there are.
        ({}, 3),
        ({"left_ms": 26_250}, 0),  # a slot ends 21 of them
        ({"left_ms": None}, 0),
        ({"task_ms": 0.0}, 0),  # nothing has ended yet: nothing is measured
        ({"left_ms": 1_249}, 0),  # too late for any task
        ({"waiting": 0, "live": 20}, 0),  # no task would go there
        ({"waiting": 2, "live": 40}, 2),
        ({"affordable": 1}, 1),
        ({"affordable": 0}, 0),
        ({"left_ms": None, "slots_failing": 2, "slots": 0}, 2),
        ({"slots_failing": 1, "slots": 1}, 4),  # late: 5 needed, 1 is good
        ({"left_ms": 1_250, "waiting": 1_000}, 256),
    ],
)
def test_slots_to_buy(changed, slots):
    found = top_up(Progress(**LATE | changed))
    assert found.slots == slots
    assert bool(found.why) == (slots > 0)


def test_nearest_trades_at_the_standing_price_with_the_nearest():
    for seed in range(5):
        snapshot = random_snapshot(bids=40, asks=30, seed=seed, cells=3)
        plan = get("nearest").clear(snapshot, budget_ms=10)
        check_plan(snapshot, plan)
        assert plan.count.sum() > 0
        unit = snapshot.standing_price[snapshot.asks.cell[plan.ask]] / snapshot.priced_units
        standing = np.einsum("kr,kr->k", snapshot.bids.demand[plan.bid].astype(float), unit)
        assert (plan.rate == np.maximum(np.ceil(standing), plan.reserve_rate)).all()
        assert (plan.standing_price == snapshot.standing_price).all()


def test_nearest_is_nearest_of_those_with_room():
    snapshot = random_snapshot(bids=1, asks=30, seed=3, cells=3)
    plan = get("nearest").clear(snapshot, budget_ms=10)
    everyone = np.arange(30, dtype=np.int32)
    far = score.latencies(snapshot, np.zeros(30, np.int32), everyone)
    open_market = get("posted_price").clear(snapshot, budget_ms=10)
    assert far[plan.ask].min() <= far[open_market.ask].min()
