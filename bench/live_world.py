"""A market over time as rows of the platform: places, nodes, and demands that come and go."""

from dataclasses import dataclass, replace

import numpy as np
import orjson

from broker.services.snapshots import REFERENCE_OPS_PER_S, RELIABILITY_PRIOR
from db.control.rounds import AskRow, BidRow, CellRow
from market.snapshot import Asks, Bids, Floats, Ints
from sim.generators import FEATURES, random_snapshot

AMD64, ONNX = (1 << FEATURES.index(name) for name in ("arch:amd64", "runtime:onnx"))
KINDS = 6_000  # of demands, from which those that come are drawn
TENANTS = tuple(f"tenant_{k}" for k in range(5))
SPAN_DEGREES = 36.0  # of the square in which cells lie: up to 85 ms from each other
CELLS_DIFFER = 0.3  # σ of ln price between cells
HOMES_DIFFER = 0.6  # σ of ln demand between cells
# Generated demands are for fewer and larger nodes; accelerators, which a fifth of the nodes have,
# would make a few demands worth more than all others, and the figures noisy.
SCALE = np.array([0.6, 0.6, 0.0, 0.6])
ATTEMPTS = 1_000.0  # on record with each node


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What there is, and what may be asked for."""

    places: list[CellRow]
    asks: list[AskRow]
    kinds: list[BidRow]
    capacity: Ints  # (m, R)


def generate(*, cells: int, nodes: int, seed: int) -> World:
    """``nodes`` in each of ``cells`` cells, which differ in price and in demand."""
    rng = np.random.default_rng(seed)
    spots = rng.uniform(0.0, SPAN_DEGREES, (cells, 2)).tolist()
    places = [CellRow(f"cell_{c:03d}", *spot) for c, spot in enumerate(spots)]
    found = random_snapshot(
        bids=KINDS, asks=cells * nodes, seed=seed, zones=cells, cells=cells, load=np.inf
    )
    dear = rng.lognormal(0.0, CELLS_DIFFER, cells)
    busy = rng.lognormal(0.0, HOMES_DIFFER, cells)
    homes = rng.choice(cells, KINDS, p=busy / busy.sum())
    bids = replace(
        found.bids,
        demand=(found.bids.demand * SCALE).astype(np.int64),
        limit=np.maximum(found.bids.limit * SCALE[0], 1).astype(np.int64),
    )
    sells = found.asks
    return World(
        places=places,
        asks=[_ask(sells, j, places[j % cells].id, dear[j % cells]) for j in range(len(sells))],
        kinds=[_bid(bids, i, places[homes[i]].id) for i in range(KINDS)],
        capacity=sells.total,
    )


def _ask(asks: Asks, j: int, cell: str, dear: float) -> AskRow:
    features = int(asks.features[j, 0])
    runtimes = {"wasm": "1"} | ({"onnx": "1"} if features & ONNX else {})
    carbon = float(asks.carbon_g_per_kwh[j])
    good, every = RELIABILITY_PRIOR
    return AskRow(
        node=asks.ids[j],
        owner=asks.owners[j],
        cell=cell,
        arch="amd64" if features & AMD64 else "arm64",
        labels="{}",
        runtimes=orjson.dumps(runtimes).decode(),
        ops_per_s=int(asks.speed[j] * REFERENCE_OPS_PER_S),
        reliability_good=float(asks.reliability[j]) * (ATTEMPTS + every) - good,
        reliability_all=ATTEMPTS,
        idle_milliwatts=int(asks.idle_milliwatts[j]),
        max_milliwatts=int(asks.max_milliwatts[j]),
        carbon_g_per_kwh=None if np.isnan(carbon) else int(carbon),
        on_battery=bool(asks.on_battery[j]),
        temperature_millicelsius=85_000 if asks.hot[j] else None,
        accepts="[]",
        refuses=orjson.dumps([TENANTS[-1]] if asks.admission[j] else []).decode(),
        capacity=tuple(asks.total[j].tolist()),
        reserve=tuple(np.maximum(asks.reserve[j] * dear, 1).astype(np.int64).tolist()),
        leased=(0,) * asks.total.shape[1],
    )


def _bid(bids: Bids, i: int, home: str) -> BidRow:
    required, latency = int(bids.required[i, 0]), float(bids.latency_ms_max[i])
    needs = {
        "kind": "onnx" if required & ONNX else "wasm",
        "constraints": {"arch": ["amd64"]} if required & AMD64 else {},
        "qos": {
            "latency_ms_max": latency if np.isfinite(latency) else 0,
            "reliability_min": float(bids.reliability_min[i]),
            "speed_min": float(bids.speed_min[i]),
            "deadline_ms": int(bids.deadline_ms[i]),
            "work_ms": int(bids.work_ms[i]),
        },
    }
    return BidRow(
        demand=bids.ids[i],
        account=TENANTS[bids.tenant[i]],
        home_cell=home,
        slots=int(bids.count[i]),
        slots_min=1,
        limit_micros_per_hour=int(bids.limit[i]),
        duration_ms=int(bids.duration_ms[i]),
        created_ms=0,
        needs=orjson.dumps(needs).decode(),
        resources=tuple(bids.demand[i].tolist()),
    )


def asked(kinds: list[BidRow]) -> Floats:
    """(R,) mean of what a demand asks for, times the hours that it asks for it."""
    each = [np.array(bid.resources) * bid.slots * bid.duration_ms / 3.6e6 for bid in kinds]
    mean: Floats = np.array(each, dtype=np.float64).mean(axis=0)
    return mean
