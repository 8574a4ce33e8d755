"""The table's measures and its limit on a mechanism's time."""

from functools import partial

import numpy as np
import pytest

from bench.table import in_time, max_min, within_cpu
from market.mechanisms import get
from sim.generators import random_snapshot


@pytest.mark.parametrize(
    ("asked", "amount", "due"),
    [
        ([9, 9], 6, [3, 3]),
        ([1, 9], 6, [1, 5]),  # what the first does not ask for goes to the other
        ([1, 2], 6, [1, 2]),
        ([0, 9], 6, [0, 6]),
        ([9, 9], 0, [0, 0]),
    ],
)
def test_max_min_shares(asked: list[float], amount: float, due: list[float]) -> None:
    found = max_min(np.array(asked, float), np.array([0.5, 0.5]), amount)
    assert found.tolist() == pytest.approx(due)


def test_in_time_is_one_where_everyone_gets_all() -> None:
    snapshot = random_snapshot(bids=1, asks=5, seed=1, load=0.1, slots_max=1)
    clear = partial(get("greedy").clear, budget_ms=0)
    assert in_time(clear, snapshot, clear(snapshot), rounds=3) == pytest.approx(1.0)


def quick() -> dict[str, int]:
    return {"done": 1}


def endless() -> dict[str, int]:
    while True:
        pass


def test_within_cpu_ends_what_takes_too_long() -> None:
    found = within_cpu(quick, 60)
    assert found is not None
    assert found["done"] == 1
    assert within_cpu(endless, 5) is None
