"""Bound ≥ optimum ≥ welfare on thousands of small rounds, the optimum found three other ways."""

from dataclasses import replace

import numpy as np
import pytest

from market.mechanisms import get
from market.plan import Plan
from market.snapshot import Floats, Policy, Snapshot

from .factories import check_plan
from .rounds import optimum_by_milp, optimum_by_search, small_round

ROUNDS = 2_100
BATCH = 150
BATCHES = range(0, ROUNDS, BATCH)
SIZES = ((3, 2), (5, 3), (6, 4), (9, 5))
WEIGHTS = ((0.3, 0.3, 0.2, 0.2), (1.0, 0.0, 0.0, 0.0), (0.1, 0.1, 0.1, 0.7), (0.0, 0.0, 0.0, 0.0))
ROUNDING = 1e-9


def round_of(seed: int) -> Snapshot:
    """Round ``seed``: size, weights and carried prices each in turn, so that all meet all."""
    bids, asks = SIZES[seed % len(SIZES)]
    weights = WEIGHTS[seed // 4 % len(WEIGHTS)]
    policy = Policy(
        weight_cost=weights[0],
        weight_qos=weights[1],
        weight_energy=weights[2],
        weight_fairness=weights[3],
        payment=("uniform", "pay_as_bid")[seed % 2],
        parameters={"repeatable": 1.0},
    )
    return small_round(seed, bids=bids, asks=asks, policy=policy)


def carried(snapshot: Snapshot, seed: int) -> Snapshot:
    """Cold, or with prices carried: of a real round, of nobody's, far too low, far too high."""
    spread = (None, None, 0.0, 0.3, 3.0, 100.0, "own")[seed % 7]
    if spread is None:
        return snapshot
    if spread == "own":
        plan = get("hierarchical").clear(replace(snapshot, seed=seed + 1), budget_ms=2)
        return replace(snapshot, carried_price=plan.node_price)
    return replace(snapshot, carried_price=float(spread) * prices(snapshot, seed))


def prices(snapshot: Snapshot, seed: int) -> Floats:
    """(m, R) prices drawn so that all of an ask costs about what all bids are worth."""
    rng = np.random.default_rng((11, seed))
    worth = 1.0 / np.maximum(snapshot.asks.total.sum(axis=0), 1)
    drawn: Floats = rng.exponential(size=snapshot.asks.capacity.shape) * worth
    return drawn


def cleared(seed: int) -> tuple[Snapshot, Plan]:
    snapshot = carried(round_of(seed), seed)
    return snapshot, get("hierarchical").clear(snapshot, budget_ms=(1, 3, 8)[seed % 3])


@pytest.mark.parametrize("first", BATCHES)
def test_bound_is_above_the_optimum_and_the_optimum_above_the_plan(first: int) -> None:
    for seed in range(first, first + BATCH):
        snapshot, plan = cleared(seed)
        check_plan(snapshot, plan)
        best = optimum_by_search(snapshot)
        assert plan.bound >= best * (1 - ROUNDING), f"round {seed}: bound under the optimum"
        assert plan.welfare <= best * (1 + ROUNDING), f"round {seed}: plan over the optimum"


def test_the_rounds_are_worth_checking() -> None:
    """Most have a plan, many are scarce, and every reason to lose is met."""
    scarce = useful = 0
    reasons = set()
    for seed in range(400):
        snapshot = round_of(seed)
        plan = get("greedy").clear(snapshot, budget_ms=1)
        useful += plan.welfare > 0
        scarce += optimum_by_search(snapshot) < plan.bound * (1 - 1e-6)
        reasons |= {str(loss) for loss in plan.loss if loss is not None}
    assert useful > 200
    assert scarce > 120
    assert reasons >= {
        "constraint", "not_admitted", "too_large", "latency", "reliability", "speed", "deadline",
        "limit_below_reserve", "no_capacity", "count",
    }  # fmt: skip


def test_searched_optimum_is_that_of_linear_programming() -> None:
    for seed in range(0, ROUNDS, 6):
        snapshot = round_of(seed)
        best = optimum_by_search(snapshot)
        assert optimum_by_milp(snapshot) == pytest.approx(best, rel=1e-9), f"round {seed}"


def test_searched_optimum_is_that_of_the_exact_mechanism() -> None:
    for seed in range(3, ROUNDS, 9):
        snapshot = round_of(seed)
        plan = get("exact").clear(snapshot, budget_ms=20_000)
        check_plan(snapshot, plan)
        best = optimum_by_search(snapshot)
        assert plan.welfare == pytest.approx(best, rel=1e-7), f"round {seed}"
        assert plan.bound >= best * (1 - ROUNDING), f"round {seed}"
