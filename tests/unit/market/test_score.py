"""The score: worked examples and bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market import feasible, score
from market.snapshot import Policy
from sim.generators import random_snapshot

from .factories import GIB, demand, make_asks, make_bids, make_snapshot

ONE = np.zeros(1, np.int32)


def test_cost_is_share_of_limit_left_above_reserve() -> None:
    # 1 core × 10,000 + 1 GiB × 1,000 = 11,000 of 22,000: half is left.
    snapshot = make_snapshot(make_bids(limit=[22_000]))
    assert score.terms(snapshot, ONE, ONE).cost == pytest.approx([0.5])


def test_qos_is_mean_of_three_margins() -> None:
    # latency 3 of 30 → 0.9; reliability (0.99 − 0.9) / 0.1 → 0.9; speed 1 / 2 → 0.5
    snapshot = make_snapshot(make_bids(zone=[0], latency_ms_max=[30.0], reliability_min=[0.9]))
    assert score.terms(snapshot, ONE, ONE).qos == pytest.approx([(0.9 + 0.9 + 0.5) / 3])


def test_qos_with_deadline_counts_the_slack() -> None:
    # 600 s of work on a node twice as fast, 1,200 s left: 1 − 300/1200 = 0.75
    snapshot = make_snapshot(
        make_bids(work_ms=[600_000], deadline_ms=[1_200_000]), make_asks(speed=[2.0])
    )
    assert score.terms(snapshot, ONE, ONE).qos == pytest.approx([(1 + 0.99 + 0.75) / 3])


@pytest.mark.parametrize(
    ("fields", "term"),
    [
        ({}, 0.5),  # 20 W / 4 cores = 5 W a core: the reference
        ({"max_milliwatts": [60_000]}, 0.25),  # 15 W a core: 5 / (5 + 15)
        ({"speed": [2.0]}, 2 / 3),  # half the energy for the same work: 5 / 7.5
        ({"on_battery": [True]}, 0.4),  # 7.5 W: 5 / 12.5
        ({"carbon_g_per_kwh": [100.0]}, 0.8),  # a quarter of the mean grid: 5 / 6.25
        ({"max_milliwatts": [0]}, 0.5),  # unknown: neither favoured nor punished
    ],
)
def test_energy(fields: dict[str, list[float]], term: float) -> None:
    snapshot = make_snapshot(asks=make_asks(**fields))
    assert score.terms(snapshot, ONE, ONE).energy == pytest.approx([term])


def test_fairness_is_half_when_due_share_was_received() -> None:
    snapshot = make_snapshot(received=np.array([0.5, 0.5]))
    assert score.fairness_terms(snapshot) == pytest.approx([0.5, 0.5])


def test_fairness_favours_who_is_behind() -> None:
    behind, ahead = score.fairness_terms(make_snapshot(received=np.array([0.1, 0.9])))
    assert ahead < 0.1 < 0.9 < behind


# The term of who got ``ratio`` times what it is due: 0.85 / (1 + x^100) + 0.15 / (1 + x^3).
@pytest.mark.parametrize(
    ("ratio", "term"),
    [(0.0, 1.0), (0.95, 0.926), (1.0, 0.5), (1.05, 0.076), (2.0, 0.0167), (1e9, 0.0)],
)
def test_fairness_term_by_how_far_ahead(ratio: float, term: float) -> None:
    snapshot = make_snapshot(received=np.array([0.5 * ratio, 0.0]))
    assert score.fairness_terms(snapshot)[0] == pytest.approx(term, abs=5e-4)


def test_fairness_without_steepness_is_the_same_for_all() -> None:
    policy = Policy(parameters={"fairness_steepness": 0.0})
    snapshot = make_snapshot(policy=policy, received=np.array([1.0, 0.0]))
    assert score.fairness_terms(snapshot).tolist() == [0.5, 0.5]


def test_fairness_of_a_tenant_that_is_due_nothing() -> None:
    snapshot = make_snapshot(entitlement=np.array([1.0, 0.0]), received=np.array([0.5, 0.5]))
    assert score.fairness_terms(snapshot) == pytest.approx([59 / 60, 0.0], abs=1e-9)


def test_size_is_dominant_share() -> None:
    # 1 of 4 cores, 1 of 4 GiB, and half of the bandwidth: one half
    bids = make_bids(demand=[demand(cpu=1_000, memory=GIB, bandwidth=50_000)])
    assert score.sizes(make_snapshot(bids)) == pytest.approx([0.5])


def test_bid_for_nothing_is_worth_nothing() -> None:
    snapshot = make_snapshot(make_bids(demand=[demand()]))
    assert score.values(snapshot, ONE, ONE) == [0.0]


@given(seed=st.integers(0, 10_000))
def test_every_term_of_a_feasible_pair_is_in_unit_interval(seed: int) -> None:
    snapshot = random_snapshot(bids=12, asks=8, seed=seed)
    part = score.terms(snapshot, *feasible.feasible_pairs(snapshot))
    for term in (part.cost, part.qos, part.energy, part.fairness):
        assert ((term >= 0) & (term <= 1)).all()


def test_weights_without_any_weight_are_equal() -> None:
    nothing = Policy(weight_cost=0, weight_qos=0, weight_energy=0, weight_fairness=0)
    assert score.weights(make_snapshot(policy=nothing)) == pytest.approx([0.25] * 4)
