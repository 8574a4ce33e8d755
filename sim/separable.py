"""Separable instances (docs/instances.md) checked, cleared by the kernels, and their plans told.

Values are exact sums in double precision; what single precision let pass in the search and does not
hold exactly is dropped here, so that whoever checks the plan finds it feasible to the last bit of a
tolerance of 1e-9.
"""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from market.kernels import clearing
from market.snapshot import Bools, Floats, Indices
from sim.hard import Arrays, hard_problem, hard_values
from sim.instance_rules import InvalidInstance

RESOURCES = ("cpu", "memory", "bandwidth")
CARRIED = "carried_price"
CAPACITY_SLACK = 1e-9  # relative: what adding up in another order may change
LARGEST = 1e15
# Columns (0: one number a row), least and most of every array of a node and of a bid.
NODE_ARRAYS: dict[str, tuple[int, float, float]] = {
    "node_capacity": (3, 0.0, LARGEST),
    "node_zone": (0, 0.0, LARGEST),
    "node_unit_price": (0, 0.0, LARGEST),
    "node_reliability": (0, 0.0, 1.0),
}
BID_ARRAYS: dict[str, tuple[int, float, float]] = {
    "bid_demand": (3, 0.0, LARGEST),
    "bid_hours": (0, 0.0, LARGEST),
    "bid_limit": (0, 0.0, LARGEST),
    "bid_zone": (0, 0.0, LARGEST),
    "bid_latency_weight": (0, 0.0, LARGEST),
    "bid_latency_max_ms": (0, 0.0, np.inf),
    "bid_reliability_min": (0, 0.0, 1.0),
}
LATENCY = "zone_latency_ms"


def is_separable(names: list[str]) -> bool:
    """Whether an archive with these entries is meant as a separable instance."""
    return any(name in NODE_ARRAYS or name in BID_ARRAYS for name in names)


def checked(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """``arrays`` as they are if they are an instance; raises ``InvalidInstance``."""
    known = (*NODE_ARRAYS, *BID_ARRAYS, LATENCY)
    for name in arrays:
        if name not in (*known, CARRIED):
            raise InvalidInstance(f"there is no array {name!r}: there are {', '.join(known)}")
    for name in known:
        if name not in arrays:
            raise InvalidInstance(f'"{name}" is missing')
    nodes, bids = len(np.atleast_1d(arrays["node_zone"])), len(np.atleast_1d(arrays["bid_zone"]))
    for table, rows in ((NODE_ARRAYS, nodes), (BID_ARRAYS, bids)):
        for name, (columns, least, most) in table.items():
            shape = (rows, columns) if columns else (rows,)
            _check(name, arrays[name], shape, least, most)
    zones = len(np.atleast_1d(arrays[LATENCY]))
    _check(LATENCY, arrays[LATENCY], (zones, zones), 0.0, 1e9)
    for name in ("node_zone", "bid_zone"):
        if (arrays[name] >= zones).any() or (arrays[name] != np.floor(arrays[name])).any():
            raise InvalidInstance(f'"{name}" must be integers from 0 to {zones - 1}')
    if CARRIED in arrays:
        _check(CARRIED, arrays[CARRIED], (nodes, 3), 0.0, LARGEST)
    return dict(arrays)


def _check(name: str, array: np.ndarray, shape: tuple[int, ...], least: float, most: float) -> None:
    if array.dtype.kind not in "iuf":
        raise InvalidInstance(f'"{name}" must be numbers')
    if array.shape != shape:
        wanted, found = (" × ".join(map(str, size)) for size in (shape, array.shape))
        raise InvalidInstance(f'"{name}" must be {wanted}, it is {found}')
    bad = ~((array >= least) & (array <= most))
    if bad.any():
        at = tuple(int(k) for k in np.argwhere(bad)[0])
        where = "".join(f"[{k}]" for k in at)
        raise InvalidInstance(
            f'"{name}{where}" is {array[at].item()}: it must be from {least:g} to {most:g}'
        )


def clear_separable(
    arrays: Arrays,
    *,
    budget_ms: int,
    seed: int = 0,
    repeatable: bool = False,
    effort: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The plan of checked ``arrays`` as plain values; ``carried_price`` among them is used."""
    started = time.perf_counter()
    problem = hard_problem(arrays)
    build_ms = (time.perf_counter() - started) * 1e3
    solution = clearing.clear(
        problem,
        count_min=np.ones(problem.bids, np.int64),
        budget_ms=budget_ms,
        seed=seed,
        carried=arrays.get(CARRIED),
        repeatable=repeatable,
        effort=effort,
    )
    kept = holding(arrays, solution.bid, solution.ask)
    bid, ask = solution.bid[kept], solution.ask[kept]
    ended = time.perf_counter()
    facts = _facts(arrays, bid, ask, solution.price, solution.bound)
    timings = {name: v for name, v in solution.timings_ms.items() if name.endswith("_ms")}
    timings.pop("total_ms", None)
    searched = {name: v for name, v in solution.timings_ms.items() if not name.endswith("_ms")}
    return facts | {
        "seed": seed,
        "budget_ms": budget_ms,
        "timings_ms": {"build_ms": build_ms, **timings, "round_ms": (ended - started) * 1e3},
        "search": searched,
        "effort": solution.effort,
    }


def holding(arrays: Arrays, bid: Indices, ask: Indices) -> Bools:
    """(k,) which matches hold exactly; of a node that is over-full the least valued go."""
    value = hard_values(arrays, bid, ask)
    near = _latencies(arrays, bid, ask) <= arrays["bid_latency_max_ms"][bid]
    reliable = arrays["node_reliability"][ask] >= arrays["bid_reliability_min"][bid]
    kept: Bools = np.logical_and.reduce([value > 0, near, reliable])
    while True:
        over = np.zeros(len(arrays["node_zone"]), np.bool_)
        for demand, capacity in zip(arrays["bid_demand"].T, arrays["node_capacity"].T, strict=True):
            used = np.bincount(ask[kept], demand[bid[kept]], len(over))
            over |= used > capacity * (1.0 + CAPACITY_SLACK)
        on_over = np.flatnonzero(kept & over[ask])
        if not len(on_over):
            return kept
        kept[on_over[value[on_over].argmin()]] = False


def _latencies(arrays: Arrays, bid: Indices, ask: Indices) -> Floats:
    found: Floats = arrays[LATENCY][
        arrays["bid_zone"][bid].astype(int), arrays["node_zone"][ask].astype(int)
    ]
    return found


def _facts(
    arrays: Arrays, bid: Indices, ask: Indices, price: Floats, bound: float
) -> dict[str, Any]:
    """Matches, prices and worth of a plan.

    A winner pays what the owner asks and the rent of what it takes at the node's shadow prices, but
    no more than leaves it as well off as without a place.
    """
    value = hard_values(arrays, bid, ask)
    demand = arrays["bid_demand"][bid].astype(np.float64)
    cost = demand[:, 0] * arrays["bid_hours"][bid] * arrays["node_unit_price"][ask]
    rent = np.einsum("kr,kr->k", demand, price[ask])
    payment = cost + np.minimum(rent, value)
    welfare = float(value.sum())
    bound = max(bound, welfare)
    asked, offered = arrays["bid_demand"].sum(axis=0), arrays["node_capacity"].sum(axis=0)
    shares = {
        "demand_served": demand.sum(axis=0) / np.where(asked > 0, asked, np.inf),
        "capacity_used": demand.sum(axis=0) / np.where(offered > 0, offered, np.inf),
    }
    digest = hashlib.sha256()
    for part in (bid.astype("<i4"), ask.astype("<i4")):
        digest.update(part.tobytes())
    return {
        "mechanism": "hierarchical",
        "bids": len(arrays["bid_limit"]),
        "nodes": len(arrays["node_zone"]),
        "welfare": welfare,
        "bound": bound,
        "gap": 1.0 - welfare / bound if bound > 0 else 0.0,
        "digest": digest.hexdigest(),
        **{
            name: dict(zip(RESOURCES, share.tolist(), strict=True))
            for name, share in shares.items()
        },
        "revenue": float(payment.sum()),
        "matches": [
            {"bid": i, "ask": j, "count": 1, "value": v, "cost": c, "payment": p}
            for i, j, v, c, p in zip(
                bid.tolist(), ask.tolist(), value.tolist(), cost.tolist(), payment.tolist(),
                strict=True,
            )
        ],
        "shadow_price": price.tolist(),
    }  # fmt: skip
