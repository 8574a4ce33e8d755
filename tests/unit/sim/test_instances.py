"""Instance files come back as they were, and wrong ones say which field is wrong."""

import json
from dataclasses import fields

import numpy as np
import pytest

from market.mechanisms import get
from market.snapshot import Snapshot
from sim.generators import random_snapshot
from sim.instances import InvalidInstance, from_json, from_npz, plan_facts, to_json, to_npz


def assert_same(one: object, two: object) -> None:
    for field in fields(one):  # type: ignore[arg-type]
        mine, other = getattr(one, field.name), getattr(two, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == other.dtype, field.name
            np.testing.assert_array_equal(mine, other)
        elif hasattr(mine, "__dataclass_fields__"):
            assert_same(mine, other)
        else:
            assert mine == other, field.name


@pytest.mark.parametrize("bids", [0, 1, 30])
def test_json_and_archive_come_back(bids: int) -> None:
    snapshot: Snapshot = random_snapshot(bids=bids, asks=7, seed=3)
    assert_same(snapshot, from_json(to_json(snapshot)))
    assert_same(snapshot, from_npz(to_npz(snapshot)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "format"),
        ('{"format": "souk-instance-1"}', "missing"),
        ('{"format": "other"}', "souk-instance-1"),
    ],
)
def test_wrong_text_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(InvalidInstance, match=said):
        from_json(text)


def test_wrong_field_is_named() -> None:
    whole = json.loads(to_json(random_snapshot(bids=2, asks=2, seed=1)))
    whole["bids"]["limit"] = ["dear", "cheap"]
    with pytest.raises(InvalidInstance, match="limit"):
        from_json(json.dumps(whole))


def test_garbage_archive_is_refused() -> None:
    with pytest.raises(InvalidInstance):
        from_npz(b"PK\x03\x04 nothing")


def test_plan_facts_speak_in_ids() -> None:
    snapshot = random_snapshot(bids=10, asks=5, seed=2)
    plan = get("greedy").clear(snapshot, budget_ms=10)
    facts = json.loads(json.dumps(plan_facts(snapshot, plan)))
    assert len(facts["matches"]) == len(plan.bid)
    assert {row["bid"] for row in facts["losses"]} <= set(snapshot.bids.ids)
