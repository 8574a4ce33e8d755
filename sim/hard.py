"""Instances with value = limit − cost − latency weight × latency, as kernel problems.

The form in which solvers are compared: three resources, zones, capacities shared by many bids; its
values are not the market's score, so it is cleared by the kernels without a snapshot.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from market.kernels.problem import Problem, in_blocks, single
from market.snapshot import Floats, Indices

Arrays = dict[str, npt.NDArray[Any]]


def hard_arrays(*, bids: int, nodes: int, zones: int, seed: int, round_number: int = 0) -> Arrays:
    """A generated separable instance; other rounds of a seed have the same nodes and new bids.

    Three sizes of node, four of bid, demand 1.3, 1.05 and 0.8 of the capacity of cpu, memory and
    bandwidth, latency and reliability limits; no integer plan comes near its linear relaxation.
    """
    rng = np.random.default_rng(seed)
    place = rng.random((zones, 2))
    latency = 5 + 130 * np.sqrt(((place[:, None] - place[None]) ** 2).sum(-1))
    np.fill_diagonal(latency, 3.0)
    node_zone = np.sort(rng.integers(0, zones, nodes))
    size = rng.choice(3, nodes, p=[0.55, 0.33, 0.12])
    cpu = np.array([4, 12, 48])[size] * rng.uniform(0.7, 1.3, nodes)
    memory = cpu * rng.uniform(0.8, 4, nodes)
    bandwidth = np.array([100, 600, 4000])[size] * rng.uniform(0.5, 1.5, nodes)
    capacity = np.stack([cpu, memory, bandwidth], axis=1)
    reserve = np.array([0.8, 1.0, 1.25])[size] * rng.lognormal(0, 0.3, nodes)
    energy = np.array([1.2, 2.2, 3.5])[size] * rng.lognormal(0, 0.2, nodes)
    price = reserve + 0.12 * energy
    reliability = 1 - 0.25 * rng.beta(1.2, 6, nodes)

    draw = np.random.default_rng((seed, round_number))
    kind = draw.choice(4, bids, p=[0.4, 0.35, 0.2, 0.05])
    cores = np.array([0.5, 1.5, 4, 11])[kind] * draw.uniform(0.5, 1.5, bids)
    wanted_memory = cores * draw.uniform(0.5, 4, bids)
    demand = np.stack([cores, wanted_memory, draw.lognormal(3, 0.8, bids) * np.sqrt(cores)], axis=1)
    capacity *= (demand.sum(0) / np.array([1.3, 1.05, 0.8]) / capacity.sum(0))[None]
    hours = draw.uniform(0.5, 2, bids)
    return {
        "node_capacity": capacity,
        "node_zone": node_zone,
        "node_unit_price": price,
        "node_reliability": reliability,
        "bid_demand": demand,
        "bid_hours": hours,
        "bid_limit": cores * hours * price.mean() * draw.uniform(0.7, 2.6, bids),
        "bid_zone": draw.integers(0, zones, bids),
        "bid_latency_weight": cores * hours * draw.choice([0.0, 0.001, 0.004], bids),
        "bid_latency_max_ms": draw.uniform(15, 90, bids),
        "bid_reliability_min": draw.choice([0, 0.9, 0.95, 0.97], bids, p=[0.3, 0.3, 0.25, 0.15]),
        "zone_latency_ms": latency,
    }


def hard_problem(arrays: Arrays) -> Problem:
    """The problem of arrays named as in ``docs/instances.md``, section "Separable instances"."""
    price = arrays["node_unit_price"]
    zone = arrays["node_zone"].astype(np.int32)
    order, start, block_zone, block_class = in_blocks(zone, np.zeros_like(zone), price)
    bids = len(arrays["bid_limit"])
    work = arrays["bid_demand"][:, 0] * arrays["bid_hours"]
    capacity = arrays["node_capacity"][order].astype(np.float64)
    return Problem(
        node=order,
        capacity=np.ascontiguousarray(capacity),
        feature=single(price[order][None]),
        attribute=single(np.vstack([capacity.T, arrays["node_reliability"][order][None]])),
        unit_price=np.zeros((0, len(order)), np.float32),
        block_start=start,
        block_zone=block_zone,
        block_class=block_class,
        demand=np.ascontiguousarray(arrays["bid_demand"], dtype=np.float64),
        count=np.ones(bids, np.int64),
        base=single(arrays["bid_limit"]),
        slope=single(-work[:, None]),
        near=single(arrays["bid_latency_weight"]),
        horizon=single(np.full(bids, np.inf)),
        latency_max=single(arrays["bid_latency_max_ms"]),
        zone=arrays["bid_zone"].astype(np.int32),
        need=single(np.column_stack([arrays["bid_demand"], arrays["bid_reliability_min"]])),
        money=np.zeros((bids, 0), np.float32),
        bid_class=np.zeros(bids, np.int32),
        compatible=np.ones((1, 1), np.bool_),
        latency=single(arrays["zone_latency_ms"]),
    )


def hard_values(arrays: Arrays, bid: Indices, ask: Indices) -> Floats:
    """(k,) exact value of each pair."""
    work = arrays["bid_demand"][bid, 0] * arrays["bid_hours"][bid]
    latency = arrays["zone_latency_ms"][
        arrays["bid_zone"][bid].astype(int), arrays["node_zone"][ask].astype(int)
    ]
    value: Floats = (
        arrays["bid_limit"][bid]
        - work * arrays["node_unit_price"][ask]
        - arrays["bid_latency_weight"][bid] * latency
    )
    return value


def hard_violations(arrays: Arrays, bid: Indices, ask: Indices) -> int:
    """How many of the matches (one slot each) break a rule, capacities included."""
    value = hard_values(arrays, bid, ask)
    latency = arrays["zone_latency_ms"][
        arrays["bid_zone"][bid].astype(int), arrays["node_zone"][ask].astype(int)
    ]
    broken = (value <= 0) | (latency > arrays["bid_latency_max_ms"][bid])
    broken |= arrays["node_reliability"][ask] < arrays["bid_reliability_min"][bid]
    used = np.zeros_like(arrays["node_capacity"])
    np.add.at(used, ask, arrays["bid_demand"][bid])
    over = (used > arrays["node_capacity"] * (1 + 1e-12)).any(axis=1)
    repeated = len(bid) - len(np.unique(bid))
    return int(broken.sum()) + int(over.sum()) + repeated
