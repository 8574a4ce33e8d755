"""Runs a mechanism on a small market of its own, so that no round waits for a compiler."""

from dataclasses import replace

from market import mechanisms
from market.mechanisms import UnknownMechanism
from market.snapshot import Policy
from sim.generators import random_snapshot

BUDGET_MS = 20


def warm(policy: Policy) -> None:
    """Load and compile what rounds under ``policy`` will run: with and without carried prices."""
    crowded = random_snapshot(bids=40, asks=4, seed=0, load=3.0, policy=policy)
    try:
        plan = mechanisms.get(policy.mechanism).clear(crowded, budget_ms=BUDGET_MS)
    except UnknownMechanism:
        return  # said when a round is to be cleared
    if plan.node_price.any():
        again = replace(crowded, carried_price=plan.node_price)
        mechanisms.get(policy.mechanism).clear(again, budget_ms=BUDGET_MS)
