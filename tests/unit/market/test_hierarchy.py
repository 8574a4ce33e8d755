"""Cells, regions and root: the whole plan keeps every rule and loses little to a flat market."""

from dataclasses import replace

import numpy as np
import pytest

from market import hierarchy
from market.mechanisms import get
from market.plan import Plan
from market.snapshot import Policy, Snapshot
from sim.generators import random_snapshot

from .factories import check_plan

STEADY = Policy(parameters={"repeatable": 1.0})


def clear_many(rounds: list[Snapshot]) -> list[Plan]:
    return [get("hierarchical").clear(one, budget_ms=60) for one in rounds]


@pytest.mark.parametrize("regions", [1, 2])
def test_hierarchy_keeps_every_rule(regions: int) -> None:
    for seed in range(6):
        snapshot = random_snapshot(bids=120, asks=40, seed=seed, cells=4, policy=STEADY)
        result = hierarchy.clear_in_cells(snapshot, cells=4, clear_many=clear_many, regions=regions)
        check_plan(snapshot, result.plan)
        assert result.handed_down <= result.sent_up


def test_root_serves_what_cells_cannot() -> None:
    snapshot = random_snapshot(bids=200, asks=60, seed=2, cells=4, load=0.8, policy=STEADY)
    far = replace(snapshot.bids, latency_ms_max=np.full(200, np.inf))
    # Everyone lives in cell 0: alone it would serve a fraction.
    crowded = replace(snapshot, bids=replace(far, home=np.zeros(200, np.int32)))
    whole = hierarchy.clear_in_cells(crowded, cells=4, clear_many=clear_many)
    alone = np.flatnonzero(crowded.asks.cell == 0).astype(np.int32)
    everyone = np.arange(200, dtype=np.int32)
    cut_off = hierarchy.part_of(crowded, bids=everyone, asks=alone, name="cell_0")
    without = clear_many([cut_off])[0]
    assert whole.plan.count.sum() > 1.5 * without.count.sum()
    assert whole.handed_down > 0


def test_hierarchy_is_near_flat() -> None:
    snapshot = random_snapshot(bids=600, asks=150, seed=4, cells=4, zones=8, policy=STEADY)
    flat = get("hierarchical").clear(snapshot, budget_ms=300)
    result = hierarchy.clear_in_cells(snapshot, cells=4, clear_many=clear_many)
    assert result.plan.welfare > 0.9 * flat.welfare


def test_cell_without_asks_or_bids() -> None:
    snapshot = random_snapshot(bids=30, asks=10, seed=1, cells=2)
    bare = replace(snapshot, asks=replace(snapshot.asks, cell=np.zeros(10, np.int32)))
    result = hierarchy.clear_in_cells(bare, cells=2, clear_many=clear_many)
    check_plan(bare, result.plan)
