"""Fairness in time: many rounds in which one tenant bids far more often than the others."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from market import score
from market.mechanism import Mechanism
from market.snapshot import Floats, Policy, Snapshot
from sim.generators import random_snapshot

DECAY = 0.97  # of the received shares from one round to the next: a half-life of 23 rounds
BIDS_PER_NODE = 26.0  # of the modest together: about four times what the nodes hold
EQUAL = (0.25, 0.25, 0.25, 0.25)


def shares_over_rounds(
    mechanism: Mechanism,
    *,
    rounds: int,
    seed: int,
    policy: Policy,
    entitlement: Sequence[float] = EQUAL,
    greed: int = 10,
    nodes: int = 6,
    budget_ms: int = 5,
) -> Floats:
    """(rounds, tenants) share of the served size that each tenant got in each round.

    Tenant 0 bids ``greed`` times as often as the mean of the others; those each ask for about four
    times what they are entitled to, so that everyone could use the whole of its share. Nobody has
    received anything when it begins. ``entitlement`` sums to one.
    """
    due = np.asarray(entitlement, dtype=np.float64)
    received = np.zeros(len(due))
    shares = np.zeros((rounds, len(due)))
    for number in range(rounds):
        snapshot = _round(number, seed, due, greed, nodes, policy)
        plan = mechanism.clear(
            replace(snapshot, entitlement=due, received=received), budget_ms=budget_ms
        )
        size = score.sizes(snapshot)[plan.bid] * plan.count
        got = np.bincount(snapshot.bids.tenant[plan.bid], size, minlength=len(due))
        shares[number] = got / max(float(got.sum()), 1e-300)
        received = DECAY * received + (1.0 - DECAY) * shares[number]
        received = received / max(float(received.sum()), 1e-300)
    return shares


def _round(number: int, seed: int, due: Floats, greed: int, nodes: int, policy: Policy) -> Snapshot:
    """One round: every tenant's bids are drawn alike, only how many they are differs."""
    of_each = np.maximum(np.rint(BIDS_PER_NODE * nodes * due), 1).astype(np.int64)
    of_each[0] = round(greed * BIDS_PER_NODE * nodes / len(due))
    bids = int(of_each.sum())
    snapshot = random_snapshot(
        bids=bids,
        asks=nodes,
        seed=seed * 100_003 + number,
        zones=2,
        tenants=len(due),
        slots_max=1,
        load=1_000.0,  # as they are drawn: not scaled to the nodes
        policy=policy,
    )
    tenant = np.random.default_rng((seed, number)).permutation(np.repeat(range(len(due)), of_each))
    return replace(
        snapshot,
        bids=replace(
            snapshot.bids,
            tenant=tenant.astype(np.int32),
            latency_ms_max=np.full(bids, np.inf),
            reliability_min=np.zeros(bids),
        ),
        admits=np.ones_like(snapshot.admits),
    )
