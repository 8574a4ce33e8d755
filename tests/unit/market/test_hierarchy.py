"""Cells, regions and root: the whole plan keeps every rule and loses little to a flat market."""

from dataclasses import replace

import numpy as np
import pytest

from market import hierarchy
from market.factors import problem_of
from market.hierarchy.curves import ground_of, steps_of
from market.hierarchy.messages import FIELDS, BidRows, Form
from market.kernels.problem import Problem
from market.mechanisms import get
from sim.generators import random_snapshot
from sim.hard import hard_arrays, hard_problem

from .factories import check_plan


@pytest.mark.parametrize("root_answers", [True, False])
@pytest.mark.parametrize("regions", [1, 2])
def test_hierarchy_keeps_every_rule(regions: int, root_answers: bool) -> None:
    for seed in range(4):
        snapshot = random_snapshot(bids=120, asks=40, seed=seed, cells=4)
        result = hierarchy.clear_in_cells(
            snapshot, cells=4, budget_ms=60, regions=regions, root_answers=root_answers
        )
        check_plan(snapshot, result.plan)
        assert result.handed_down <= result.sent_up
        assert len(result.plan.bid) > 0


def test_root_serves_what_cells_cannot() -> None:
    snapshot = random_snapshot(bids=200, asks=60, seed=2, cells=4, load=0.8)
    far = replace(snapshot.bids, latency_ms_max=np.full(200, np.inf))
    # Everyone lives in cell 0: alone it would serve a fraction.
    crowded = replace(snapshot, bids=replace(far, home=np.zeros(200, np.int32)))
    whole = hierarchy.clear_in_cells(crowded, cells=4, budget_ms=60)
    alone = hierarchy.clear_in_cells(crowded, cells=4, budget_ms=60, root_answers=False)
    assert whole.plan.count.sum() > 1.5 * alone.plan.count.sum()
    assert whole.handed_down > 0
    assert (alone.bytes_up, alone.bytes_down, alone.handed_down) == (0, 0, 0)


@pytest.mark.parametrize("cells", [2, 8, 16])
def test_hierarchy_is_near_flat(cells: int) -> None:
    snapshot = random_snapshot(bids=600, asks=150, seed=4, cells=cells, zones=16, slots_max=1)
    repeatable = replace(snapshot, policy=replace(snapshot.policy, parameters={"repeatable": 1.0}))
    flat = get("hierarchical").clear(repeatable, budget_ms=300)
    result = hierarchy.clear_in_cells(snapshot, cells=cells, budget_ms=300)
    assert result.plan.welfare > 0.985 * flat.welfare
    assert result.plan.bound >= flat.welfare  # certified for the whole market


def test_same_round_same_plan() -> None:
    snapshot = random_snapshot(bids=200, asks=60, seed=3, cells=4)
    one, two = (hierarchy.clear_in_cells(snapshot, cells=4, budget_ms=80) for _ in range(2))
    assert one.plan.digest() == two.plan.digest()
    assert (one.bytes_up, one.bytes_down) == (two.bytes_up, two.bytes_down)


def test_bids_that_only_their_cell_can_serve_do_not_travel() -> None:
    snapshot = random_snapshot(bids=100, asks=40, seed=1, cells=4, zones=4)
    near = np.where(snapshot.bids.zone >= 0, 3.0, 0.0)  # the latency inside a zone
    local = replace(snapshot, bids=replace(snapshot.bids, latency_ms_max=near))
    placed = local.bids.zone >= 0
    only = hierarchy.part_of(
        local, bids=np.flatnonzero(placed).astype(np.int32),
        asks=np.arange(40, dtype=np.int32), name="root",
    )  # fmt: skip
    result = hierarchy.clear_in_cells(only, cells=4, budget_ms=60)
    assert (result.sent_up, result.handed_down) == (0, 0)
    assert len(result.plan.bid) > 0
    assert result.plan.bound >= get("hierarchical").clear(only, budget_ms=100).welfare


def test_cell_without_asks_or_bids() -> None:
    snapshot = random_snapshot(bids=30, asks=10, seed=1, cells=2)
    bare = replace(snapshot, asks=replace(snapshot.asks, cell=np.zeros(10, np.int32)))
    check_plan(bare, hierarchy.clear_in_cells(bare, cells=2, budget_ms=40).plan)


@pytest.mark.parametrize("kind", ["market", "separable"])
def test_a_bid_is_what_it_was_when_it_was_told(kind: str) -> None:
    problem = _problem(kind)
    form = Form.of(problem)
    there = BidRows.empty(problem, form)
    rows = np.array([3, 17, 4], np.int32)
    there.hear(BidRows.of(problem, form).tell(rows))
    assert np.flatnonzero(there.known).tolist() == [3, 4, 17]
    for name in FIELDS:
        told, meant = getattr(there, name)[rows], getattr(problem, name)[rows]
        assert np.allclose(told, meant, rtol=1e-6, atol=0), name
    assert np.array_equal(there.demand[rows], problem.demand[rows])


def test_a_curve_is_what_it_was_when_it_was_told() -> None:
    ground, _ = ground_of(_problem("market"), np.arange(30, dtype=np.int32) % 3)
    heard = ground.heard(ground.tell())
    for name in type(ground).__slots__:
        assert np.array_equal(getattr(heard, name), getattr(ground, name)), name


def test_a_large_cell_tells_its_nodes_by_steps() -> None:
    problem = _problem("separable")
    ground, _ = ground_of(problem, np.zeros(30, np.int32))
    steps, step_of = steps_of(ground, most=10)
    assert len(steps) < len(ground)
    assert np.allclose(steps.capacity.sum(axis=0), ground.capacity.sum(axis=0))
    assert (steps.zone[step_of] == ground.zone).all()
    assert (steps.attribute[step_of, :3] >= ground.attribute[:, :3]).all()
    whole, own = steps_of(ground, most=30)
    assert np.array_equal(whole.capacity[own], ground.capacity)


def test_cells_by_latency_hold_zones_near_each_other() -> None:
    snapshot = random_snapshot(bids=100, asks=400, seed=5, zones=32)
    grouped = hierarchy.by_latency(snapshot, cells=8)
    cell_of = np.full(32, -1)
    cell_of[grouped.asks.zone] = grouped.asks.cell
    inside = cell_of[:, None] == cell_of[None]
    latency = snapshot.zone_latency_ms
    assert latency[inside].mean() < 0.6 * latency.mean()
    assert set(grouped.asks.cell.tolist()) == set(range(8))


def _problem(kind: str) -> Problem:
    if kind == "market":
        return problem_of(random_snapshot(bids=60, asks=30, seed=1))
    return hard_problem(hard_arrays(bids=60, nodes=30, zones=4, seed=1))
