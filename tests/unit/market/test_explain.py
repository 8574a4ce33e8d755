"""Explanations and predictions agree with what the mechanism then does."""

from dataclasses import replace

import numpy as np

from market.explain import explain
from market.mechanisms import get
from market.plan import Loss
from market.predict import predict

from .factories import make_asks, make_bids, make_snapshot

ONE_SLOT = [[1_000, 1 << 30, 0, 0]]


def test_explain_loser_names_the_winning_limit() -> None:
    snapshot = make_snapshot(make_bids(2, limit=[30_000, 20_000]), make_asks(capacity=ONE_SLOT))
    plan = get("greedy").clear(snapshot, budget_ms=100)
    told = explain(snapshot, plan, 1)
    assert told.served == 0
    assert told.winning_limit is not None
    for limit, wins in ((told.winning_limit - 1, False), (told.winning_limit + 1, True)):
        bids = replace(snapshot.bids, limit=np.array([30_000, limit]))
        again = get("greedy").clear(replace(snapshot, bids=bids), budget_ms=100)
        assert (1 in again.bid) is wins


def test_explain_counts_what_ruled_asks_out() -> None:
    snapshot = make_snapshot(
        make_bids(zone=[1], latency_ms_max=[20.0]),
        make_asks(3, zone=np.array([0, 1, 0], np.int32), speed=[1.0, 1.0, 1.0]),
    )
    told = explain(snapshot, get("greedy").clear(snapshot, budget_ms=100), 0)
    assert told.ruled_out == {Loss.LATENCY: 2}
    far = f"{snapshot.zone_latency_ms[1, 0]:.6g}"
    assert told.figures == {
        Loss.LATENCY: f"latency: needs 20 ms, the nearest fitting node is at {far} ms"
    }
    assert told.candidates_total == 1
    assert told.candidates[0].slots_won == 1
    assert told.winning_limit is None


def test_explain_limit_under_reserve_names_the_reserve() -> None:
    snapshot = make_snapshot(make_bids(limit=[10_000]))
    told = explain(snapshot, get("greedy").clear(snapshot, budget_ms=100), 0)
    assert told.winning_limit == 11_000


def test_predict_servable() -> None:
    told = predict(make_snapshot(), 0, next_round_ms=500)
    assert told.servable
    assert (told.price_low, told.price_likely, told.price_high) == (11_000, 22_000, 30_000)
    assert (told.chance, told.start_ms) == (1.0, 500)


def test_predict_unservable_says_which_constraint() -> None:
    told = predict(make_snapshot(make_bids(reliability_min=[1.0])), 0, next_round_ms=500)
    assert not told.servable
    assert told.loss is Loss.RELIABILITY
    assert "0.9900" in told.detail
    assert told.refused == 1
    assert told.start_ms is None


def test_predict_chance_falls_with_better_rivals() -> None:
    asks = make_asks(capacity=[[2_000, 2 << 30, 0, 0]])
    bids = make_bids(4, limit=[15_000, 30_000, 30_000, 30_000])
    assert predict(make_snapshot(bids, asks), 0, next_round_ms=500).chance == 0.0
    assert predict(make_snapshot(bids, asks), 1, next_round_ms=500).chance == 1.0
