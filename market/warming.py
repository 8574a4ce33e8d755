"""Runs a mechanism on small markets, so that no round that matters waits for a compiler.

Kernels are compiled on a machine's first use and loaded on a process's. What they are depends on
the form of a round, not on its content: few or many nodes alike, pairs listed or scanned, prices
carried or not.
"""

from dataclasses import replace
from typing import Protocol

import numpy as np

from market.mechanisms import declared, get, names
from market.repeating import unhurried
from market.snapshot import PaymentRule, Policy, Snapshot

BUDGET_MS = 20
FEW, MANY = 4, 72  # nodes alike in one zone; with ten bids a node, pairs of MANY are scanned


class Generate(Protocol):
    """Makes a market (``sim.generators.random_snapshot``)."""

    def __call__(
        self,
        *,
        bids: int,
        asks: int,
        seed: int,
        zones: int,
        cells: int,
        load: float,
        policy: Policy,
    ) -> Snapshot: ...


def warm(policy: Policy, generate: Generate, *, for_nothing: bool = False) -> None:
    """Load and compile what rounds under ``policy`` will run: with and without carried prices.

    The clock is kept out, for it would cut off what comes after the first kernel's compiling.
    ``for_nothing``: among the bids are some that ask for nothing (of instance files alone), which
    take kernels of their own. An unknown mechanism is left to the round, which says so.
    """
    if policy.mechanism not in names():
        return
    mechanism = get(policy.mechanism)
    for nodes in (FEW,) if declared(policy.mechanism).solver else (FEW, MANY):
        crowded = unhurried(_crowded(nodes, policy, generate))
        if for_nothing:
            demand = crowded.bids.demand.copy()
            demand[0] = 0
            crowded = replace(crowded, bids=replace(crowded.bids, demand=demand))
        plan = mechanism.clear(crowded, budget_ms=BUDGET_MS)
        if plan.node_price.any():
            again = replace(crowded, carried_price=plan.node_price)
            mechanism.clear(again, budget_ms=BUDGET_MS)


def _crowded(nodes: int, policy: Policy, generate: Generate) -> Snapshot:
    """Ten times as many bids as nodes, all nodes of one kind and in one zone.

    Of many nodes with a simple payment rule: others run through the round for every winner.
    """
    payment: PaymentRule = policy.payment if nodes == FEW else "uniform"
    found = generate(
        bids=10 * nodes,
        asks=nodes,
        seed=0,
        zones=1,
        cells=1,
        load=3.0,
        policy=replace(policy, payment=payment),
    )
    asks = found.asks
    features, admission = np.zeros_like(asks.features), np.zeros_like(asks.admission)
    return replace(found, asks=replace(asks, features=features, admission=admission))
