"""Small rounds in which a test states only what its case is about."""

from dataclasses import replace
from typing import Any

import numpy as np

from market.plan import Plan
from market.pricing import taken
from market.resources import RESOURCES
from market.snapshot import NO_PLACE, Asks, Bids, Policy, Snapshot

MIB = 1 << 20
GIB = 1 << 30


def demand(*, cpu: int = 0, memory: int = 0, accelerator: int = 0, bandwidth: int = 0) -> list[int]:
    """A row of base units."""
    return [cpu, memory, accelerator, bandwidth]


def make_asks(count: int = 1, **fields: Any) -> Asks:
    """``count`` equal nodes of 4 cores and 4 GiB at 10,000 micros a core-hour; override fields."""
    row = demand(cpu=4_000, memory=4 * GIB, bandwidth=100_000)
    defaults: dict[str, Any] = {
        "ids": tuple(f"node_{j}" for j in range(count)),
        "owners": tuple(f"owner_{j}" for j in range(count)),
        "capacity": np.array([row] * count, dtype=np.int64).reshape(count, 4),
        "total": np.array([row] * count, dtype=np.int64).reshape(count, 4),
        "reserve": np.array([[10_000, 1_000, 0, 0]] * count, dtype=np.int64).reshape(count, 4),
        "cell": np.zeros(count, np.int32),
        "zone": np.zeros(count, np.int32),
        "speed": np.ones(count),
        "reliability": np.full(count, 0.99),
        "idle_milliwatts": np.full(count, 2_000),
        "max_milliwatts": np.full(count, 20_000),
        "carbon_g_per_kwh": np.full(count, np.nan),
        "on_battery": np.zeros(count, np.bool_),
        "hot": np.zeros(count, np.bool_),
        "features": np.ones((count, 1), np.uint64),
        "admission": np.zeros(count, np.int32),
    }
    given = {name: np.asarray(value) for name, value in fields.items()}
    if "capacity" in given and "total" not in given:
        given["total"] = given["capacity"]
    return Asks(**{**defaults, **given})


def make_bids(n: int = 1, /, **fields: Any) -> Bids:
    """``n`` equal bids for one slot of 1 core and 1 GiB, at most 30,000 an hour."""
    row = demand(cpu=1_000, memory=GIB)
    defaults: dict[str, Any] = {
        "ids": tuple(f"demand_{i}" for i in range(n)),
        "tenant": np.zeros(n, np.int32),
        "demand": np.array([row] * n, dtype=np.int64).reshape(n, 4),
        "count": np.ones(n, np.int64),
        "count_min": np.ones(n, np.int64),
        "limit": np.full(n, 30_000, np.int64),
        "duration_ms": np.full(n, 600_000),
        "work_ms": np.zeros(n, np.int64),
        "deadline_ms": np.zeros(n, np.int64),
        "home": np.zeros(n, np.int32),
        "zone": np.full(n, NO_PLACE, np.int32),
        "latency_ms_max": np.full(n, np.inf),
        "reliability_min": np.zeros(n),
        "speed_min": np.zeros(n),
        "required": np.zeros((n, 1), np.uint64),
        "forbidden": np.zeros((n, 1), np.uint64),
    }
    return Bids(**{**defaults, **{name: np.asarray(value) for name, value in fields.items()}})


def make_snapshot(
    bids: Bids | None = None, asks: Asks | None = None, *, tenants: int = 2, **fields: Any
) -> Snapshot:
    """A round of one cell and two zones 50 ms apart."""
    snapshot = Snapshot(
        round_id="round_1",
        cell="cell_0",
        now_ms=0,
        seed=0,
        policy=Policy(),
        resources=tuple(resource.name for resource in RESOURCES),
        priced_units=np.array([resource.priced_unit for resource in RESOURCES], dtype=np.int64),
        bids=make_bids() if bids is None else bids,
        asks=make_asks() if asks is None else asks,
        cells=("cell_0",),
        tenants=tuple(f"tenant_{t}" for t in range(tenants)),
        entitlement=np.full(tenants, 1.0 / tenants),
        received=np.zeros(tenants),
        admits=np.ones((1, tenants), np.bool_),
        zone_latency_ms=np.array([[3.0, 50.0], [50.0, 3.0]]),
        feature_names=("runtime:wasm", "runtime:onnx"),
        standing_price=np.array([[20_000.0, 2_000.0, 0.0, 0.0]]),
    )
    return replace(snapshot, **fields)


def check_plan(snapshot: Snapshot, plan: Plan) -> None:
    """Every rule that any plan of any mechanism keeps."""
    from market import feasible, score

    used = taken(snapshot, plan.bid, plan.ask, plan.count)
    assert (used <= snapshot.asks.capacity).all(), "oversold"
    assert (plan.count > 0).all()
    codes = feasible.refusals(snapshot, plan.bid, plan.ask)
    assert (codes == feasible.FEASIBLE).all(), "a hard constraint was traded"
    assert (plan.reserve_rate <= plan.rate).all(), "an owner gets less than the reserve"
    assert (plan.rate <= snapshot.bids.limit[plan.bid]).all(), "a tenant pays over the limit"
    served = np.bincount(plan.bid, plan.count, minlength=len(snapshot.bids)).astype(int)
    assert (served <= snapshot.bids.count).all(), "more than asked for"
    assert ((served == 0) | (served >= snapshot.bids.count_min)).all(), "a part of an all-or-none"
    for i, loss in enumerate(plan.loss):
        short = served[i] < snapshot.bids.count[i]
        assert short == (loss is not None), f"bid {i} served {served[i]} and loss {loss}"
        assert bool(plan.loss_detail[i]) == short
    value = score.values(snapshot, plan.bid, plan.ask)
    assert np.allclose(plan.score, value, rtol=1e-12, atol=0)
    assert np.isclose(plan.welfare, value @ plan.count, rtol=1e-9)
    assert plan.bound >= plan.welfare
    assert plan.node_price.shape == snapshot.asks.capacity.shape
    assert plan.standing_price.shape == snapshot.standing_price.shape
