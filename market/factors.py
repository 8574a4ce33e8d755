"""The score and the hard constraints of a snapshot as the separable ``Problem`` of the kernels.

On feasible pairs the score of ``market.score`` is linear in features of the ask, but for the
latency cap: its factors are the reserve of each resource, reliability, 1 / speed, s / (1 + s) and
the energy term. A test holds the two forms against each other.
"""

import numpy as np

from market import score
from market.feasible import kinds
from market.kernels.problem import ROUNDING, Problem, in_blocks, single
from market.snapshot import NO_PLACE, Floats, Ints, Snapshot
from market.usable import usable


def problem_of(snapshot: Snapshot) -> Problem:
    """The problem whose pair values are ``score.values`` and whose pairs are the feasible ones."""
    bids, asks = snapshot.bids, snapshot.asks
    ask_kind, bid_kind, lacks, shut_out = kinds(snapshot)
    unit_price = score.unit_prices(snapshot)
    order, start, block_zone, block_class = in_blocks(asks.zone, ask_kind, unit_price.sum(axis=1))
    speed = np.maximum(asks.speed, 1e-9)
    features = np.vstack(
        [
            unit_price.T,
            asks.reliability[None],
            1.0 / speed[None],
            (speed / (1.0 + speed))[None],
            score.energy_terms(snapshot)[None],
        ]
    )
    base, slope = _value_factors(snapshot)
    capacity = usable(asks.capacity, bids.demand).astype(np.float64)
    roomiest = np.minimum(asks.capacity, asks.total)  # of a step of many nodes: less than it has
    nowhere = bids.zone == NO_PLACE
    _, beta, _, _ = score.weights(snapshot)
    horizon = score.latency_horizons(snapshot)
    needs = np.column_stack(
        [bids.demand.astype(np.float64), bids.reliability_min, _speeds(snapshot)]
    )
    per_limit = bids.demand / np.maximum(bids.limit, 1)[:, None] * (1.0 - ROUNDING)
    return Problem(
        node=order,
        capacity=np.ascontiguousarray(capacity[order]),
        feature=single(features[:, order]),
        attribute=single(np.vstack([roomiest[order].T, asks.reliability[order], speed[order]])),
        unit_price=single(unit_price[order].T),
        block_start=start,
        block_zone=block_zone,
        block_class=block_class,
        demand=np.ascontiguousarray(bids.demand, dtype=np.float64),
        count=slots_wanted(snapshot),
        base=single(base),
        slope=single(slope),
        near=single(np.where(nowhere, 0.0, score.sizes(snapshot) * beta / 3.0 / horizon)),
        horizon=single(horizon),
        latency_max=single(np.where(nowhere, np.inf, bids.latency_ms_max * (1.0 + ROUNDING))),
        zone=np.maximum(bids.zone, 0).astype(np.int32),
        need=single(needs),
        money=single(per_limit),
        bid_class=bid_kind,
        compatible=~(lacks | shut_out),
        latency=single(snapshot.zone_latency_ms),
    )


def _value_factors(snapshot: Snapshot) -> tuple[Floats, Floats]:
    """(base (n,), slope (n, R + 4)): the score without its latency part."""
    bids = snapshot.bids
    alpha, beta, gamma, delta = score.weights(snapshot)
    size = score.sizes(snapshot)
    third = size * beta / 3.0
    room = 1.0 - bids.reliability_min
    certain = room <= 0
    steep = np.divide(1.0, room, out=np.zeros_like(room), where=~certain)
    hurried = (bids.deadline_ms > 0) & (bids.work_ms > 0)
    pace = bids.work_ms / np.maximum(bids.deadline_ms, 1)
    fairness = score.fairness_terms(snapshot)[bids.tenant]
    reliable = np.where(certain, 1.0, -bids.reliability_min * steep)
    base = size * (alpha + delta * fairness) + third * (1.0 + reliable + hurried)
    cost = -(size * alpha / np.maximum(bids.limit, 1))[:, None] * bids.demand
    slope = np.column_stack(
        [cost, third * steep, -third * pace * hurried, third * ~hurried, size * gamma]
    )
    return base, slope


def _speeds(snapshot: Snapshot) -> Floats:
    """(n,) the least speed that meets both the bid's minimum and its deadline."""
    bids = snapshot.bids
    pace = np.divide(
        bids.work_ms,
        bids.deadline_ms,
        out=np.zeros(len(bids)),
        where=bids.deadline_ms > 0,
    )
    least: Floats = np.maximum(bids.speed_min, pace * (1.0 - ROUNDING))
    return least


def slots_wanted(snapshot: Snapshot) -> Ints:
    """(n,) slots of each bid, no more than could ever fit in all capacity together."""
    bids = snapshot.bids
    free = snapshot.asks.capacity.sum(axis=0)
    most = np.full(bids.demand.shape, np.iinfo(np.int64).max)
    np.floor_divide(free[None], bids.demand, out=most, where=bids.demand > 0)
    wanted: Ints = np.minimum(bids.count, most.min(axis=1, initial=np.iinfo(np.int64).max))
    # A demand for nothing would fit without end and is worth nothing.
    return np.where((bids.demand > 0).any(axis=1), wanted, 0)
