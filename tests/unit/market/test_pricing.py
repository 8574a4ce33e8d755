"""Standing prices fall without demand, rise under scarcity, and come to rest."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.mechanisms import get
from market.pricing import floors, next_prices, own, rents, taken, utilisation, worth_of_score
from market.score import sizes
from market.snapshot import Policy, Snapshot
from sim.generators import random_snapshot

from .factories import check_plan, make_asks, make_bids, make_snapshot

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


def path(snapshot: Snapshot, *, start: float, rent: float, share: float, rounds: int) -> np.ndarray:
    """The cpu price over rounds in which use and rent stay as they are."""
    used = np.array([[int(4_000 * share), int((4 << 30) * share), 0, int(100_000 * share)]])
    snapshot = replace(snapshot, standing_price=np.full((1, 4), start))
    found = [start]
    for _ in range(rounds):
        price = next_prices(snapshot, used, rent=np.full((1, 4), rent))
        snapshot = replace(snapshot, standing_price=price)
        found.append(float(price[0, 0]))
    return np.array(found)


@settings(max_examples=60, deadline=None)
@given(
    start=st.floats(10_000, 10_000_000),
    rent=st.floats(0, 1_000_000),
    share=st.floats(0, 1),
    step=st.floats(0.02, 0.7),
    pull=st.floats(1.3, 20),
)
def test_price_comes_to_rest_from_either_side_without_overshoot(
    start: float, rent: float, share: float, step: float, pull: float
) -> None:
    policy = Policy(price_step=step, parameters={"price_pull": pull})
    pull = min(pull, 1 / step)
    rounds = int(60 / min(1.0, step * pull))
    rates = path(make_snapshot(policy=policy), start=start, rent=rent, share=share, rounds=rounds)
    held = int(4_000 * share) / 4_000
    rest = max(10_000.0, (10_000 + rent) * np.exp((held - 0.8) / pull))
    assert rates[-1] == pytest.approx(rest, rel=1e-3)
    moves = np.diff(rates)
    moves = moves[np.abs(moves) > 1e-9 * rates[:-1]]
    assert (moves > 0).all() or (moves < 0).all(), "it never turns back on its way"


def test_rents_raise_the_price_no_further_than_they_are_worth() -> None:
    rates = path(make_snapshot(), start=10_000, rent=30_000, share=1.0, rounds=300)
    assert rates[-1] == pytest.approx(40_000 * np.exp(0.2))


def test_rents_that_end_let_the_price_fall_to_the_reserve() -> None:
    assert path(make_snapshot(), start=50_000, rent=0.0, share=0.3, rounds=200)[-1] == 10_000


def test_one_odd_round_moves_the_price_by_a_bounded_share() -> None:
    rates = path(make_snapshot(), start=20_000, rent=1e12, share=1.0, rounds=1)
    assert rates[1] / 20_000 == pytest.approx(np.exp(0.1 * (0.2 + 1.0)))


def test_rent_is_the_mean_over_nodes_by_what_they_had_free() -> None:
    capacity = [[3_000, 0, 0, 0], [1_000, 0, 0, 0], [0, 0, 0, 0]]
    asks = make_asks(3, capacity=capacity, total=[[4_000, 0, 0, 0]] * 3)
    snapshot = make_snapshot(asks=asks, priced_units=np.array([1_000, 1, 1, 1]))
    node_price = np.array([[2.0, 9, 9, 9], [6.0, 9, 9, 9], [1e9, 9, 9, 9]])
    found = rents(snapshot, node_price, worth=5.0)
    assert found[0, 0] == 5.0 * (3 * 2.0 + 1 * 6.0) / 4 * 1_000
    assert np.isnan(found[0, 1:]).all(), "nothing free: nothing learnt"
    assert np.isfinite(next_prices(snapshot, snapshot.asks.capacity, rent=found)).all()


def test_winner_whose_score_the_rents_eat_up_pays_its_limit() -> None:
    snapshot = make_snapshot(make_bids(limit=[90_000]))
    plan = get("greedy").clear(snapshot, budget_ms=1)
    worth = worth_of_score(snapshot, plan.bid, plan.ask, plan.count, plan.reserve_rate)
    # All of the score of a slot is its size; here it is spread over the cores that it takes.
    rent = worth * sizes(snapshot)[0]
    assert plan.reserve_rate[0] + rent == pytest.approx(90_000)


def test_what_an_account_pledges_to_itself_moves_no_price() -> None:
    bids = make_bids(2, tenant=np.array([0, 1], np.int32), limit=[90_000, 10**9])
    asks = make_asks(2, owners=("owner_0", "tenant_1"))
    snapshot = make_snapshot(bids, asks)
    match = np.array([0, 1], np.int32)
    assert own(snapshot, match, match).tolist() == [False, True]
    one = np.ones(2, np.int64)
    reserve = np.array([11_000, 11_000])
    alone = worth_of_score(snapshot, match[:1], match[:1], one[:1], reserve[:1])
    assert worth_of_score(snapshot, match, match, one, reserve) == alone > 0


@pytest.mark.parametrize("mechanism", ["greedy", "hierarchical", "nearest"])
def test_an_account_may_bid_for_its_own_node(mechanism: str) -> None:
    """By the same rules as anyone: owners are no constraint, and pay the price to themselves."""
    snapshot = make_snapshot(make_bids(), make_asks(owners=("tenant_0",)))
    plan = get(mechanism).clear(snapshot, budget_ms=5)
    check_plan(snapshot, plan)
    assert plan.count.tolist() == [1]


def test_worth_of_score_without_a_match_is_nothing() -> None:
    none = np.zeros(0, np.int32)
    nothing = none.astype(np.int64)
    assert worth_of_score(make_snapshot(), none, none, nothing, nothing) == 0.0


@pytest.mark.parametrize("payment", ["uniform", "critical"])
def test_hierarchical_prices_follow_its_rents(payment: str) -> None:
    policy = Policy(payment=payment, parameters={"repeatable": 1.0})  # type: ignore[arg-type]
    snapshot = random_snapshot(bids=200, asks=5, seed=3, cells=1, load=4.0, policy=policy)
    plan = get("hierarchical").clear(snapshot, budget_ms=20)
    used = taken(snapshot, plan.bid, plan.ask, plan.count)
    assert plan.node_price.any()
    assert (plan.standing_price != next_prices(snapshot, used)).any()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_hierarchical_price_converges_under_steady_load_wherever_it_begins(seed: int) -> None:
    heavy, light = (steady(seed, bids=bids) for bids in (300, 12))
    assert heavy[0][-1] == pytest.approx(heavy[1][-1], rel=0.02)
    assert light[0][-1] == pytest.approx(light[1][-1], rel=0.02)
    assert heavy[0][-1] > 1.15 * light[0][-1], "scarcity has its price"
    for history in (*heavy, *light):
        moves = np.diff(history)
        moves = moves[np.abs(moves) > 1e-9 * history[:-1]]
        assert (moves > 0).all() or (moves < 0).all()


def steady(seed: int, *, bids: int) -> tuple[np.ndarray, np.ndarray]:
    """The cpu price from half and from five times where cells begin, the same round each time."""
    policy = Policy(price_step=0.2, parameters={"repeatable": 1.0})
    snapshot = random_snapshot(
        bids=bids, asks=5, seed=seed, cells=1, load=4.0, slots_max=1, policy=policy
    )
    plan = get("hierarchical").clear(snapshot, budget_ms=20)
    worth = worth_of_score(snapshot, plan.bid, plan.ask, plan.count, plan.reserve_rate)
    rent = rents(snapshot, plan.node_price, worth=worth)
    used = taken(snapshot, plan.bid, plan.ask, plan.count)
    histories = []
    for factor in (0.5, 5.0):
        one = replace(snapshot, standing_price=snapshot.standing_price * factor)
        history = [max(float(one.standing_price[0, 0]), float(floors(one)[0, 0]))]
        for _ in range(60):
            one = replace(one, standing_price=next_prices(one, used, rent=rent))
            history.append(float(one.standing_price[0, 0]))
        histories.append(np.array(history))
    return histories[0], histories[1]
