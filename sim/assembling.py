"""Snapshots from what a trace knows; everything else is drawn from a seed and said so.

A trace gives demands and capacities, sometimes tenants, places and durations. Reserve and limit
prices, speed, reliability, power and count are drawn here in the way of ``sim.generators``.
"""

from dataclasses import replace

import numpy as np

from market.pricing import first_prices
from market.resources import RESOURCES
from market.snapshot import NO_PLACE, Asks, Bids, Floats, Indices, Ints, Policy, Snapshot

# Micros of a credit for a core-, GiB-, accelerator- and Mbit/s-hour, before each node's own factor.
RESERVE_BASE = (40_000, 6_000, 300_000, 10)
HOUR_MS = 3_600_000


def assemble(
    *,
    name: str,
    demand: Ints,
    capacity: Ints,
    seed: int,
    tenant: Indices | None = None,
    duration_ms: Ints | None = None,
    bid_zone: Indices | None = None,
    ask_zone: Indices | None = None,
    zone_latency_ms: Floats | None = None,
    latency_ms_max: Floats | None = None,
    policy: Policy | None = None,
) -> Snapshot:
    """A round of ``demand`` (n, R) on ``capacity`` (m, R), base units, resources as ``RESOURCES``.

    Without zones every node is in one zone and no bid asks for latency.
    """
    rng = np.random.default_rng(seed)
    n, m = len(demand), len(capacity)
    tenant = np.zeros(n, np.int32) if tenant is None else tenant.astype(np.int32)
    tenants = int(tenant.max(initial=0)) + 1
    zones = np.array([[1.0]]) if zone_latency_ms is None else zone_latency_ms
    ask_zone = np.zeros(m, np.int32) if ask_zone is None else ask_zone.astype(np.int32)
    reserve = np.array(RESERVE_BASE) * rng.lognormal(0.0, 0.3, (m, 1))
    units = np.array([resource.priced_unit for resource in RESOURCES], dtype=np.int64)
    worth = (demand / units) @ np.array(RESERVE_BASE, dtype=np.float64)
    duration = rng.uniform(0.5, 2.0, n) * HOUR_MS if duration_ms is None else duration_ms
    cores = capacity[:, 0] / 1_000
    snapshot = Snapshot(
        round_id=f"round_{name}_{seed}",
        cell="root",
        now_ms=0,
        seed=seed,
        policy=policy or Policy(),
        resources=tuple(resource.name for resource in RESOURCES),
        priced_units=units,
        bids=Bids(
            ids=tuple(f"demand_{i}" for i in range(n)),
            tenant=tenant,
            demand=np.ascontiguousarray(demand, dtype=np.int64),
            count=np.ones(n, np.int64),
            count_min=np.ones(n, np.int64),
            limit=np.maximum(worth * rng.uniform(0.7, 2.6, n), 1).astype(np.int64),
            duration_ms=np.maximum(duration, 1).astype(np.int64),
            work_ms=np.zeros(n, np.int64),
            deadline_ms=np.zeros(n, np.int64),
            home=np.zeros(n, np.int32),
            zone=np.full(n, NO_PLACE, np.int32) if bid_zone is None else bid_zone.astype(np.int32),
            latency_ms_max=np.full(n, np.inf) if latency_ms_max is None else latency_ms_max,
            reliability_min=rng.choice([0.0, 0.9, 0.95], n, p=[0.4, 0.4, 0.2]),
            speed_min=np.zeros(n),
            required=np.zeros((n, 1), np.uint64),
            forbidden=np.zeros((n, 1), np.uint64),
        ),
        asks=Asks(
            ids=tuple(f"node_{j}" for j in range(m)),
            owners=tuple(f"owner_{j % 7}" for j in range(m)),
            capacity=np.ascontiguousarray(capacity, dtype=np.int64),
            total=np.ascontiguousarray(capacity, dtype=np.int64),
            reserve=np.maximum(reserve, 1).astype(np.int64),
            cell=np.zeros(m, np.int32),
            zone=ask_zone,
            speed=rng.uniform(0.7, 1.4, m),
            reliability=1.0 - 0.25 * rng.beta(1.2, 6.0, m),
            idle_milliwatts=(cores * 400).astype(np.int64),
            max_milliwatts=(cores * 5_000 * rng.lognormal(0.0, 0.3, m)).astype(np.int64),
            carbon_g_per_kwh=np.where(rng.random(m) < 0.33, rng.uniform(20, 800, m), np.nan),
            on_battery=np.zeros(m, np.bool_),
            hot=np.zeros(m, np.bool_),
            features=np.ones((m, 1), np.uint64),
            admission=np.zeros(m, np.int32),
        ),
        cells=("cell_0",),
        tenants=tuple(f"tenant_{t}" for t in range(tenants)),
        entitlement=np.full(tenants, 1.0 / tenants),
        received=np.zeros(tenants),
        admits=np.ones((1, tenants), np.bool_),
        zone_latency_ms=np.ascontiguousarray(zones, dtype=np.float64),
        feature_names=("runtime:wasm",),
        standing_price=np.zeros((1, len(RESOURCES))),
    )
    return replace(snapshot, standing_price=first_prices(snapshot))
