"""The dense scan: for each item the nodes of greatest reduced value v_ij − Σ_r λ_rj · d_ir.

Every feasible pair is looked at (groups whose best conceivable pair is too poor are passed over by
a bound on their extremes), so the greatest reduced value of each item is exact and gives the
Lagrangian bound for the whole problem. Inner loops run over the nodes of one group, contiguous in
memory, one factor at a time: compilers turn each into vector instructions.
"""

import numpy as np
from numba import njit, prange

from market.kernels.problem import Layout
from market.snapshot import Floats, Ints

NOWHERE = -1e300
PARTS = 2  # of the items, worked in parallel; fixed, so that results do not depend on the machine


def best_nodes(
    layout: Layout, price: Floats, *, width: int, share: int = 1, salt: int = 0
) -> tuple[Ints, Floats]:
    """The ``width`` best nodes of each item at ``price`` (R, m).

    With ``share`` > 1 each item looks only at one stretch in ``share`` of each group's nodes, drawn
    by ``salt``: a quick and varied sample. Returns nodes (n, width), −1 where there are fewer, and
    the reduced values (n, width), best first.
    """
    p = layout.problem
    return _best_nodes(
        p.base, p.item_factor, p.node_factor, p.latency_weight, p.item_zone, p.latency_max,
        p.zone_latency, p.demand, p.capacity, p.reserve, p.cost_max, p.need, p.attribute,
        p.item_class, p.allowed, layout.start, layout.zone, layout.node_class, layout.factor_min,
        layout.capacity_min, layout.capacity_max, layout.attribute_min, layout.attribute_max,
        price, _per_group_min(price, layout.start), width, share, salt,
    )  # fmt: skip


def lagrangian_bound(layout: Layout, price: Floats, best: Floats) -> float:
    """Σ_i max(0, best reduced value_i) + Σ λ·c: no plan has more, for any price ≥ 0.

    A relative 1e-9 covers rounding.
    """
    total = float(np.maximum(best, 0.0).sum() + (price * layout.problem.capacity).sum())
    return total * (1 + 1e-9)


def pair_values(layout: Layout, nodes: Ints) -> Floats:
    """The values v_ij of each item's listed nodes (n, width); ``NOWHERE`` for −1."""
    p = layout.problem
    return _pair_values(
        p.base, p.item_factor, p.node_factor, p.latency_weight, p.item_zone, p.zone_latency,
        p.node_zone, nodes,
    )  # fmt: skip


def _per_group_min(price: Floats, start: Ints) -> Floats:
    reduced: Floats = np.minimum.reduceat(price, start[:-1], axis=1)
    return np.ascontiguousarray(reduced)


@njit(cache=True, parallel=True, fastmath={"contract", "nsz", "reassoc", "arcp"})
def _best_nodes(
    base, item_factor, node_factor, latency_weight, item_zone, latency_max, zone_latency, demand,
    capacity, reserve, cost_max, need, attribute, item_class, allowed, start, group_zone,
    group_class, factor_min, capacity_min, capacity_max, attribute_min, attribute_max, price,
    price_min, width, share, salt,
):  # fmt: skip
    n = base.shape[0]
    factors = node_factor.shape[0]
    resources = capacity.shape[0]
    attributes = attribute.shape[0]
    groups = group_zone.shape[0]
    widest = 0
    for g in range(groups):
        widest = max(widest, start[g + 1] - start[g])
    nodes = np.full((n, width), -1, np.int64)
    values = np.full((n, width), NOWHERE)
    for part in prange(PARTS):
        buffer = np.empty(widest)
        cost = np.empty(widest)
        for i in range(part * n // PARTS, (part + 1) * n // PARTS):
            row = nodes[i]
            row_value = values[i]
            found = 0
            least = NOWHERE
            hashed = np.int64(i) * 2654435761 + salt
            for g in range(groups):
                latency = zone_latency[item_zone[i], group_zone[g]]
                if latency > latency_max[i] or not allowed[item_class[i], group_class[g]]:
                    continue
                fits = True
                for r in range(resources):
                    fits &= demand[i, r] <= capacity_max[r, g]
                for q in range(attributes):
                    fits &= need[i, q] <= attribute_max[q, g]
                if not fits:
                    continue
                top = base[i] - latency_weight[i] * latency
                most = top
                for k in range(factors):
                    most -= item_factor[i, k] * factor_min[k, g]
                if most <= 0:
                    continue
                for r in range(resources):
                    most -= demand[i, r] * price_min[r, g]
                if most <= least:
                    continue
                first = start[g]
                size = start[g + 1] - first
                if share > 1:
                    hashed = (hashed * 1103515245 + 12345) & 0x7FFFFFFF
                    stretch = (hashed >> 8) % share
                    last = first + size * (stretch + 1) // share
                    first += size * stretch // share
                    size = last - first
                    if size == 0:
                        continue
                for j in range(size):
                    buffer[j] = top
                for k in range(factors):
                    x = item_factor[i, k]
                    if x != 0:
                        for j in range(size):
                            buffer[j] -= x * node_factor[k, first + j]
                for j in range(size):
                    buffer[j] = buffer[j] if buffer[j] > 0 else NOWHERE
                for r in range(resources):
                    x = demand[i, r]
                    if x == 0:
                        continue
                    if x <= capacity_min[r, g]:
                        for j in range(size):
                            buffer[j] -= x * price[r, first + j]
                    else:
                        for j in range(size):
                            buffer[j] = (
                                buffer[j] - x * price[r, first + j]
                                if x <= capacity[r, first + j]
                                else NOWHERE
                            )
                for q in range(attributes):
                    x = need[i, q]
                    if x > attribute_min[q, g]:
                        for j in range(size):
                            buffer[j] = buffer[j] if attribute[q, first + j] >= x else NOWHERE
                if cost_max[i] < np.inf:
                    for j in range(size):
                        cost[j] = 0.0
                    for r in range(resources):
                        for j in range(size):
                            cost[j] += demand[i, r] * reserve[r, first + j]
                    for j in range(size):
                        buffer[j] = buffer[j] if cost[j] <= cost_max[i] else NOWHERE
                best = NOWHERE
                for j in range(size):
                    best = max(best, buffer[j])
                if best <= least:
                    continue
                for j in range(size):
                    x = buffer[j]
                    if x > least:
                        p = min(found, width - 1)
                        while p > 0 and row_value[p - 1] < x:
                            row_value[p] = row_value[p - 1]
                            row[p] = row[p - 1]
                            p -= 1
                        row_value[p] = x
                        row[p] = first + j
                        found = min(found + 1, width)
                        if found == width:
                            least = row_value[width - 1]
            for p in range(found):
                if row_value[p] < NOWHERE / 2:
                    row[p] = -1
                    row_value[p] = NOWHERE
    return nodes, values


@njit(cache=True, parallel=True)
def _pair_values(
    base, item_factor, node_factor, latency_weight, item_zone, zone_latency, node_zone, nodes
):
    n, width = nodes.shape
    values = np.full((n, width), NOWHERE)
    for part in prange(PARTS):
        for i in range(part * n // PARTS, (part + 1) * n // PARTS):
            for p in range(width):
                j = nodes[i, p]
                if j < 0:
                    continue
                x = base[i] - latency_weight[i] * zone_latency[item_zone[i], node_zone[j]]
                for k in range(node_factor.shape[0]):
                    x -= item_factor[i, k] * node_factor[k, j]
                values[i, p] = x
    return values
