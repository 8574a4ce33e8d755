"""The standing price of each cell and resource: moved by use and by scarcity, between its bounds.

    ρ ← clip(ρ · exp(η · [(u − τ) + κ · clip(ln(ρ* / ρ), −1, 1)]), floor, cap)
    ρ* = floor + μ · Σ_j f_j π_j / Σ_j f_j · priced_unit        over the cell's asks j

u is the share of the cell's offered capacity in use after the round, τ the target, η the step
(the multiplicative form of MOHAF's additive rule, arXiv 2508.14830: it cannot go negative and
moves by the same share at any price level). The floor of a resource is the least reserve among
the cell's asks that offer it, for below that nobody sells.

ρ* is what the resource was worth in this round: cost plus rent of scarcity, as in the spot pricing
of electricity (Schweppe, Caramanis, Tabors, Bohn 1988: the price at a node is the marginal cost
plus the multiplier of what binds there). The rents are the mechanism's shadow prices π_j, the mean
over nodes by what each had free, f_j: a full node sells nothing, and what is idle lowers the mean.
They are in score, of which a slot earns at most its size; μ is what one unit of score is worth:

    μ = Σ over matches of (limit − reserve rate) · count / Σ of size · count

where two parties match: what an account pledges to itself it does not pay. So at ρ* a winner whose
whole score is eaten by the rents pays its limit, and any other less. A mechanism without shadow
prices leaves κ's part out. κ is the policy's parameter ``price_pull``.

With u and ρ* steady, ln ρ comes to rest at ln ρ* + (u − τ)/κ (for κ ≥ |u − τ|), from either side
and without overshoot: η·κ is held to 1 at most, and each round leaves the share 1 − η·κ of the
distance. Scarcity does not drive the price beyond what it is worth, and a market with room comes
down to its floor.
"""

import numpy as np

from market.score import sizes
from market.snapshot import Bools, Floats, Indices, Ints, Snapshot

PULL = 1.0  # κ
REACH = 1.0  # of the pull, in ln ρ: one odd round moves the price by at most η·(κ + 1)


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


def worth_of_score(
    snapshot: Snapshot, bid: Indices, ask: Indices, count: Ints, reserve_rate: Ints
) -> float:
    """μ of the matches (k,), in micros an hour for one unit of score; 0 without a match."""
    traded = np.where(own(snapshot, bid, ask), 0, count)
    size = float(sizes(snapshot)[bid] @ traded)
    pledged = float((snapshot.bids.limit[bid] - reserve_rate) @ traded)
    return pledged / size if size > 0 else 0.0


def own(snapshot: Snapshot, bid: Indices, ask: Indices) -> Bools:
    """(k,) whether the same account is on both sides of each match."""
    number = {account: t for t, account in enumerate(snapshot.tenants)}
    owner = np.array([number.get(account, -1) for account in snapshot.asks.owners], np.int64)
    same: Bools = snapshot.bids.tenant[bid] == owner[ask]
    return same


def rents(snapshot: Snapshot, node_price: Floats, *, worth: float) -> Floats:
    """(C, R) micros per priced unit and hour that shadow prices (m, R) add to each cell's cost.

    NaN where a cell has nothing free of a resource: nothing was sold there, nothing was learnt.
    """
    asks = snapshot.asks
    shape = (len(snapshot.cells), len(snapshot.resources))
    weighted, free = np.zeros(shape), np.zeros(shape)
    room = np.maximum(asks.capacity, 0).astype(np.float64)
    np.add.at(weighted, asks.cell, room * node_price)
    np.add.at(free, asks.cell, room)
    mean = np.full(shape, np.nan)
    np.divide(weighted, free, out=mean, where=free > 0)
    found: Floats = mean * worth * snapshot.priced_units
    return found


def next_prices(snapshot: Snapshot, used: Ints, *, rent: Floats | None = None) -> Floats:
    """(C, R) standing prices after a round that took ``used`` (m, R) at ``rent`` (C, R).

    Without ``rent`` (or where it is NaN) the price moves by utilisation alone. A resource that a
    cell does not offer keeps its price: no capacity is no news.
    """
    policy = snapshot.policy
    share = utilisation(snapshot, used)
    step = np.where(np.isnan(share), 0.0, share - policy.utilisation_target)
    floor = floors(snapshot)
    if rent is not None:
        step = step + _pull(snapshot, floor + rent)
    moved = snapshot.standing_price * np.exp(policy.price_step * step)
    offered = ~np.isnan(share)
    bounded = np.clip(moved, floor, float(policy.price_cap_micros))
    return np.where(offered, bounded, snapshot.standing_price)


def _pull(snapshot: Snapshot, worth: Floats) -> Floats:
    """(C, R) κ · clip(ln(ρ* / ρ)), 0 where either is unknown; never past ρ* in one step."""
    policy = snapshot.policy
    known = (worth > 0) & (snapshot.standing_price > 0)
    distance = np.zeros_like(worth)
    np.log(np.divide(worth, snapshot.standing_price, where=known, out=distance), where=known,
           out=distance)  # fmt: skip
    pull = max(0.0, policy.parameters.get("price_pull", PULL))
    if policy.price_step > 0:
        pull = min(pull, 1.0 / policy.price_step)
    return pull * np.clip(distance, -REACH, REACH)


def first_prices(snapshot: Snapshot) -> Floats:
    """(C, R) prices for cells without a history: twice the floor, room to fall and to rise."""
    return np.minimum(2.0 * floors(snapshot), float(snapshot.policy.price_cap_micros))
