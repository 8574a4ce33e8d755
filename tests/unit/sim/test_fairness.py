"""A tenant that bids ten times as often does not get more than its share for long."""

from market.mechanisms import get
from market.snapshot import Policy
from sim.fairness import shares_over_rounds


def test_shares_converge_to_entitlements() -> None:
    shares = shares_over_rounds(get("greedy"), rounds=60, seed=1, policy=Policy())
    assert abs(shares[20:].mean(axis=0) - 0.25).max() < 0.05


def test_without_the_fairness_term_the_busy_tenant_wins() -> None:
    blind = Policy(weight_fairness=0.0)
    shares = shares_over_rounds(get("greedy"), rounds=20, seed=1, policy=blind)
    assert shares.mean(axis=0)[0] > 0.4
