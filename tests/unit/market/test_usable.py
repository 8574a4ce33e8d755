"""What of a capacity slots can use, and the bound that knows it."""

import numpy as np
import pytest

from market.mechanisms import get
from market.usable import DISTINCT_MAX, UNITS_MAX, usable
from sim.assembling import assemble


def _usable(capacity: list[int], demand: list[int]) -> list[int]:
    table = usable(np.array(capacity)[:, None], np.array(demand)[:, None])
    return [int(value) for value in table[:, 0]]


def test_thirds_of_a_core_leave_the_rest_of_a_node() -> None:
    assert _usable([500, 900, 999, 1_000, 332], [333, 666, 1_000]) == [333, 666, 999, 1_000, 0]


def test_what_nobody_asks_for_stays_as_it_is() -> None:
    assert _usable([7, 0], [0, 0]) == [7, 0]


def test_a_slot_of_one_unit_uses_all() -> None:
    assert _usable([7, 11], [1, 5]) == [7, 11]


def test_negative_capacity_is_none() -> None:
    assert _usable([-3, 5], [2, 4]) == [0, 4]


@pytest.mark.parametrize("demand", [range(700, 700 + 3 * DISTINCT_MAX, 2), (UNITS_MAX * 2 + 2, 8)])
def test_many_kinds_or_sizes_are_cut_to_what_they_have_in_common(demand: range) -> None:
    most = 2 * UNITS_MAX * 8 + 7
    unit = int(np.gcd.reduce(list(demand)))
    assert _usable([most], list(demand)) == [most // unit * unit]


@pytest.mark.parametrize("seed", range(40))
def test_it_is_the_largest_sum_by_trying_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    demand = random.integers(1, 60, random.integers(1, 6)).tolist()
    capacity = random.integers(0, 200, 10).tolist()
    sums = {0}
    for total in range(200):
        if any(total - kind in sums for kind in demand):
            sums.add(total)
    assert _usable(capacity, demand) == [max(s for s in sums if s <= most) for most in capacity]


def test_bids_of_more_than_half_a_node_are_certified() -> None:
    """Two thirds of a core on nodes of one: the third that is left of each counts for nothing."""
    demand = np.zeros((80, 4), np.int64)
    demand[:, 0] = 666
    capacity = np.zeros((30, 4), np.int64)
    capacity[:, 0] = 1_000
    tenant = np.zeros(80, np.int32)
    snapshot = assemble(
        name="large", demand=demand, capacity=capacity, seed=1, tenant=tenant, policy=None
    )
    plan = get("hierarchical").clear(snapshot, budget_ms=300)
    assert plan.count.sum() == 30
    assert plan.gap < 0.02
