"""A file that says what cannot be is refused, and the refusal names the field and the place."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sim.generators import random_snapshot
from sim.instance_rules import InvalidInstance, check
from sim.instances import from_json, to_json

BIDS, ASKS = 6, 3


@pytest.fixture(scope="module")
def text() -> str:
    return to_json(random_snapshot(bids=BIDS, asks=ASKS, seed=1, tenants=2, zones=2, cells=2))


def changed(text: str, path: tuple[Any, ...], value: Any) -> str:
    whole = json.loads(text)
    place = whole
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("bids", "limit", 0), "nan", r"bids\.limit"),
        (("bids", "limit", 0), 1.5, r"bids\.limit.* integers"),
        (("bids", "limit", 0), 2**70, r"bids\.limit"),
        (("bids", "limit", 0), -5, r"bids\.limit\[0\]"),
        (("bids", "limit"), [1, 2], r"bids\.limit.*list of 6.*list of 2"),
        (("bids", "limit"), 5, r"bids\.limit.*one number"),
        (("bids", "demand", 2, 1), -1, r"bids\.demand\[2\]\[1\]"),
        (("bids", "demand", 0), [1, 2], r"bids\.demand"),
        (("bids", "demand"), [[1, 2]] * BIDS, r"6 × 4.*6 × 2"),
        (("bids", "count_min", 0), 99, r"bids\.count_min\[0\]"),
        (("bids", "latency_ms_max", 0), "nan", r"bids\.latency_ms_max\[0\]"),
        (("bids", "reliability_min", 0), 1.5, r"bids\.reliability_min\[0\]"),
        (("bids", "deadline_ms", 0), -5, r"bids\.deadline_ms\[0\]"),
        (("bids", "duration_ms", 0), 0, r"bids\.duration_ms\[0\]"),
        (("bids", "tenant", 0), 9, r"bids\.tenant\[0\].*2 tenants"),
        (("bids", "zone", 0), -2, r"bids\.zone\[0\]"),
        (("bids", "home", 0), 2, r"bids\.home\[0\]"),
        (("bids", "required", 0), [1 << 40], r"bids\.required\[0\]\[0\].*feature_names"),
        (("bids", "ids", 0), "demand_1", r"bids\.ids.*twice"),
        (("bids", "ids"), [1, 2, 3, 4, 5, 6], r"bids\.ids.*texts"),
        (("bids", "colour"), [1] * BIDS, r"bids\.colour"),
        (("bids",), None, "bids"),
        (("asks", "capacity", 1, 0), -1, r"asks\.capacity\[1\]\[0\]"),
        (("asks", "reserve", 0), [2**62] * 4, r"asks\.reserve\[0\]\[0\]"),
        (("asks", "speed", 0), "nan", r"asks\.speed\[0\]"),
        (("asks", "speed", 0), 0, r"asks\.speed\[0\]"),
        (("asks", "reliability", 0), 1.5, r"asks\.reliability\[0\]"),
        (("asks", "carbon_g_per_kwh", 0), -1, r"asks\.carbon_g_per_kwh\[0\]"),
        (("asks", "zone", 0), -1, r"asks\.zone\[0\]"),
        (("asks", "admission", 0), 9, r"asks\.admission\[0\]"),
        (("asks", "ids", 0), "node_1", r"asks\.ids.*twice"),
        (("asks", "owners"), ["a"], r"asks\.owners"),
        (("colour",), 1, "colour"),
        (("priced_units", 0), 0, r"priced_units\[0\]"),
        (("resources",), ["cpu_millis"], "priced_units"),
        (("resources",), ["cpu_millis"] * 4, "resources.*twice"),
        (("entitlement",), [0.2, 0.2], "entitlement.*sum to 1"),
        (("received",), [0.2, 0.2], "received.*sum to 1"),
        (("zone_latency_ms", 0, 1), "nan", r"zone_latency_ms\[0\]\[1\]"),
        (("zone_latency_ms", 0, 1), -5, r"zone_latency_ms\[0\]\[1\]"),
        (("standing_price", 0, 0), "nan", r"standing_price\[0\]\[0\]"),
        (("carried_price",), [[1.0] * 4], r"carried_price.*3 × 4"),
        (("carried_price",), [[1e300] * 4] * ASKS, r"carried_price\[0\]\[0\]"),
        (("admits",), [[True]], "admits"),
        (("seed",), "x", "seed"),
        (("seed",), -5, "seed"),
        (("now_ms",), None, "now_ms"),
        (("round_id",), None, "round_id"),
        (("policy", "colour"), 1, r"policy\.colour"),
        (("policy", "payment"), "magic", r"policy\.payment"),
        (("policy", "weight_cost"), -1, r"policy\.weight_cost"),
        (("policy", "weight_cost"), "x", r"policy\.weight_cost"),
        (("policy", "price_step"), 1e30, r"policy\.price_step.*from 0 to 1"),
        (("policy", "utilisation_target"), 1.5, r"policy\.utilisation_target.*from 0 to 1"),
        (("policy", "price_floor_micros"), 10**12, r"policy\.price_floor_micros"),
        (("policy", "parameters"), {"requesters": "x"}, r"policy\.parameters\.requesters"),
        (("policy",), "x", "policy"),
    ],
)
def test_a_wrong_field_is_named(text: str, path: tuple[Any, ...], value: Any, said: str) -> None:
    with pytest.raises(InvalidInstance, match=said):
        from_json(changed(text, path, value))


def test_all_weights_at_nothing_are_refused(text: str) -> None:
    whole = json.loads(text)
    whole["policy"] |= {f"weight_{name}": 0 for name in ("cost", "qos", "energy", "fairness")}
    with pytest.raises(InvalidInstance, match="weight"):
        from_json(json.dumps(whole))


def test_more_slots_than_a_round_takes_are_refused(text: str) -> None:
    whole = json.loads(text)
    whole["bids"]["demand"][0] = [1, 0, 0, 0]
    whole["bids"]["count"][0] = 2**60
    whole["asks"]["capacity"][0][0] = 2**50
    with pytest.raises(InvalidInstance, match=r"bids\.count.*slots"):
        from_json(json.dumps(whole))


def test_a_count_beyond_all_capacity_is_no_mistake(text: str) -> None:
    assert from_json(changed(text, ("bids", "count", 0), 2**60)).bids.count[0] == 2**60


def test_products_that_leave_64_bits_are_refused(text: str) -> None:
    whole = json.loads(text)
    whole["bids"]["demand"][0] = [2**52, 0, 0, 0]
    whole["asks"]["reserve"][0][0] = 10**15
    with pytest.raises(InvalidInstance, match="64 bits"):
        from_json(json.dumps(whole))


def test_the_64th_feature_is_a_feature(text: str) -> None:
    whole = json.loads(text)
    whole["feature_names"] = [f"label:{k}" for k in range(64)]
    whole["bids"]["required"][0] = [1 << 63]
    assert from_json(json.dumps(whole)).bids.required[0, 0] == np.uint64(1 << 63)


@pytest.mark.parametrize("part", ["bids", "asks"])
def test_an_empty_side_is_an_instance(text: str, part: str) -> None:
    whole = json.loads(text)
    whole[part] = {name: [] for name in whole[part]}
    assert len(getattr(from_json(json.dumps(whole)), part)) == 0


@pytest.mark.parametrize("shape", [(0, 3), (5, 0), (40, 12)])
def test_generated_rounds_keep_the_rules(shape: tuple[int, int]) -> None:
    make: Callable[..., Any] = random_snapshot
    check(make(bids=shape[0], asks=shape[1], seed=4))
