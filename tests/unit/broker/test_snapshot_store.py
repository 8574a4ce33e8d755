"""Stored snapshots: what comes out is what went in, and garbage is refused."""

from dataclasses import fields

import numpy as np
import pytest

from broker.services.snapshot_store import SnapshotCorrupt, pack, unpack
from market import mechanisms
from tests.unit.broker.test_snapshots import ask, bid, snapshot_of

MANY = snapshot_of([ask(f"n{k}") for k in range(5)], [bid(f"d{k}") for k in range(9)])
CARRIED = snapshot_of([ask("n")], [bid("d")], carried={"n": np.ones(4)})
NOTHING = snapshot_of([], [])


def same(one, other):
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype == float)
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return one == other


@pytest.mark.parametrize("snapshot", [MANY, CARRIED, NOTHING])
def test_unpack_gives_back_what_was_packed(snapshot):
    assert same(unpack(pack(snapshot)), snapshot)


def test_pack_is_deterministic():
    assert pack(MANY) == pack(unpack(pack(MANY)))


def test_a_stored_round_clears_to_the_same_plan():
    mechanism = mechanisms.get("greedy")
    plan = mechanism.clear(MANY, budget_ms=100)
    again = mechanism.clear(unpack(pack(MANY)), budget_ms=100)
    assert same(plan, again)


@pytest.mark.parametrize("garbage", [b"", b"x" * 100, pack(MANY)[:-20]])
def test_unpack_refuses_garbage(garbage):
    with pytest.raises(SnapshotCorrupt):
        unpack(garbage)
