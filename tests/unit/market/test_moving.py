"""Work moves only where the gain exceeds its bytes and seconds; by choice, where clearly so."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.better_places import best_place, only
from market.mechanisms import get
from market.money import charge_micros
from market.moving import TIME_FACTOR, Place, Running, limit_after, weigh
from market.settlement import LeaseUsage, owed_on_moving_ms, settle
from tests.unit.market.factories import make_asks, make_bids, make_snapshot

HERE = {"elapsed_ms": 0, "task_ms": 10_000, "price": 3_600_000, "rate": 1_800_000,
        "left_ms": 10**9}  # fmt: skip
THERE = {"rate": 1_800_000, "speed": 1.0, "bytes_missing": 0}
DRAINS = {"freeing": 1_800_000, "charged": False}


# A micro is a thousandth of a millisecond at this price, so 3,600,000 micros an hour are 1 a ms.
@pytest.mark.parametrize(
    ("running", "place", "gain", "cost", "pays"),
    [
        # Like for like: 10 s here, 10 s there.
        ({}, {}, 0, 0, False),
        # Twice as fast and nothing done: 5 s saved, and 5 s less to pay at a half.
        ({}, {"speed": 2.0}, 7_500, 0, True),
        # Twice as fast but half done: 5 s left here, 5 s there.
        ({"elapsed_ms": 5_000}, {"speed": 2.0}, 0, 0, False),
        # The same where what ran is not charged: 5 s at a half are given back.
        ({"elapsed_ms": 5_000, "charged": False}, {"speed": 2.0}, 2_500, 0, True),
        # Eight of ten seconds done: 2 left here, 5 there, and to be paid.
        ({"elapsed_ms": 8_000}, {"speed": 2.0}, 0, 4_500, False),
        # 125 MB take 10 s on the way: the 5 s saved become 5 s lost.
        ({}, {"speed": 2.0, "bytes_missing": 125_000_000}, 2_500, 5_000, False),
        # 12.5 MB take 1 s: 4 s saved, and 5 s less to pay.
        ({}, {"speed": 2.0, "bytes_missing": 12_500_000}, 6_500, 0, True),
        # A draining node waits 10 s for this task, at the lease's rate.
        (DRAINS, {}, 5_000, 0, True),
        # Three of ten seconds done: 7 s of the drain at a half against 3 s of work done again.
        ({**DRAINS, "elapsed_ms": 3_000}, {}, 3_500, 3_000, True),
        # Half done: 5 s of the drain at a half against 5 s of work done again.
        ({**DRAINS, "elapsed_ms": 5_000}, {}, 2_500, 5_000, False),
        # The new place costs half a micro more a millisecond for 10 s.
        (DRAINS, {"rate": 3_600_000}, 5_000, 5_000, False),
        # Half the price, the same speed.
        ({}, {"rate": 900_000}, 2_500, 0, True),
        # Half the price for 10 s against the price of the 7 s left; 3 s of work done again.
        ({"elapsed_ms": 3_000}, {"rate": 900_000}, 1_000, 3_000, False),
        # Only the faster place ends in time: all of the work would be worth nothing here, and 6 s
        # of it would be paid until the job's own limit.
        ({"left_ms": 6_000}, {"speed": 2.0}, 15_500, 0, True),
        # By a deadline nothing would be paid here.
        ({"left_ms": 6_000, "deadline_sold": True}, {"speed": 2.0}, 15_000, 2_500, True),
        # Nor the 3 s that it has run, which moving pays: 7 s left here, 5 there.
        (
            {"left_ms": 6_500, "deadline_sold": True, "elapsed_ms": 3_000},
            {"speed": 2.0},
            12_000,
            4_000,
            True,
        ),
        # In time here, late there, whatever it would save.
        (
            {**DRAINS, "freeing": 10**9, "elapsed_ms": 9_000, "left_ms": 2_000},
            {},
            None,
            None,
            False,
        ),
        # Nobody knows how long it takes.
        ({"task_ms": 0, "freeing": 10**9}, {}, 0, 0, False),
    ],
)
def test_moving_pays_where_the_gain_exceeds_the_cost(running, place, gain, cost, pays):
    move = weigh(Running(**HERE | running), Place(**THERE | place))
    if gain is not None:
        assert (move.gain_micros, move.cost_micros) == pytest.approx((gain, cost))
    assert move.pays is pays


# The whole task is worth 10,000: a clear move gains 2,500 more than it costs.
@pytest.mark.parametrize(
    ("running", "place", "clear"),
    [
        ({}, {"speed": 2.0}, True),  # 7,500
        ({}, {"rate": 900_000}, False),  # 2,500
        ({}, {"rate": 800_000}, True),  # 2,778
        ({"elapsed_ms": 4_000}, {"speed": 2.0}, False),  # 1,000 and 500
        ({"elapsed_ms": 3_000}, {"speed": 2.0}, True),  # 2,000 and 1,000
        # 3 s saved are worth 3,000, twice the price for 7 s costs 2,000: more, but not clearly.
        ({}, {"speed": 10 / 7, "rate": 3_600_000}, False),
        # In time there by the estimate, 6.25 s with a quarter to spare.
        ({"left_ms": 6_200}, {"speed": 2.0}, False),
        ({"left_ms": 6_300}, {"speed": 2.0}, True),
        ({"elapsed_ms": 12_000}, {"speed": 100.0}, False),  # it may end any moment
        ({"task_ms": 0}, {"speed": 100.0}, False),
    ],
)
def test_a_move_of_choice_must_be_clearly_better(running, place, clear):
    assert weigh(Running(**HERE | running), Place(**THERE | place)).clear is clear


# Most of these are worth a move: fast places, and runs of which little is done.
prices = st.integers(1, 10**6)
times = st.integers(0, 10**6)
runs = st.builds(
    Running,
    elapsed_ms=st.integers(0, 20_000),
    task_ms=st.floats(10_000, 1e6),
    price=st.integers(10**5, 10**7),
    rate=prices,
    left_ms=times,
    deadline_sold=st.booleans(),
)
places = st.builds(
    Place, rate=prices, speed=st.floats(0.5, 100.0), bytes_missing=st.integers(0, 10**8)
)


@given(runs, places)
def test_no_move_of_choice_costs_what_it_gains_or_ends_late(running, place):
    move = weigh(running, place)
    there = 1_000 * place.bytes_missing / place.bytes_per_s + running.task_ms / place.speed
    if move.clear:
        assert move.pays
        assert there * TIME_FACTOR <= running.left_ms
    if move.gain_micros <= move.cost_micros or there > running.left_ms:
        assert not move.clear
    if running.stays_in_time and there > running.left_ms:
        assert not move.pays


@given(runs, places)
def test_what_has_moved_does_not_gain_by_moving_back(running, place):
    running = replace(running, left_ms=10**9)
    new_run = running.task_ms / place.speed
    arrived = replace(running, elapsed_ms=0, task_ms=new_run, rate=place.rate)
    back = Place(rate=running.rate, speed=1 / place.speed, bytes_missing=0)
    assert not (weigh(running, place).clear and weigh(arrived, back).clear)


@given(
    hold=st.integers(10**6, 10**9),
    spent=st.integers(0, 10**6),
    tasks=st.integers(1, 50),
    max_run_ms=st.integers(1, 10**6),
    ran_ms=times,
    rate=prices,
    fee=st.integers(0, 10_000),
)
def test_a_hold_covers_what_moved_and_every_open_task_at_its_longest(
    hold, spent, tasks, max_run_ms, ran_ms, rate, fee
):
    owed_ms = owed_on_moving_ms(ran_ms=ran_ms, max_run_ms=max_run_ms)
    assert owed_ms == min(ran_ms, max_run_ms)  # the owner is paid for all that it ran
    owed = charge_micros(rate_micros_per_hour=rate, slot_ms=owed_ms)
    limit = limit_after(left_micros=hold - spent - owed, tasks=tasks, max_run_ms=max_run_ms)
    usage = [_usage("old", "owner", rate, owed_ms)]
    usage += [_usage(f"new{k}", "other", limit, max_run_ms) for k in range(tasks)]
    if not limit:  # nothing may be bid, so nothing moves
        return
    settled = settle(usage, tenant_id="tenant", hold_micros=hold - spent, fee_basis_points=fee)
    assert settled.charges["old"] == owed  # in full: the hold is enough for all
    assert settled.charge_micros <= hold - spent
    assert sum(settled.payouts.values()) + settled.fee_micros == settled.charge_micros


def _usage(lease: str, owner: str, rate: int, ms: int) -> LeaseUsage:
    return LeaseUsage(
        lease_id=lease, owner_id=owner, rate_micros_per_hour=rate, chargeable_ms=ms, sold_ms=ms
    )


@pytest.mark.parametrize(
    ("left", "tasks", "max_run_ms", "limit"),
    [
        (1_000, 1, 3_600_000, 1_000),
        (1_000, 3, 3_600_000, 333),
        (1_000, 1, 60_000, 60_000),
        (0, 1, 60_000, 0),
        (-5, 1, 60_000, 0),
        (1_000, 0, 60_000, 0),
        (1_000, 1, 0, 0),
    ],
)
def test_what_is_left_bounds_the_next_bids(left, tasks, max_run_ms, limit):
    assert limit_after(left_micros=left, tasks=tasks, max_run_ms=max_run_ms) == limit


# At 20,000 for a core and 2,000 for a GiB the standing rate is 22,000; the limit is 30,000.
LONG = {"elapsed_ms": 0, "task_ms": 100_000, "price": 30_000, "rate": 22_000, "left_ms": 10**9}
LOOK = {"here": "node_0", "speed_here": 1.0, "bytes_missing": 0, "rate_max": 30_000}


def nodes(**fields):
    """Four nodes: as fast as here, twice, four times, and four times but full."""
    fast = {"speed": [1.0, 2.0, 4.0, 4.0]}
    asks = make_asks(4, **{**fast, **fields})
    asks.capacity[3] = 0
    return asks


def test_the_place_that_gains_most_is_taken():
    snapshot = make_snapshot(asks=nodes())
    place = best_place(snapshot, 0, Running(**LONG), **LOOK)
    assert (place.ask, place.rate, place.there_ms) == (2, 22_000, 25_000)
    plan = get("nearest").clear(only(snapshot, place.ask), budget_ms=0)
    assert (plan.count.tolist(), plan.rate.tolist()) == ([1], [22_000])


@pytest.mark.parametrize(
    ("asks", "bids", "look", "found"),
    [
        ({}, {}, {"here": "node_2"}, 1),  # where it is already
        ({}, {"speed_min": [3.0]}, {"here": "node_2"}, None),  # the job's own needs hold
        ({}, {}, {"rate_max": 21_999}, None),  # more than what is left pays
        ({}, {"limit": [21_999]}, {}, None),  # more than its demand bids
        ({}, {}, {"speed_here": 4.0}, None),  # nothing is faster
        ({"reserve": np.array([[10, 1, 0, 0]] * 2 + [[40_000, 1, 0, 0]] * 2)}, {}, {}, 1),
    ],
)  # fmt: skip
def test_a_place_must_be_another_affordable_and_better_one(asks, bids, look, found):
    snapshot = make_snapshot(make_bids(1, **bids), nodes(**asks))
    place = best_place(snapshot, 0, Running(**LONG), **LOOK | look)
    assert (None if place is None else place.ask) == found


def test_no_place_is_no_better_place():
    assert best_place(make_snapshot(asks=make_asks(0)), 0, Running(**LONG), **LOOK) is None
