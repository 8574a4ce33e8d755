"""What every solver needs around it, in compiled arrays: candidate pairs, rounding and fill-in."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from market.kernels.compiled import kernel
from market.snapshot import Bools, Floats, Indices, Ints
from sim.hard import Arrays, hard_values

NOWHERE = -1
Order = Indices | Ints


@dataclass(frozen=True, slots=True)
class Pairs:
    """k candidate pairs in rows by bid: row i is ``[start[i], start[i + 1])``, best value first."""

    start: Ints  # (n + 1,)
    bid: Indices  # (k,)
    ask: Indices  # (k,)
    value: Floats  # (k,)


@kernel
def _best(
    bids: tuple[Any, ...], nodes: tuple[Any, ...], width: int, ask: Indices, value: Floats
) -> None:
    """The ``width`` best nodes of each bid into ``ask`` and ``value``, in no order."""
    demand, work, limit, near, latency_max, need, bid_zone, latency = bids
    capacity, price, reliability, by_price, start = nodes
    for i in range(len(ask)):
        held, worst = 0, 0
        for zone in range(len(start) - 1):
            away = latency[bid_zone[i], zone]
            if away > latency_max[i]:
                continue
            for p in range(start[zone], start[zone + 1]):
                j = by_price[p]
                worth = limit[i] - work[i] * price[j] - near[i] * away
                if worth <= (value[i, worst] if held == width else 0.0):
                    break  # the others of the zone cost more
                if reliability[j] < need[i]:
                    continue
                fits = True
                for r in range(demand.shape[1]):
                    fits = fits and demand[i, r] <= capacity[j, r]
                if not fits:
                    continue
                at = held if held < width else worst
                ask[i, at], value[i, at] = j, worth
                held = min(held + 1, width)
                if held == width:
                    worst = int(np.argmin(value[i]))


@kernel
def _place(
    order: Order, bid: Indices, ask: Indices, demand: Floats, left: Floats, where: Indices
) -> None:
    """The pairs of ``order`` one after the other, each if its bid is free and its node has room."""
    for k in order:
        i, j = bid[k], ask[k]
        if where[i] >= 0:
            continue
        fits = True
        for r in range(demand.shape[1]):
            fits = fits and demand[i, r] <= left[j, r]
        if fits:
            where[i] = j
            left[j] -= demand[i]


@kernel
def _fill(
    order: Order,
    bids: tuple[Any, ...],
    nodes: tuple[Any, ...],
    shadow: Floats,
    left: Floats,
    where: Indices,
) -> None:
    """Every free bid of ``order`` where there is room and value less shadow price is highest."""
    demand, work, limit, near, latency_max, need, bid_zone, latency = bids
    _, price, reliability, by_price, start = nodes
    for i in order:
        if where[i] >= 0:
            continue
        best, at = 0.0, -1
        for zone in range(len(start) - 1):
            away = latency[bid_zone[i], zone]
            if away > latency_max[i]:
                continue
            for p in range(start[zone], start[zone + 1]):
                j = by_price[p]
                worth = limit[i] - work[i] * price[j] - near[i] * away
                if worth <= best:
                    break  # the others of the zone cost more
                if reliability[j] < need[i]:
                    continue
                fits = True
                for r in range(demand.shape[1]):
                    fits = fits and demand[i, r] <= left[j, r]
                    worth -= demand[i, r] * shadow[j, r]
                if fits and worth > best:
                    best, at = worth, j
        if at >= 0:
            where[i] = at
            left[at] -= demand[i]


class Market:
    """One separable instance as the compiled functions take it.

    Inside a zone the cheaper node is the better one for every bid: nodes are looked at by price, so
    that few of them are needed to know the best of all.
    """

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        zones = len(arrays["zone_latency_ms"])
        self.demand = np.ascontiguousarray(arrays["bid_demand"], np.float64)
        self.capacity = np.ascontiguousarray(arrays["node_capacity"], np.float64)
        self.bids: tuple[Any, ...] = (
            self.demand,
            self.demand[:, 0] * arrays["bid_hours"],
            arrays["bid_limit"],
            arrays["bid_latency_weight"],
            arrays["bid_latency_max_ms"],
            arrays["bid_reliability_min"].astype(np.float64),
            arrays["bid_zone"].astype(np.int32),
            arrays["zone_latency_ms"],
        )
        self.nodes: tuple[Any, ...] = (
            self.capacity,
            arrays["node_unit_price"],
            arrays["node_reliability"],
            np.lexsort((arrays["node_unit_price"], arrays["node_zone"])).astype(np.int32),
            np.concatenate([[0], np.cumsum(np.bincount(arrays["node_zone"], minlength=zones))]),
        )
        self.nothing = np.zeros_like(self.capacity)

    def candidates(self, width: int) -> Pairs:
        """The ``width`` most valuable feasible nodes of each bid."""
        width = min(width, len(self.capacity))
        ask = np.full((len(self.demand), width), NOWHERE, np.int32)
        value = np.zeros(ask.shape)
        _best(self.bids, self.nodes, width, ask, value)
        order = np.argsort(-value, axis=1)
        ask = np.take_along_axis(ask, order, axis=1)
        value = np.take_along_axis(value, order, axis=1)
        there: Bools = value > 0.0
        start = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
        return Pairs(start, np.nonzero(there)[0].astype(np.int32), ask[there], value[there])

    def density(self, bid: Indices, value: Floats) -> Floats:
        """Value for each unit of size; size is the sum of a bid's shares of all capacity."""
        size: Floats = (self.demand / self.capacity.sum(axis=0)).sum(axis=1)
        return value / size[bid]

    def value(self, bid: Indices, ask: Indices) -> Floats:
        """(k,) exact value of each pair."""
        return hard_values(self.arrays, bid, ask)

    def order(self, pairs: Pairs) -> Ints:
        """All bids, the densest (at the best node of each) first."""
        first = pairs.start[:-1][np.diff(pairs.start) > 0]
        density = np.zeros(len(self.demand))
        density[pairs.bid[first]] = self.density(pairs.bid[first], pairs.value[first])
        return np.argsort(-density)

    def rounded(
        self, pairs: Pairs, order: Order, rest: Order, price: Floats | None = None
    ) -> Indices:
        """(n,) node of each bid: ``order`` of the pairs placed first, then the bids of ``rest``.

        With a ``price`` (m, R) the rest go where value less price is highest, then where any is.
        """
        left = self.capacity.copy()
        where: Indices = np.full(len(self.demand), NOWHERE, np.int32)
        _place(order, pairs.bid, pairs.ask, self.demand, left, where)
        if price is not None:
            _fill(rest, self.bids, self.nodes, price, left, where)
        _fill(rest, self.bids, self.nodes, self.nothing, left, where)
        return where
