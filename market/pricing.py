"""The standing price of each cell and resource: moved by utilisation, bounded by floor and cap.

    ρ ← clip(ρ · exp(η · (u − τ)), floor, cap)

u is the share of the cell's offered capacity in use after the round, τ the target, η the step
(the multiplicative form of MOHAF's additive rule, arXiv 2508.14830: it cannot go negative and
moves by the same share at any price level). The floor of a resource is the least reserve among
the cell's asks that offer it, for below that nobody sells.
"""

import numpy as np

from market.snapshot import Floats, Indices, Ints, Snapshot


def taken(snapshot: Snapshot, bid: Indices, ask: Indices, count: Ints) -> Ints:
    """(m, R) base units that the matches take from each ask."""
    used = np.zeros_like(snapshot.asks.capacity)
    np.add.at(used, ask, snapshot.bids.demand[bid] * count[:, None])
    return used


def utilisation(snapshot: Snapshot, used: Ints) -> Floats:
    """(C, R) share of each cell's offered capacity in use once ``used`` (m, R) is taken as well.

    NaN where a cell offers none of a resource.
    """
    asks = snapshot.asks
    shape = (len(snapshot.cells), len(snapshot.resources))
    busy, total = np.zeros(shape), np.zeros(shape)
    np.add.at(busy, asks.cell, asks.total - asks.capacity + used)
    np.add.at(total, asks.cell, asks.total)
    share = np.full(shape, np.nan)
    np.divide(busy, total, out=share, where=total > 0)
    return share


def floors(snapshot: Snapshot) -> Floats:
    """(C, R) least reserve of each cell's asks that offer the resource, at least the policy's."""
    least = np.full((len(snapshot.cells), len(snapshot.resources)), np.inf)
    offered = np.where(snapshot.asks.total > 0, snapshot.asks.reserve, np.inf)
    np.minimum.at(least, snapshot.asks.cell, offered)
    floor = float(snapshot.policy.price_floor_micros)
    return np.where(np.isfinite(least), np.maximum(least, floor), floor)


def next_prices(snapshot: Snapshot, used: Ints) -> Floats:
    """(C, R) standing prices after a round that took ``used`` (m, R).

    A resource that a cell does not offer keeps its price: no capacity is no news.
    """
    policy = snapshot.policy
    share = utilisation(snapshot, used)
    step = np.where(np.isnan(share), 0.0, share - policy.utilisation_target)
    moved = snapshot.standing_price * np.exp(policy.price_step * step)
    offered = ~np.isnan(share)
    bounded = np.clip(moved, floors(snapshot), float(policy.price_cap_micros))
    return np.where(offered, bounded, snapshot.standing_price)


def first_prices(snapshot: Snapshot) -> Floats:
    """(C, R) prices for cells without a history: twice the floor, room to fall and to rise."""
    return np.minimum(2.0 * floors(snapshot), float(snapshot.policy.price_cap_micros))
