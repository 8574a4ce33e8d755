"""The assignment problem that a round comes down to, laid out for vector instructions.

n items (slots of bids), m nodes, R resources, K value factors, Q attributes, Z zones:

    maximise   Σ v_ij · x_ij,   x_ij ∈ {0, 1}
    subject to Σ_j x_ij ≤ 1,    Σ_i d_ir · x_ij ≤ c_jr,    x_ij = 0 where (i, j) is infeasible
    value      v_ij = base_i − Σ_k item_factor_ik · node_factor_kj − w_i · latency(zone_i, zone_j)

A pair is feasible when its value is positive, the latency is within the item's maximum, each
attribute of the node is at least what the item needs, the node's class is allowed to the item's
class, one item fits the empty node, and its cost Σ_r d_ir · reserve_rj is within the item's maximum.
"""

from dataclasses import dataclass

import numpy as np

from market.snapshot import Bools, Floats, Indices, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One instance. Factors, weights and demands are ≥ 0; node arrays are (.., m), contiguous."""

    base: Floats  # (n,)
    item_factor: Floats  # (n, K)
    node_factor: Floats  # (K, m)
    latency_weight: Floats  # (n,)
    item_zone: Indices  # (n,), 0 where latency does not matter
    latency_max: Floats  # (n,)
    zone_latency: Floats  # (Z, Z)
    demand: Floats  # (n, R)
    capacity: Floats  # (R, m)
    reserve: Floats  # (R, m) cost of one base unit
    cost_max: Floats  # (n,) inf: no maximum
    need: Floats  # (n, Q)
    attribute: Floats  # (Q, m)
    item_class: Indices  # (n,)
    node_class: Indices  # (m,)
    allowed: Bools  # (item classes, node classes)
    node_zone: Indices  # (m,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The problem's nodes sorted into groups of one zone and class, with each group's extremes.

    Within a group the order is shuffled, so that any stretch of it is a fair sample.
    """

    problem: Problem  # with its node arrays in the new order
    order: Ints  # (m,) new position → old index
    start: Ints  # (G + 1,) first node of each group
    zone: Indices  # (G,)
    node_class: Indices  # (G,)
    factor_min: Floats  # (K, G)
    capacity_min: Floats  # (R, G)
    capacity_max: Floats  # (R, G)
    attribute_min: Floats  # (Q, G)
    attribute_max: Floats  # (Q, G)
    group_of: Ints  # (m,)


def lay_out(problem: Problem, *, seed: int) -> Layout:
    """Sort the nodes by zone and class, shuffled within."""
    m = problem.capacity.shape[1]
    shuffle = np.random.default_rng(seed).permutation(m)
    key = problem.node_zone[shuffle].astype(np.int64) * (1 << 32) + problem.node_class[shuffle]
    by_key = np.argsort(key, kind="stable")
    order = shuffle[by_key]
    sorted_key = key[by_key]
    first = (
        np.flatnonzero(np.r_[True, sorted_key[1:] != sorted_key[:-1]]) if m else np.zeros(0, int)
    )
    start = np.r_[first, m].astype(np.int64)
    nodes = _reordered(problem, order)
    return Layout(
        problem=nodes,
        order=order,
        start=start,
        zone=nodes.node_zone[first],
        node_class=nodes.node_class[first],
        factor_min=_per_group(np.minimum, nodes.node_factor, first),
        capacity_min=_per_group(np.minimum, nodes.capacity, first),
        capacity_max=_per_group(np.maximum, nodes.capacity, first),
        attribute_min=_per_group(np.minimum, nodes.attribute, first),
        attribute_max=_per_group(np.maximum, nodes.attribute, first),
        group_of=np.repeat(np.arange(len(first)), np.diff(start)),
    )


def _reordered(problem: Problem, order: Ints) -> Problem:
    return Problem(
        base=problem.base,
        item_factor=np.ascontiguousarray(problem.item_factor),
        node_factor=np.ascontiguousarray(problem.node_factor[:, order]),
        latency_weight=problem.latency_weight,
        item_zone=problem.item_zone,
        latency_max=problem.latency_max,
        zone_latency=np.ascontiguousarray(problem.zone_latency),
        demand=np.ascontiguousarray(problem.demand),
        capacity=np.ascontiguousarray(problem.capacity[:, order]),
        reserve=np.ascontiguousarray(problem.reserve[:, order]),
        cost_max=problem.cost_max,
        need=np.ascontiguousarray(problem.need),
        attribute=np.ascontiguousarray(problem.attribute[:, order]),
        item_class=problem.item_class,
        node_class=np.ascontiguousarray(problem.node_class[order]),
        allowed=np.ascontiguousarray(problem.allowed),
        node_zone=np.ascontiguousarray(problem.node_zone[order]),
    )


def _per_group(extreme: np.ufunc, values: Floats, first: Ints) -> Floats:
    if values.shape[0] == 0 or len(first) == 0:
        return np.zeros((values.shape[0], len(first)))
    reduced: Floats = extreme.reduceat(values, first, axis=1)
    return np.ascontiguousarray(reduced)
