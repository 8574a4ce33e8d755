"""Baselines that look at asks one bid at a time make the plans of those that list every pair."""

import numpy as np
import pytest

from market import score
from market.mechanisms import _scanning, get, greedy, mohaf
from market.mechanisms._scanning import Scan, bound_of
from market.plan import Plan
from market.snapshot import Policy, Snapshot
from sim.generators import random_snapshot

from . import listed
from .factories import check_plan
from .rounds import small_round


def rounds() -> list[Snapshot]:
    """Generated ones of several slots a bid, and small ones with ties and exact fits."""
    generated = [
        random_snapshot(bids=70, asks=25, seed=seed, load=0.6 + 0.2 * seed) for seed in range(8)
    ]
    return [*generated, *(small_round(k, bids=12, asks=8, policy=Policy()) for k in range(40))]


def assert_same(snapshot: Snapshot, plan: Plan, matches: listed.Matches) -> None:
    bid, ask, count = matches
    order = np.lexsort((ask, bid))
    assert plan.bid.tolist() == bid[order].tolist()
    assert plan.ask.tolist() == ask[order].tolist()
    assert plan.count.tolist() == count[order].tolist()
    pairs = greedy.candidates(snapshot)
    least = greedy.simple_bound(snapshot, pairs)
    most = snapshot.asks.capacity.max(axis=0, initial=0)
    full = not (snapshot.bids.demand <= most).all(axis=1).any()  # nobody can win: no gap is told
    assert plan.bound == pytest.approx(0.0 if full else max(least, plan.welfare), rel=1e-12)


@pytest.mark.parametrize("name", sorted(listed.MECHANISMS))
def test_scanned_plan_is_the_listed_one(name: str) -> None:
    for snapshot in rounds():
        plan = get(name).clear(snapshot, budget_ms=1)
        assert_same(snapshot, plan, listed.MECHANISMS[name](snapshot))
        check_plan(snapshot, plan)


def test_scanned_greedy_is_the_listed_one() -> None:
    for snapshot in rounds():
        assert_same(snapshot, greedy.scanned(snapshot), listed.greedy(snapshot))


def test_large_greedy_is_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = random_snapshot(bids=60, asks=20, seed=3)
    monkeypatch.setattr(greedy, "LISTED_PAIRS_MAX", 0)
    monkeypatch.setattr(greedy, "candidates", fail)  # nothing is listed
    plan = get("greedy").clear(snapshot, budget_ms=1)
    assert plan.mechanism == "greedy"
    assert plan.count.sum() > 0


def fail(snapshot: Snapshot) -> None:
    raise AssertionError("pairs were listed")


@pytest.mark.parametrize("module", [_scanning, mohaf])
def test_parts_of_any_size_give_the_same_plan(
    module: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = random_snapshot(bids=90, asks=40, seed=5)
    names = ("mohaf",) if module is mohaf else ("random", "bilateral")
    whole = {name: get(name).clear(snapshot, budget_ms=1) for name in names}
    monkeypatch.setattr(module, "PAIRS_PER_LIST_MAX", 50)
    for name, plan in whole.items():
        again = get(name).clear(snapshot, budget_ms=1)
        assert again.digest() == plan.digest()


def test_best_scores_are_those_of_the_pairs_with_threads_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_scanning, "BIDS_FOR_THREADS", 16)
    for snapshot in rounds()[:8]:
        pairs = greedy.candidates(snapshot)
        best = Scan.of(snapshot).best()
        np.testing.assert_allclose(best, greedy.ranking(snapshot, pairs), rtol=1e-13)
        assert bound_of(snapshot, best) == pytest.approx(greedy.simple_bound(snapshot, pairs))


def test_vickrey_pays_the_best_loser() -> None:
    for seed in range(6):
        snapshot = random_snapshot(bids=60, asks=8, seed=seed, load=3.0)
        plan = get("vickrey").clear(snapshot, budget_ms=1)
        lost = np.setdiff1d(np.arange(60), plan.bid).astype(np.int32)
        size = score.sizes(snapshot)
        worth = snapshot.bids.limit / size
        for bid, ask, rate, reserve in zip(
            plan.bid.tolist(), plan.ask.tolist(), plan.rate.tolist(), plan.reserve_rate, strict=True
        ):
            due = int(listed.best_loser(snapshot, lost, worth, ask) * size[bid])
            assert rate == min(max(due, reserve), int(snapshot.bids.limit[bid]))
