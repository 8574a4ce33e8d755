"""Supply curves: what a cell tells of its nodes, and the problem that a level above clears on them.

A step of a curve stands for some nodes of one cell, zone and class next to each other in price:
their capacity summed, the largest that one of them has free, the mean of the rest. A cell of at
most ``NODES_TOLD_MAX`` nodes tells each as a step of its own. Measured on instances whose nodes
differ in price, size and reliability, eight nodes to a step lose 4 % of the welfare, while all
nodes together take a third of the bytes of the bids: there is little to be saved.
"""

from dataclasses import dataclass, replace

import numpy as np

from market.hierarchy.messages import FIELDS, PLAIN, BidRows, pack, unpack
from market.kernels.problem import Problem, Singles, in_blocks, single
from market.snapshot import Floats, Indices, Ints

NODES_TOLD_MAX = 2_048  # of one cell: with more, they are told by steps
STEPS_PER_CLASS = 4  # where nodes are summed up: how finely a cell tells its prices


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """m nodes, or steps of nodes, those of one cell next to each other; node-major arrays."""

    cell: Indices  # (m,)
    zone: Indices  # (m,)
    kind: Indices  # (m,)
    capacity: Floats  # (m, R)
    feature: Singles  # (m, K)
    attribute: Singles  # (m, G), the first R of them the largest free on one node
    unit_price: Singles  # (m, R')

    def __len__(self) -> int:
        return len(self.cell)

    def take(self, index: Indices | slice) -> "Ground":
        """The nodes at ``index``."""
        return Ground(**{name: getattr(self, name)[index] for name in Ground.__slots__})

    def tell(self) -> bytes:
        """The message that says all this."""
        names = [name for name, _ in self._columns()]
        kinds = [kind for _, (kind, _) in self._columns()]
        return pack([getattr(self, n).astype(k) for n, k in zip(names, kinds, strict=True)])

    def heard(self, message: bytes) -> "Ground":
        """The nodes of a message; the tables are as wide as those of this ground."""
        columns = unpack(message, [like for _, like in self._columns()])
        cell, zone, kind = (column.astype(np.int32) for column in columns[:3])
        capacity, feature, attribute, unit_price = columns[3:]
        return Ground(
            cell=cell,
            zone=zone,
            kind=kind,
            capacity=capacity,
            feature=feature,
            attribute=attribute,
            unit_price=unit_price,
        )

    def _columns(self) -> list[tuple[str, tuple[str, int]]]:
        singles = ("feature", "attribute", "unit_price")
        return [
            ("cell", ("u2", PLAIN)),
            ("zone", ("u2", PLAIN)),
            ("kind", ("u4", PLAIN)),
            ("capacity", ("f8", self.capacity.shape[1])),
            *((name, ("f4", getattr(self, name).shape[1])) for name in singles),
        ]


def ground_of(problem: Problem, cell: Indices) -> tuple[Ground, Indices]:
    """(all nodes ordered by cell, the caller's index of each); ``cell`` (m,) in caller's order."""
    width = np.diff(problem.block_start)
    zone, kind = np.repeat(problem.block_zone, width), np.repeat(problem.block_class, width)
    order = np.lexsort((np.arange(problem.nodes), kind, zone, cell[problem.node]))
    ground = Ground(
        cell=cell[problem.node][order].astype(np.int32),
        zone=zone[order].astype(np.int32),
        kind=kind[order].astype(np.int32),
        capacity=np.ascontiguousarray(problem.capacity[order]),
        feature=np.ascontiguousarray(problem.feature.T[order]),
        attribute=np.ascontiguousarray(problem.attribute.T[order]),
        unit_price=np.ascontiguousarray(problem.unit_price.T[order]),
    )
    return ground, problem.node[order]


def steps_of(ground: Ground, *, most: int = NODES_TOLD_MAX) -> tuple[Ground, Indices]:
    """(the steps of a ground's cells, the step of each node).

    A cell of more than ``most`` nodes tells at most ``STEPS_PER_CLASS`` steps for each class.
    """
    nodes = np.bincount(ground.cell, minlength=int(ground.cell.max(initial=0)) + 1)
    alone = nodes[ground.cell] <= most
    own = np.where(alone, np.arange(len(ground)), -1)
    groups = np.stack([own, ground.kind, ground.zone, ground.cell], axis=1).astype(np.int32)
    price = (ground.feature * _typical(ground.feature)).sum(axis=1).astype(np.float64)
    order, start, width = cut_into_steps(groups, price)
    step = np.empty(len(ground), np.int32)
    step[order] = np.repeat(np.arange(len(start), dtype=np.int32), width)
    if alone.all():
        return ground.take(order), step
    resources = ground.capacity.shape[1]
    mean = _Means(ground, order, start)
    summed = ground.take(order[start])
    largest = np.maximum.reduceat(ground.attribute[order, :resources], start, axis=0)
    rest = mean.of(ground.attribute[:, resources:])
    return replace(
        summed,
        capacity=np.add.reduceat(ground.capacity[order], start, axis=0),
        feature=mean.of(ground.feature),
        attribute=np.ascontiguousarray(np.concatenate([largest, rest], axis=1)),
        unit_price=mean.of(ground.unit_price),
    ), step


def _typical(feature: Singles) -> Singles:
    """(K,) one over the mean size of each feature, so that none rules the order alone."""
    mean = np.abs(feature).mean(axis=0)
    weight: Singles = np.divide(1.0, mean, out=np.zeros_like(mean), where=mean > 0)
    return weight


class _Means:
    """Means over steps, a node counting by its capacity."""

    def __init__(self, ground: Ground, order: Indices, start: Ints) -> None:
        self.order, self.start = order, start
        scale = np.maximum(ground.capacity.mean(axis=0), 1e-9)
        self.weight = (ground.capacity / scale).mean(axis=1, keepdims=True)[order] + 1e-9
        self.total = np.add.reduceat(self.weight, start, axis=0)

    def of(self, table: Singles) -> Singles:
        """(steps, ·) means of a table (m, ·)."""
        if not table.shape[1]:
            return table[self.order[self.start]]
        summed = np.add.reduceat(table[self.order] * self.weight, self.start, axis=0)
        return single(summed / self.total)


def cut_into_steps(groups: Indices, price: Floats) -> tuple[Indices, Ints, Ints]:
    """(order of the asks, start of each step in it, width of each step).

    ``groups`` (m, k): asks that differ in any column are never in one step. Within a group asks are
    taken in the order of ``price`` (m,) and cut into at most ``STEPS_PER_CLASS`` equal parts.
    """
    order = np.lexsort((price, *groups.T)).astype(np.int32)
    ordered = groups[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = np.flatnonzero(new)
    size = np.diff(np.append(first, len(order)))
    parts = np.minimum(STEPS_PER_CLASS, size)
    group = np.repeat(np.arange(len(first)), parts)
    part = np.arange(len(group)) - np.repeat(np.cumsum(parts) - parts, parts)
    start = first[group] + size[group] * part // parts[group]
    return order, start, np.diff(np.append(start, len(order)))


def problem_on(steps: Ground, bids: BidRows, problem: Problem) -> Problem:
    """The problem of the bids that are known on ``steps``; tables of classes and latency shared."""
    order, start, zone, kind = in_blocks(
        steps.zone, steps.kind, steps.feature[:, 0].astype(np.float64)
    )
    rows = np.flatnonzero(bids.known)
    columns = {name: getattr(bids, name)[rows] for name in FIELDS}
    return replace(
        problem,
        node=order,
        capacity=np.ascontiguousarray(steps.capacity[order]),
        feature=np.ascontiguousarray(steps.feature[order].T),
        attribute=np.ascontiguousarray(steps.attribute[order].T),
        unit_price=np.ascontiguousarray(steps.unit_price[order].T),
        block_start=start,
        block_zone=zone,
        block_class=kind,
        **columns,
    )
