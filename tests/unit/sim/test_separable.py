"""Separable instances: what is wrong is refused, and a plan holds when checked from the arrays."""

import numpy as np
import pytest

from sim.hard import Arrays, hard_arrays
from sim.instance_rules import InvalidInstance
from sim.separable import checked, clear_separable, holding


def made(seed: int = 1) -> Arrays:
    return hard_arrays(bids=120, nodes=30, zones=4, seed=seed)


@pytest.mark.parametrize("seed", range(4))
def test_plan_holds_when_checked_from_the_arrays(seed: int) -> None:
    arrays = checked(made(seed))
    facts = clear_separable(arrays, budget_ms=20, repeatable=True)
    used, total, seen = np.zeros((30, 3)), 0.0, set()
    for match in facts["matches"]:
        i, j = match["bid"], match["ask"]
        latency = arrays["zone_latency_ms"][arrays["bid_zone"][i], arrays["node_zone"][j]]
        cost = arrays["bid_demand"][i, 0] * arrays["bid_hours"][i] * arrays["node_unit_price"][j]
        value = arrays["bid_limit"][i] - cost - arrays["bid_latency_weight"][i] * latency
        assert value > 0
        assert latency <= arrays["bid_latency_max_ms"][i]
        assert arrays["node_reliability"][j] >= arrays["bid_reliability_min"][i]
        # The owner gets at least its cost, the tenant keeps what the latency costs it.
        assert cost <= match["payment"] <= cost + value + 1e-12
        used[j] += arrays["bid_demand"][i]
        total += value
        seen.add(i)
    assert len(seen) == len(facts["matches"]) > 0
    assert (used <= arrays["node_capacity"] * (1 + 1e-9)).all()
    assert facts["welfare"] == pytest.approx(total)
    assert facts["bound"] >= facts["welfare"]


def test_same_seed_and_budget_same_plan() -> None:
    one, two = (clear_separable(made(), budget_ms=20, repeatable=True) for _ in range(2))
    assert one["digest"] == two["digest"]
    again = clear_separable(made(), budget_ms=20, effort=one["effort"])
    assert again["digest"] == one["digest"]


def test_carried_prices_are_taken_up() -> None:
    first = clear_separable(made(), budget_ms=40, repeatable=True)
    arrays = checked({**made(), "carried_price": np.array(first["shadow_price"])})
    assert clear_separable(arrays, budget_ms=10, repeatable=True)["welfare"] > 0


def test_what_does_not_hold_is_dropped() -> None:
    arrays = made()
    arrays["node_capacity"][0] = np.maximum(*arrays["bid_demand"][:2])
    arrays["node_reliability"][0] = 1.0
    arrays["bid_limit"][:2] = 1e6, 2e6
    arrays["bid_latency_max_ms"][:2] = 1e6
    bid, ask = np.array([0, 1], np.int32), np.zeros(2, np.int32)
    assert holding(arrays, bid, ask).tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("bid_limit", np.full(120, np.nan), r"bid_limit\[0\]"),
        ("bid_limit", np.ones(3), "bid_limit.*120.*3"),
        ("bid_demand", np.ones((120, 2)), "120 × 3.*120 × 2"),
        ("node_capacity", -np.ones((30, 3)), r"node_capacity\[0\]\[0\]"),
        ("node_reliability", np.full(30, 2.0), r"node_reliability\[0\]"),
        ("node_zone", np.full(30, 4), "node_zone.*0 to 3"),
        ("bid_zone", np.full(120, 0.5), "bid_zone.*integers"),
        ("bid_hours", np.array(["x"] * 120), "bid_hours.*numbers"),
        ("zone_latency_ms", np.ones((4, 3)), "zone_latency_ms"),
        ("carried_price", np.ones((2, 3)), "carried_price"),
        ("colour", np.ones(1), "colour"),
    ],
)
def test_a_wrong_array_is_named(name: str, value: np.ndarray, said: str) -> None:
    with pytest.raises(InvalidInstance, match=said):
        checked({**made(), name: value})


def test_a_missing_array_is_named() -> None:
    arrays = made()
    del arrays["bid_hours"]
    with pytest.raises(InvalidInstance, match="bid_hours"):
        checked(arrays)


@pytest.mark.parametrize(("bids", "nodes"), [(0, 3), (3, 0), (0, 0)])
def test_an_empty_side_has_an_empty_plan(bids: int, nodes: int) -> None:
    arrays = made()
    few = {
        name: array if name == "zone_latency_ms" else array[: bids if "bid" in name else nodes]
        for name, array in arrays.items()
    }
    facts = clear_separable(checked(few), budget_ms=10)
    assert (facts["matches"], facts["welfare"], facts["gap"]) == ([], 0.0, 0.0)
