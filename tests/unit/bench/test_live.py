"""The market over time: nothing sold twice, the same seed the same, what a choice of cell is."""

from dataclasses import replace

import numpy as np
import pytest

from bench.live import (
    MARGIN,
    ORDERS,
    Market,
    Order,
    chosen,
    densities_less_rent,
    means,
    run,
)
from bench.live_world import generate
from market import score
from market.feasible import FEASIBLE, row_refusals
from sim.generators import random_snapshot

WORLD = generate(cells=3, nodes=4, seed=1)
TOLD = next(order for order in ORDERS if order.name == "told")


def after(order: Order, ticks: int = 11) -> Market:
    return run(WORLD, order, load=1.0, seed=1, ticks=ticks)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.name)
def test_leases_end_and_no_node_is_sold_twice(order: Order) -> None:
    found = after(order)
    assert found.tally.slots > 0
    assert (found.leased <= WORLD.capacity).all()
    for _ in range(60):
        found.tick([])
    assert not found.leased.any()
    assert not found.queue


def test_the_same_seed_gives_the_same_market() -> None:
    assert after(TOLD).tally == after(TOLD).tally


def test_only_routed_demands_choose() -> None:
    assert after(ORDERS[1]).tally.moved == 0
    assert after(TOLD).tally.moved > 0


@pytest.mark.parametrize(
    ("best", "to"),
    [
        ([0.5, 0.5, 0.5], 1),  # ties stay at home
        ([0.5 + 0.9 * MARGIN, 0.5, 0.5], 1),  # and near ties
        ([0.9, 0.5, 0.5], 0),
        ([-np.inf, -np.inf, 0.1], 2),  # nothing at home
        ([-np.inf, -np.inf, -np.inf], 1),
    ],
)
def test_the_cell_chosen(best: list[float], to: int) -> None:
    assert chosen(np.array(best), 1, np.random.default_rng(0)) == to


def test_equal_cells_share_those_who_leave() -> None:
    random = np.random.default_rng(0)
    many = [chosen(np.array([0.5, 0.1, 0.5]), 1, random) for _ in range(200)]
    assert set(many) == {0, 2}
    assert 70 < many.count(0) < 130


def test_rent_is_the_same_share_of_value_in_every_unit_of_size() -> None:
    snapshot = random_snapshot(bids=6, asks=5, seed=2)
    price = np.random.default_rng(0).random((5, 4)) * 1e-9
    scale = np.tile(snapshot.asks.total.sum(axis=0), (5, 1)).astype(np.float64)
    found = densities_less_rent(snapshot, price, scale)
    # What a market ten times as large tells is a tenth: of a tenth of the size, it is as much.
    assert found == pytest.approx(densities_less_rent(snapshot, price / 10.0, scale * 10.0))
    value = score.values(snapshot, np.full(5, 3, np.int32), np.arange(5, dtype=np.int32))
    reduced = value - snapshot.bids.demand[3] @ price.T
    good = row_refusals(snapshot, 3) == FEASIBLE
    assert good.any()
    assert found[3][good] * score.sizes(snapshot)[3] == pytest.approx(reduced[good])
    assert np.isneginf(found[3][~good]).all()


def test_no_step_that_a_constraint_rules_out_is_chosen() -> None:
    snapshot = random_snapshot(bids=4, asks=5, seed=3)
    far = replace(snapshot, bids=replace(snapshot.bids, speed_min=np.full(4, 99.0)))
    free = densities_less_rent(far, np.zeros((5, 4)), np.ones((5, 4)))
    assert np.isneginf(free).all()


def test_means_tell_what_was_regained() -> None:
    rows = [
        {"load": 1.0, "order": order, "loss_percent": loss, "away": 0.0, "cpu_used": 0.0,
         "moved": 0, "handed_down": 0, "choice_ms": 0.0}
        for order, losses in (("flat", (0, 0)), ("home first", (1, 3)), ("told", (0, 2)))
        for loss in losses
    ]  # fmt: skip
    flat, home, told = means(rows)
    assert (flat["regained"], home["regained"]) == (None, None)
    assert (home["mean_loss_percent"], home["error"]) == (2.0, 1.0)
    assert told["regained"] == 0.5
