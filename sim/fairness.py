"""Fairness in time: many rounds in which one tenant bids far more often than the others."""

from dataclasses import replace

import numpy as np

from market import score
from market.mechanism import Mechanism
from market.snapshot import Floats, Policy, Snapshot
from sim.generators import random_snapshot

DECAY = 0.97  # of the received shares from one round to the next: a half-life of 23 rounds


def shares_over_rounds(
    mechanism: Mechanism,
    *,
    rounds: int,
    seed: int,
    policy: Policy,
    tenants: int = 4,
    greed: int = 10,
    budget_ms: int = 50,
) -> Floats:
    """(rounds, tenants) share of the served size that each tenant got in each round.

    Tenant 0 bids ``greed`` times as often as each other; the others each ask for about four times
    what they are entitled to, so that everyone could use the whole of its share.
    """
    bids_each = 40
    received = np.full(tenants, 1.0 / tenants)
    shares = np.zeros((rounds, tenants))
    for number in range(rounds):
        snapshot = _round(number, seed, tenants, greed, bids_each, policy)
        plan = mechanism.clear(replace(snapshot, received=received), budget_ms=budget_ms)
        size = score.sizes(snapshot)[plan.bid] * plan.count
        got = np.bincount(snapshot.bids.tenant[plan.bid], size, minlength=tenants)
        shares[number] = got / max(float(got.sum()), 1e-300)
        received = DECAY * received + (1.0 - DECAY) * shares[number]
        received = received / max(float(received.sum()), 1e-300)
    return shares


def _round(
    number: int, seed: int, tenants: int, greed: int, bids_each: int, policy: Policy
) -> Snapshot:
    """One round: demand of the modest tenants together is about 3 × capacity."""
    bids = bids_each * (tenants - 1 + greed)
    snapshot = random_snapshot(
        bids=bids,
        asks=10,
        seed=seed * 100_003 + number,
        zones=2,
        tenants=tenants,
        slots_max=1,
        load=3.0 * (tenants - 1 + greed) / (tenants - 1),
        policy=policy,
    )
    tenant = np.minimum(np.arange(bids) // bids_each, tenants - 1)
    tenant = np.where(np.arange(bids) >= bids_each * (tenants - 1), 0, tenant + 1)
    order = np.random.default_rng((seed, number)).permutation(bids)
    return replace(
        snapshot,
        bids=replace(
            snapshot.bids,
            tenant=tenant[order].astype(np.int32),
            latency_ms_max=np.full(bids, np.inf),
            reliability_min=np.zeros(bids),
        ),
        admits=np.ones_like(snapshot.admits),
    )
