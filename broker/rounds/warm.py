"""Runs a mechanism on a small market of its own, so that no round waits for a compiler."""

from dataclasses import replace

import numpy as np

from market import mechanisms
from market.mechanisms import UnknownMechanism
from market.snapshot import Policy, Snapshot
from sim.generators import random_snapshot

BUDGET_MS = 20
FEW, MANY = 4, 72  # nodes alike in one zone: each has kernels of its own


def warm(policy: Policy) -> None:
    """Load and compile what rounds under ``policy`` will run: with and without carried prices."""
    for nodes in (FEW, MANY):
        crowded = _crowded(nodes, policy)
        try:
            plan = mechanisms.get(policy.mechanism).clear(crowded, budget_ms=BUDGET_MS)
        except UnknownMechanism:
            return  # said when a round is to be cleared
        if plan.node_price.any():
            again = replace(crowded, carried_price=plan.node_price)
            mechanisms.get(policy.mechanism).clear(again, budget_ms=BUDGET_MS)


def _crowded(nodes: int, policy: Policy) -> Snapshot:
    """Ten times as many bids as nodes, all nodes of one kind and in one zone."""
    found = random_snapshot(
        bids=10 * nodes, asks=nodes, seed=0, zones=1, cells=1, load=3.0, policy=policy
    )
    asks = found.asks
    features, admission = np.zeros_like(asks.features), np.zeros_like(asks.admission)
    return replace(found, asks=replace(asks, features=features, admission=admission))
