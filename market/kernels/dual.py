"""Prices of capacity: the Lagrangian dual of the capacity rows, smoothed and solved on samples.

The plain way, subgradient steps on the hard maximum, swings: all items of a place run to the one
cheapest node. Here each item spreads itself over some nodes by a softmax of reduced value at a
temperature that falls, so demand answers smoothly and Adam-like steps of each price settle in tens
of iterations (smoothing as in Nesterov 2005). Items see a sample of nodes first (prices right in
the large), then their best nodes at those prices beside a new sample (right in the small). What
the sample hides cannot spoil the bound: that comes from the dense scan.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from market.kernels.problem import Layout
from market.kernels.scan import NOWHERE, PARTS
from market.snapshot import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Iterations and, from first to last of them, temperature and step, in units of scale."""

    iterations: int
    warm: float
    cold: float
    step: float
    step_end: float


def price_scale(layout: Layout) -> Floats:
    """(R,) a typical price of one unit of each resource: value over demand, by its scarcity."""
    p = layout.problem
    asked = p.demand.sum(0)
    scarcity = asked / np.maximum(p.capacity.sum(1), 1e-300)
    weight = np.clip(scarcity, 0.02, 2.0) ** 2
    value = 0.6 * np.maximum(p.base, 0).sum()
    scale: Floats = value * weight / weight.sum() / np.maximum(asked, 1e-300)
    return scale


def improve(
    layout: Layout, nodes: Ints, values: Floats, price: Floats, schedule: Schedule
) -> Floats:
    """Prices (R, m) better than ``price`` for items that may go to ``nodes`` (n, width) alone."""
    p = layout.problem
    scale = price_scale(layout)
    unit = max(float(np.maximum(p.base, 0).mean()), 1e-300)
    capacity = np.ascontiguousarray(p.capacity.T)
    now = np.ascontiguousarray(price.T)
    momentum, square, mean = np.zeros_like(now), np.zeros_like(now), np.zeros_like(now)
    averaged = 0
    for step in range(schedule.iterations):
        done = step / max(1, schedule.iterations - 1)
        temperature = unit * schedule.warm * (schedule.cold / schedule.warm) ** done
        rate = schedule.step * (schedule.step_end / schedule.step) ** done
        use = _soft_use(values, nodes, p.demand, now, temperature)
        _adam(now, momentum, square, use, capacity, scale, rate, step + 1)
        if step >= schedule.iterations * 3 // 4:
            mean += now
            averaged += 1
    return np.ascontiguousarray((mean / max(1, averaged)).T) if averaged else price


def sample_nodes(layout: Layout, *, width: int, seed: int) -> Ints:
    """Up to ``width`` feasible nodes of each item, drawn at random (n, width); −1 for none."""
    p = layout.problem
    return _sample_nodes(
        p.base, p.item_factor, p.node_factor, p.latency_weight, p.item_zone, p.latency_max,
        p.zone_latency, p.demand, p.capacity, p.reserve, p.cost_max, p.need, p.attribute,
        p.item_class, p.allowed, layout.start, layout.zone, layout.node_class, width, seed,
    )  # fmt: skip


@njit(cache=True, parallel=True, fastmath=True)
def _soft_use(values, nodes, demand, price, temperature):
    n, width = nodes.shape
    m, resources = price.shape
    use = np.zeros((PARTS, m, resources))
    for part in prange(PARTS):
        reduced = np.empty(width)
        for i in range(part * n // PARTS, (part + 1) * n // PARTS):
            best = 0.0
            for p in range(width):
                j = nodes[i, p]
                reduced[p] = NOWHERE
                if j >= 0:
                    x = values[i, p]
                    for r in range(resources):
                        x -= demand[i, r] * price[j, r]
                    reduced[p] = x
                    best = max(best, x)
            total = np.exp(-best / temperature)
            for p in range(width):
                x = (reduced[p] - best) / temperature
                reduced[p] = np.exp(x) if x > -8.0 else 0.0
                total += reduced[p]
            for p in range(width):
                x = reduced[p] / total
                if x > 1e-3:
                    j = nodes[i, p]
                    for r in range(resources):
                        use[part, j, r] += x * demand[i, r]
    for part in range(1, PARTS):
        use[0] += use[part]
    return use[0]


@njit(cache=True)
def _adam(price, momentum, square, use, capacity, scale, rate, step):
    m, resources = price.shape
    correction = 1 - 0.95**step
    for j in range(m):
        for r in range(resources):
            if capacity[j, r] <= 0:
                slope = 0.0
            else:
                slope = min(max((use[j, r] - capacity[j, r]) / capacity[j, r], -1.0), 3.0)
            momentum[j, r] = 0.8 * momentum[j, r] + 0.2 * slope
            square[j, r] = 0.95 * square[j, r] + 0.05 * slope * slope
            move = momentum[j, r] / (np.sqrt(square[j, r] / correction) + 0.1)
            price[j, r] = max(0.0, price[j, r] + rate * scale[r] * move)


@njit(cache=True, parallel=True)
def _sample_nodes(
    base, item_factor, node_factor, latency_weight, item_zone, latency_max, zone_latency, demand,
    capacity, reserve, cost_max, need, attribute, item_class, allowed, start, group_zone,
    group_class, width, seed,
):  # fmt: skip
    n = base.shape[0]
    groups = group_zone.shape[0]
    nodes = np.full((n, width), -1, np.int64)
    for part in prange(PARTS):
        state = np.uint64(seed * 7919 + part * 104729 + 12345)
        open_group = np.empty(groups, np.int64)
        upto = np.zeros(groups + 1, np.int64)
        for i in range(part * n // PARTS, (part + 1) * n // PARTS):
            count = 0
            for g in range(groups):
                if (
                    zone_latency[item_zone[i], group_zone[g]] <= latency_max[i]
                    and allowed[item_class[i], group_class[g]]
                ):
                    open_group[count] = g
                    upto[count + 1] = upto[count] + start[g + 1] - start[g]
                    count += 1
            if count == 0:
                continue
            found = 0
            for _ in range(4 * width):
                state ^= state << np.uint64(13)
                state ^= state >> np.uint64(7)
                state ^= state << np.uint64(17)
                x = np.int64((state >> np.uint64(11)) % np.uint64(upto[count]))
                low = np.searchsorted(upto[1 : count + 1], x, side="right")
                g = open_group[low]
                j = start[g] + x - upto[low]
                value = base[i] - latency_weight[i] * zone_latency[item_zone[i], group_zone[g]]
                for k in range(node_factor.shape[0]):
                    value -= item_factor[i, k] * node_factor[k, j]
                ok = value > 0
                cost = 0.0
                for r in range(capacity.shape[0]):
                    ok &= demand[i, r] <= capacity[r, j]
                    cost += demand[i, r] * reserve[r, j]
                for q in range(attribute.shape[0]):
                    ok &= attribute[q, j] >= need[i, q]
                if ok and cost <= cost_max[i]:
                    nodes[i, found] = j
                    found += 1
                    if found == width:
                        break
    return nodes
