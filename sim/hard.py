"""Instances with value = limit − cost − latency weight × latency, as kernel problems.

The form in which solvers are compared: three resources, zones, capacities shared by many bids; its
values are not the market's score, so it is cleared by the kernels without a snapshot.
"""

import numpy as np
import numpy.typing as npt

from market.kernels.problem import Problem, in_blocks, single
from market.snapshot import Floats, Indices

Arrays = dict[str, npt.NDArray[np.float64]]


def hard_problem(arrays: Arrays) -> Problem:
    """The problem of arrays named as in ``docs/instances.md``, section "Separable instances"."""
    price = arrays["node_unit_price"]
    zone = arrays["node_zone"].astype(np.int32)
    order, start, block_zone, block_class = in_blocks(zone, np.zeros_like(zone), price)
    bids = len(arrays["bid_limit"])
    # A bid may only go where its value is positive; the smallest price is the best case.
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
