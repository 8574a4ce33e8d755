"""Whole blocks are passed over, yet what is found is what a look at every pair finds."""

import numpy as np
import pytest

from market import feasible, last_asks
from market.repeats import first_and_group
from sim.generators import random_snapshot


@pytest.mark.parametrize("seed", range(6))
def test_asks_are_those_of_all_pairs(seed: int) -> None:
    snapshot = random_snapshot(bids=60, asks=400, seed=seed, load=1.2)
    rng = np.random.default_rng(seed)
    free = (snapshot.asks.capacity * rng.random(snapshot.asks.capacity.shape)).astype(np.int64)
    price = rng.random(free.shape) / np.maximum(snapshot.asks.total.mean(axis=0), 1)
    bids = np.arange(60, dtype=np.int32)
    found = last_asks.last_asks(snapshot, bids, free=free, node_price=price)
    for i in range(60):
        codes = feasible.row_refusals(snapshot, i)
        assert found.code[i] == codes.max() == codes[found.ask[i]]
        passed = np.flatnonzero(codes == feasible.FEASIBLE)
        demand = snapshot.bids.demand[i]
        slots = feasible.slots_that_fit(free[passed], demand)
        assert found.room[i] == np.minimum(slots, snapshot.bids.count[i]).sum()
        if len(passed):
            ratio = (free / np.maximum(demand, 1))[:, demand > 0].min(axis=1)
            assert ratio[found.ask[i]] == pytest.approx(ratio[passed].max())
            shadow = price @ demand
            assert found.cheapest[i] in passed
            assert shadow[found.cheapest[i]] == pytest.approx(shadow[passed].min())


def test_room_is_counted_until_it_is_enough() -> None:
    snapshot = random_snapshot(bids=30, asks=300, seed=9)
    bids = np.arange(30, dtype=np.int32)
    free, price = snapshot.asks.capacity, np.zeros(snapshot.asks.capacity.shape)
    full = last_asks.last_asks(snapshot, bids, free=free, node_price=price)
    enough = np.full(30, 5)
    some = last_asks.last_asks(snapshot, bids, free=free, node_price=price, enough=enough)
    assert (np.minimum(some.room, 5) == np.minimum(full.room, 5)).all()
    assert (some.room < full.room).any()


def test_first_and_group_tells_rows_apart_whatever_their_hashes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = np.array([[3, 1], [2, 2], [3, 1], [1, 3]])
    for _ in range(2):
        first, group = first_and_group(table)
        assert (table[first[group]] == table).all()
        assert len(first) == 3
        monkeypatch.setattr("market.repeats._hashes", lambda rows: np.zeros(len(rows), np.uint64))
