"""Seeded market instances: whole snapshots of any size, for tests, benchmarks and researchers."""

from dataclasses import replace

import numpy as np

from market.pricing import first_prices
from market.resources import RESOURCES
from market.snapshot import NO_PLACE, Asks, Bids, Policy, Snapshot

GIB = 1 << 30
FEATURES = ("arch:amd64", "arch:arm64", "runtime:wasm", "runtime:onnx", "runtime:container")


def random_snapshot(
    *,
    bids: int,
    asks: int,
    seed: int,
    zones: int = 8,
    cells: int = 4,
    tenants: int = 5,
    load: float = 1.2,
    slots_max: int = 3,
    policy: Policy | None = None,
) -> Snapshot:
    """A round of ``bids`` × ``asks``; total demand is about ``load`` times the capacity.

    Three sizes of node (55 % small, 33 % medium, 12 % large), four of bid; a tenth of the nodes on
    battery, a twentieth hot, a third with a carbon figure, one admission rule that shuts out the
    last tenant.
    """
    rng = np.random.default_rng(seed)
    place = rng.random((zones, 2))
    latency = 5.0 + 130.0 * np.sqrt(((place[:, None] - place[None]) ** 2).sum(-1))
    np.fill_diagonal(latency, 3.0)
    sells = _asks(rng, asks, zones, cells)
    buys = _bids(rng, bids, zones, cells, tenants, slots_max)
    buys = _scaled(buys, sells, load)
    received = rng.random(tenants)
    admits = np.ones((2, tenants), dtype=np.bool_)
    admits[1, -1] = tenants == 1
    units = np.array([resource.priced_unit for resource in RESOURCES], dtype=np.int64)
    snapshot = Snapshot(
        round_id=f"round_{seed}",
        cell="root",
        now_ms=0,
        seed=seed,
        policy=policy or Policy(),
        resources=tuple(resource.name for resource in RESOURCES),
        priced_units=units,
        bids=buys,
        asks=sells,
        cells=tuple(f"cell_{c}" for c in range(cells)),
        tenants=tuple(f"tenant_{t}" for t in range(tenants)),
        entitlement=np.full(tenants, 1.0 / tenants),
        received=received / received.sum(),
        admits=admits,
        zone_latency_ms=latency,
        feature_names=FEATURES,
        standing_price=np.zeros((cells, len(RESOURCES))),
    )
    return _priced(snapshot)


def _priced(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, standing_price=first_prices(snapshot))


def _asks(rng: np.random.Generator, m: int, zones: int, cells: int) -> Asks:
    size = rng.choice(3, m, p=[0.55, 0.33, 0.12])
    cores = np.array([4, 12, 48])[size]
    total = np.stack(
        [
            cores * 1_000,
            (cores * rng.uniform(0.8, 4.0, m)).astype(np.int64) * GIB,
            np.where(rng.random(m) < 0.2, 1_000 * np.array([1, 1, 4])[size], 0),
            np.array([100_000, 600_000, 4_000_000])[size],
        ],
        axis=1,
    ).astype(np.int64)
    busy = rng.uniform(0.0, 0.3, (m, 1))
    base = np.array([40_000, 6_000, 300_000, 10])
    reserve = base * np.array([0.8, 1.0, 1.25])[size][:, None] * rng.lognormal(0.0, 0.3, (m, 1))
    watts = np.array([3.0, 6.0, 11.0])[size] * rng.lognormal(0.0, 0.2, m)
    features = np.where(rng.random(m) < 0.5, 1, 2) | 4 | np.where(rng.random(m) < 0.6, 8, 0)
    zone = np.sort(rng.integers(0, zones, m)).astype(np.int32)
    return Asks(
        ids=tuple(f"node_{j}" for j in range(m)),
        owners=tuple(f"owner_{j % 7}" for j in range(m)),
        capacity=(total * (1.0 - busy)).astype(np.int64),
        total=total,
        reserve=np.maximum(reserve, 1).astype(np.int64),
        cell=(zone * cells // max(zones, 1)).astype(np.int32),
        zone=zone,
        speed=rng.uniform(0.5, 1.6, m),
        reliability=1.0 - 0.25 * rng.beta(1.2, 6.0, m),
        idle_milliwatts=(cores * 400).astype(np.int64),
        max_milliwatts=(cores * watts * 1_000).astype(np.int64),
        carbon_g_per_kwh=np.where(rng.random(m) < 0.33, rng.uniform(20, 800, m), np.nan),
        on_battery=rng.random(m) < 0.1,
        hot=rng.random(m) < 0.05,
        features=features.astype(np.uint64)[:, None],
        admission=(rng.random(m) < 0.1).astype(np.int32),
    )


def _bids(
    rng: np.random.Generator, n: int, zones: int, cells: int, tenants: int, slots_max: int
) -> Bids:
    kind = rng.choice(4, n, p=[0.4, 0.35, 0.2, 0.05])
    cores = np.array([0.5, 1.5, 3.0, 8.0])[kind] * rng.uniform(0.5, 1.5, n)
    memory = cores * rng.uniform(0.4, 3.0, n)
    accelerator = np.where(rng.random(n) < 0.08, 250 * rng.integers(1, 5, n), 0)
    bandwidth = rng.lognormal(9.0, 0.8, n) * np.sqrt(cores)
    demand = np.stack([cores * 1_000, memory * GIB, accelerator, bandwidth], axis=1)
    worth = cores * 40_000 + memory * 6_000 + accelerator * 300 + bandwidth * 0.01
    count = rng.integers(1, slots_max + 1, n)
    placed = rng.random(n) < 0.8
    zone = np.where(placed, rng.integers(0, zones, n), NO_PLACE)
    duration = rng.uniform(0.5, 2.0, n) * 3_600_000
    work = duration * rng.uniform(0.1, 0.6, n)
    required = np.where(rng.random(n) < 0.3, 1, 0) | np.where(rng.random(n) < 0.2, 8, 0)
    return Bids(
        ids=tuple(f"demand_{i}" for i in range(n)),
        tenant=rng.integers(0, tenants, n).astype(np.int32),
        demand=np.maximum(demand, 0).astype(np.int64),
        count=count.astype(np.int64),
        count_min=np.where(rng.random(n) < 0.5, count, 1).astype(np.int64),
        limit=np.maximum(worth * rng.uniform(0.7, 2.6, n), 1).astype(np.int64),
        duration_ms=duration.astype(np.int64),
        work_ms=work.astype(np.int64),
        deadline_ms=np.where(rng.random(n) < 0.3, duration, 0).astype(np.int64),
        home=(np.maximum(zone, 0) * cells // max(zones, 1)).astype(np.int32),
        zone=zone.astype(np.int32),
        latency_ms_max=np.where(placed, rng.uniform(15, 90, n), np.inf),
        reliability_min=rng.choice([0.0, 0.9, 0.95, 0.97], n, p=[0.3, 0.3, 0.25, 0.15]),
        speed_min=np.where(rng.random(n) < 0.2, 0.9, 0.0),
        required=required.astype(np.uint64)[:, None],
        forbidden=np.zeros((n, 1), dtype=np.uint64),
    )


def _scaled(bids: Bids, asks: Asks, load: float) -> Bids:
    """The same bids with demand (and limits) scaled so that cpu demand is ``load`` × capacity."""
    wanted = float((bids.demand * bids.count[:, None])[:, 0].sum())
    factor = min(load * float(asks.capacity[:, 0].sum()) / max(wanted, 1.0), 1.0)
    scaled = bids.demand * factor
    return replace(
        bids,
        demand=np.maximum(scaled, (bids.demand > 0) * 1.0).astype(np.int64),
        limit=np.maximum(bids.limit * factor, 1).astype(np.int64),
    )
