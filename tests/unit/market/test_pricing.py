"""Standing prices fall without demand, rise under scarcity, and come to rest."""

from dataclasses import replace

import numpy as np

from market.pricing import next_prices, utilisation
from market.snapshot import Policy, Snapshot

from .factories import make_asks, make_snapshot

EMPTY = np.zeros((1, 4), np.int64)
FULL = np.array([[4_000, 4 << 30, 0, 100_000]], np.int64)


def test_price_falls_without_demand_to_the_reserve() -> None:
    snapshot = make_snapshot(policy=Policy(price_step=0.5))
    for _ in range(100):
        price = next_prices(snapshot, EMPTY)
        assert (price[0, :2] <= snapshot.standing_price[0, :2]).all()
        snapshot = replace(snapshot, standing_price=price)
    assert snapshot.standing_price[0, :2].tolist() == [10_000.0, 1_000.0]


def test_price_rises_under_scarcity_to_the_cap() -> None:
    policy = Policy(price_step=0.5, price_cap_micros=50_000)
    snapshot = make_snapshot(policy=policy)
    for _ in range(200):
        snapshot = replace(snapshot, standing_price=next_prices(snapshot, FULL))
    assert snapshot.standing_price[0, :2].tolist() == [50_000.0, 50_000.0]


def test_price_rests_at_target_utilisation() -> None:
    used = np.array([[3_200, int(0.8 * (4 << 30)), 0, 80_000]])
    snapshot = make_snapshot()
    assert np.allclose(next_prices(snapshot, used)[0, :2], snapshot.standing_price[0, :2])


def test_resource_that_nobody_offers_keeps_its_price() -> None:
    snapshot = make_snapshot(standing_price=np.array([[20_000.0, 2_000.0, 777.0, 1.0]]))
    assert np.isnan(utilisation(snapshot, EMPTY)[0, 2])
    assert next_prices(snapshot, EMPTY)[0, 2] == 777.0


def test_cell_without_asks_keeps_its_prices() -> None:
    snapshot = make_snapshot(asks=make_asks(0))
    assert (next_prices(snapshot, EMPTY[:0]) == snapshot.standing_price).all()


def test_price_converges_under_elastic_demand() -> None:
    # Demand falls with the price: u(ρ) = 30,000 / ρ capped at 1; rest is at ρ = 37,500.
    snapshot = make_snapshot(policy=Policy(price_step=0.3))
    history = [price_after(snapshot)]
    for _ in range(120):
        snapshot = replace(snapshot, standing_price=history[-1])
        history.append(price_after(snapshot))
    cpu = np.array([price[0, 0] for price in history])
    assert abs(cpu[-1] - 37_500) < 40
    assert (np.diff(cpu) >= -1e-6).all(), "no oscillation on the way up"


def price_after(snapshot: Snapshot) -> np.ndarray:
    share = min(1.0, 30_000 / float(snapshot.standing_price[0, 0]))
    return next_prices(snapshot, np.array([[int(4_000 * share), 0, 0, 0]]))
