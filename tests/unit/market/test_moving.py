"""Work moves only where the gain exceeds its bytes and seconds."""

import pytest

from market.moving import Place, Running, weigh

HERE = {"elapsed_ms": 0, "task_ms": 10_000, "price": 3_600_000, "rate": 1_800_000,
        "left_ms": 10**9}  # fmt: skip
THERE = {"rate": 1_800_000, "speed": 1.0, "bytes_missing": 0}


# A micro is a thousandth of a millisecond at this price, so 3,600,000 micros an hour are 1 a ms.
@pytest.mark.parametrize(
    ("running", "place", "gain", "cost", "pays"),
    [
        # Like for like: 10 s here, 10 s there.
        ({}, {}, 0, 0, False),
        # Twice as fast and nothing done: 5 s saved.
        ({}, {"speed": 2.0}, 5_000, 0, True),
        # Twice as fast but half done: 5 s left here, 5 s there.
        ({"elapsed_ms": 5_000}, {"speed": 2.0}, 0, 0, False),
        # Eight of ten seconds done: 2 left here, 5 there.
        ({"elapsed_ms": 8_000}, {"speed": 2.0}, 0, 3_000, False),
        # 125 MB take 10 s on the way: the 5 s saved become 5 s lost.
        ({}, {"speed": 2.0, "bytes_missing": 125_000_000}, 0, 5_000, False),
        # 12.5 MB take 1 s: 4 s saved.
        ({}, {"speed": 2.0, "bytes_missing": 12_500_000}, 4_000, 0, True),
        # A draining node waits 10 s for this task, at the lease's rate.
        ({"freeing": 1_800_000}, {}, 5_000, 0, True),
        # Three of ten seconds done: 7 s of the drain at a half against 3 s of work done again.
        ({"freeing": 1_800_000, "elapsed_ms": 3_000}, {}, 3_500, 3_000, True),
        # Half done: 5 s of the drain at a half against 5 s of work done again.
        ({"freeing": 1_800_000, "elapsed_ms": 5_000}, {}, 2_500, 5_000, False),
        # The new place costs half a micro more a millisecond for 10 s.
        ({"freeing": 1_800_000}, {"rate": 3_600_000}, 5_000, 5_000, False),
        # Half the price, the same speed.
        ({}, {"rate": 900_000}, 2_500, 0, True),
        # Only the faster place ends in time: all of the work would be worth nothing here.
        ({"left_ms": 6_000}, {"speed": 2.0}, 15_000, 0, True),
        # In time here, late there, whatever it would save.
        ({"freeing": 10**9, "elapsed_ms": 9_000, "left_ms": 2_000}, {}, None, None, False),
        # Nobody knows how long it takes.
        ({"task_ms": 0, "freeing": 10**9}, {}, 0, 0, False),
    ],
)
def test_moving_pays_where_the_gain_exceeds_the_cost(running, place, gain, cost, pays):
    move = weigh(Running(**HERE | running), Place(**THERE | place))
    if gain is not None:
        assert (move.gain_micros, move.cost_micros) == pytest.approx((gain, cost))
    assert move.pays is pays
