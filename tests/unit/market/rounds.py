"""Small random rounds that sit on the constraints' edges, and their optimum by two own ways.

Equal nodes, a latency that is just the limit, a demand that just fits: what single precision or a
wrong comparison would get wrong is drawn on purpose, not left to chance.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from market import feasible, score
from market.snapshot import NO_PLACE, Asks, Bids, Floats, Indices, Ints, Policy, Snapshot

from .factories import GIB, make_asks, make_bids, make_snapshot

TENANTS = 3
LATENCY_MS = np.array([[3.0, 20.1, 47.3], [20.1, 3.0, 33.3], [47.3, 33.3, 3.0]])


@dataclass(frozen=True, slots=True)
class Feasible:
    """The feasible pairs of a round, each with the value of a slot."""

    bid: Indices
    ask: Indices
    value: Floats


def small_round(seed: int, *, bids: int, asks: int, policy: Policy) -> Snapshot:
    """A round of up to ``bids`` × ``asks`` with every kind of constraint, some of them exact."""
    rng = np.random.default_rng((7, seed))
    sells = _asks(rng, int(rng.integers(1, asks + 1)))
    buys = _bids(rng, int(rng.integers(1, bids + 1)), sells)
    due = rng.dirichlet(np.ones(TENANTS))
    received = rng.choice(3) * rng.dirichlet(np.full(TENANTS, 0.5))
    return make_snapshot(
        buys,
        sells,
        tenants=TENANTS,
        seed=seed,
        policy=policy,
        entitlement=due,
        received=received / max(float(received.sum()), 1.0),
        admits=np.vstack([np.ones(TENANTS, np.bool_), rng.random(TENANTS) < 0.6]),
        zone_latency_ms=LATENCY_MS,
    )


def _asks(rng: np.random.Generator, m: int) -> Asks:
    alike = rng.random() < 0.4  # equal nodes: ties
    kinds = np.arange(m) % 2 if alike else np.arange(m)
    cores = rng.integers(1, 9, m)[kinds]
    total = np.stack(
        [cores * 1_000, cores * GIB, rng.choice([0, 2_000], m)[kinds], cores * 50_000], axis=1
    )
    free = total * rng.choice([0.0, 0.5, 1.0], (m, 1), p=[0.1, 0.3, 0.6])
    return make_asks(
        m,
        capacity=free.astype(np.int64),
        total=total.astype(np.int64),
        reserve=rng.integers(0, 20_000, (m, 4))[kinds] * np.array([1, 1, 1, 0]),
        zone=rng.integers(0, 3, m).astype(np.int32),
        speed=rng.choice([0.5, 1.0, 1.3], m)[kinds],
        reliability=rng.choice([0.9, 0.97, 1.0], m)[kinds],
        max_milliwatts=rng.integers(0, 30_000, m)[kinds],
        carbon_g_per_kwh=rng.choice([np.nan, 30.0, 700.0], m)[kinds],
        on_battery=rng.random(m) < 0.2,
        hot=rng.random(m) < 0.1,
        features=rng.choice([0, 1, 2, 3, 3, 3], (m, 1)).astype(np.uint64),
        admission=(rng.random(m) < 0.2).astype(np.int32),
    )


def _bids(rng: np.random.Generator, n: int, asks: Asks) -> Bids:
    slots = rng.integers(1, 4, n)
    cores = rng.choice([0.25, 0.5, 1.0, 1.7, 3.0], n)
    memory = cores * rng.choice([0.0, 0.5, 1.0, 2.3], n) * GIB
    demand = np.stack(
        [cores * 1_000, memory, rng.choice([0, 700], n, p=[0.9, 0.1]), cores * 20_000], axis=1
    ).astype(np.int64)
    whole = rng.random(n) < 0.15  # just what a node has free
    node = rng.integers(0, len(asks), n)
    demand[whole] = asks.capacity[node[whole]]
    exact = np.ceil((demand * asks.reserve[node] / [1_000, GIB, 1_000, 1_000]).sum(axis=1))
    limit = np.where(rng.random(n) < 0.15, exact, exact * rng.uniform(0.9, 4.0, n) + 1)
    placed = rng.random(n) < 0.5
    zone = np.where(placed, rng.integers(0, 3, n), NO_PLACE)
    work = rng.integers(1_000, 600_000, n)
    return make_bids(
        n,
        tenant=rng.integers(0, TENANTS, n).astype(np.int32),
        demand=demand,
        count=slots,
        count_min=np.where(rng.random(n) < 0.5, slots, rng.integers(1, slots + 1)),
        limit=limit.astype(np.int64),
        work_ms=np.where(rng.random(n) < 0.6, work, 0),
        deadline_ms=np.where(
            rng.random(n) < 0.25, work / rng.choice([0.5, 1.0, 1.29], n), 0
        ).astype(np.int64),
        zone=zone.astype(np.int32),
        latency_ms_max=np.where(
            placed, rng.choice([3.0, 20.1, 33.3, 47.3, 60.0, np.inf], n), np.inf
        ),
        reliability_min=rng.choice([0.0, 0.9, 0.97, 1.0], n, p=[0.6, 0.2, 0.15, 0.05]),
        speed_min=rng.choice([0.0, 0.5, 1.0, 1.3], n, p=[0.7, 0.2, 0.07, 0.03]),
        required=rng.choice([0, 0, 0, 1, 2], (n, 1)).astype(np.uint64),
        forbidden=rng.choice([0, 1, 2], (n, 1), p=[0.9, 0.05, 0.05]).astype(np.uint64),
    )


def pairs_of(snapshot: Snapshot) -> Feasible:
    """All feasible pairs, ordered by bid."""
    bid, ask = feasible.feasible_pairs(snapshot)
    return Feasible(bid, ask, score.values(snapshot, bid, ask))


def optimum_by_search(snapshot: Snapshot) -> float:
    """The greatest welfare of any plan: every way to serve each bid, branches cut by the best each.

    Exact integers throughout; for rounds of a few bids and asks.
    """
    found = pairs_of(snapshot)
    ways = [_ways(snapshot, found, i) for i in range(len(snapshot.bids))]
    ways = [some for some in ways if len(some) > 1]
    ways.sort(key=lambda some: -some[0][0])
    rest = [0.0]
    for some in reversed(ways):
        rest.append(rest[-1] + some[0][0])
    rest.reverse()
    free = snapshot.asks.capacity.reshape(-1)
    best = 0.0

    def descend(depth: int, room: Ints, welfare: float) -> None:
        nonlocal best
        best = max(best, welfare)
        if depth == len(ways) or welfare + rest[depth] <= best:
            return
        for worth, taken in ways[depth]:
            left = room - taken
            if left.min() >= 0:
                descend(depth + 1, left, welfare + worth)

    descend(0, free, 0.0)
    return best


def _ways(snapshot: Snapshot, found: Feasible, bid: int) -> list[tuple[float, Ints]]:
    """(worth, what it takes of every ask and resource) of each way to serve ``bid``, best first."""
    bids, free = snapshot.bids, snapshot.asks.capacity
    mine = np.flatnonzero(found.bid == bid)
    most, least = int(bids.count[bid]), int(bids.count_min[bid])
    if not bids.demand[bid].any():
        return [(0.0, np.zeros(free.size, np.int64))]
    partial: list[tuple[int, float, Ints]] = [(0, 0.0, np.zeros_like(free))]
    for k in mine.tolist():
        grown = []
        for slots, worth, taken in partial:
            for more in range(most - slots + 1):
                using = taken.copy()
                using[found.ask[k]] += more * bids.demand[bid]
                if (using <= free).all():
                    grown.append((slots + more, worth + more * float(found.value[k]), using))
        partial = grown
    served = [(w, t.reshape(-1)) for s, w, t in partial if s == 0 or s >= least]
    return sorted(served, key=lambda way: -way[0])


def optimum_by_milp(snapshot: Snapshot) -> float:
    """The same by an integer programme in SciPy's HiGHS; the plan found is checked in integers."""
    found = pairs_of(snapshot)
    if not len(found.bid) or found.value.max() <= 0:
        return 0.0
    bids, free = snapshot.bids, snapshot.asks.capacity
    k, n = len(found.bid), len(bids)
    rows: list[Floats] = []
    least: list[float] = []
    most: list[float] = []
    for i in np.unique(found.bid).tolist():
        mine = np.append(found.bid == i, np.zeros(n)).astype(float)
        served = np.zeros(k + n)
        served[k + i] = 1.0
        rows += [mine - bids.count[i] * served, mine - bids.count_min[i] * served]
        least, most = [*least, -np.inf, 0.0], [*most, 0.0, np.inf]
    for j in np.unique(found.ask).tolist():
        for r in range(free.shape[1]):
            scale = max(int(free[j, r]), 1)
            taking = np.where(found.ask == j, bids.demand[found.bid, r] / scale, 0.0)
            rows.append(np.append(taking, np.zeros(n)))
            least, most = [*least, -np.inf], [*most, free[j, r] / scale]
    answer = milp(
        -np.append(found.value / found.value.max(), np.zeros(n)),
        integrality=np.ones(k + n),
        bounds=Bounds(0.0, np.append(bids.count[found.bid], np.ones(n)).astype(float)),
        constraints=LinearConstraint(np.array(rows), least, most),
        options={"mip_rel_gap": 0.0},
    )
    assert answer.x is not None, answer.message
    slots = np.rint(answer.x[:k]).astype(np.int64)
    used = np.zeros_like(free)
    np.add.at(used, found.ask, bids.demand[found.bid] * slots[:, None])
    assert (used <= free).all()
    return float(found.value @ slots)
