"""A tenant that bids ten times as often does not get more than its share for long."""

import numpy as np
import pytest

from market.mechanisms import get
from market.snapshot import Policy
from sim.fairness import EQUAL, shares_over_rounds

DUE = (EQUAL, (0.1, 0.2, 0.3, 0.4), (0.4, 0.3, 0.2, 0.1), (0.15, 0.55, 0.3))  # the busy one first
REPEATABLE = {"repeatable": 1.0}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("mechanism", ["greedy", "hierarchical"])
def test_shares_converge_to_entitlements(mechanism: str, seed: int) -> None:
    due = DUE[seed % len(DUE)]
    shares = shares_over_rounds(
        get(mechanism),
        rounds=120,
        seed=seed,
        policy=Policy(parameters=REPEATABLE),
        entitlement=due,
        nodes=4,
    )
    settled = shares[30:].mean(axis=0)
    assert np.abs(settled - due).max() < 0.05, settled


def test_without_the_fairness_term_the_busy_tenant_wins() -> None:
    blind = Policy(weight_fairness=0.0)
    shares = shares_over_rounds(get("greedy"), rounds=20, seed=1, policy=blind)
    assert shares.mean(axis=0)[0] > 0.4
