"""Kernels of cells: candidates inside one cell, the best cells of a bid, lots that change cells.

A lot is one slot of a bid. Rows of lots are twice as many as lots: row n + i is lot i as a guest,
offered to a second cell while it keeps its place in the first.
"""

import numpy as np

from market.kernels.compiled import NEVER, kernel
from market.kernels.problem import Singles
from market.kernels.search import link, take_out
from market.snapshot import Bools, Floats, Indices, Ints


@kernel
def candidates_in_cells(
    row: Indices,
    cell: Indices,
    cell_start: Ints,
    node_zone: Indices,
    node_class: Indices,
    feature: Singles,
    attribute: Singles,
    unit_price: Singles,
    price: Floats,
    base: Singles,
    slope: Singles,
    near: Singles,
    horizon: Singles,
    latency_max: Singles,
    zone: Indices,
    need: Singles,
    money: Singles,
    bid_class: Indices,
    compatible: Bools,
    latency: Singles,
    demand: Floats,
    ask: Indices,
    value: Singles,
) -> None:
    """The K best nodes by reduced value of bid ``row[k]`` in ``cell[k]``; −1 where fewer.

    Node arrays are node-major, (m, ·); the nodes of a cell are consecutive. ``ask`` and ``value``
    are (len(row), K), best first; only nodes of positive value are listed.
    """
    wanted = ask.shape[1]
    rank = np.empty(wanted, np.float64)
    for k in range(row.shape[0]):
        i, c = row[k], cell[k]
        found, worst = 0, 0
        for j in range(cell_start[c], cell_start[c + 1]):
            distance = latency[zone[i], node_zone[j]]
            if distance > latency_max[i] or not compatible[bid_class[i], node_class[j]]:
                continue
            able = True
            for g in range(need.shape[1]):
                able = able and attribute[j, g] >= need[i, g]
            spent = np.float32(0.0)
            for r in range(money.shape[1]):
                spent += money[i, r] * unit_price[j, r]
            if not able or spent > np.float32(1.0):
                continue
            worth = base[i] - near[i] * min(distance, horizon[i])
            for f in range(slope.shape[1]):
                worth += slope[i, f] * feature[j, f]
            if worth <= 0:
                continue
            left = float(worth)
            for r in range(demand.shape[1]):
                left -= price[j, r] * demand[i, r]
            if found < wanted:
                rank[found], ask[k, found], value[k, found] = left, j, worth
                found += 1
                if found == wanted:
                    worst = int(np.argmin(rank))
            elif left > rank[worst]:
                rank[worst], ask[k, worst], value[k, worst] = left, j, worth
                worst = int(np.argmin(rank))
        for last in range(1, found):
            left, j, worth = rank[last], ask[k, last], value[k, last]
            at = last
            while at > 0 and rank[at - 1] < left:
                rank[at], ask[k, at], value[k, at] = rank[at - 1], ask[k, at - 1], value[k, at - 1]
                at -= 1
            rank[at], ask[k, at], value[k, at] = left, j, worth
        for at in range(found, wanted):
            ask[k, at], value[k, at] = -1, NEVER


@kernel
def best_cells(
    ask: Indices,
    value: Singles,
    demand: Floats,
    price: Floats,
    cell_of: Indices,
    cell: Indices,
    reduced: Floats,
) -> None:
    """The L cells (n, L) of highest reduced value among the listed steps of each bid, best first.

    ``cell_of`` (steps,) is the cell of each step; −1 where a bid has fewer than L cells.
    """
    kept = cell.shape[1]
    for i in range(ask.shape[0]):
        for at in range(kept):
            cell[i, at], reduced[i, at] = -1, -1e30
        for k in range(ask.shape[1]):
            j = ask[i, k]
            if j < 0:
                break
            left = float(value[i, k])
            for r in range(demand.shape[1]):
                left -= price[j, r] * demand[i, r]
            at = kept - 1
            for known in range(kept):
                if cell[i, known] == cell_of[j]:
                    at = known
            if left <= reduced[i, at]:
                continue
            while at > 0 and reduced[i, at - 1] < left:
                cell[i, at], reduced[i, at] = cell[i, at - 1], reduced[i, at - 1]
                at -= 1
            cell[i, at], reduced[i, at] = cell_of[j], left


@kernel
def leave(
    rows: Indices,
    bid: Indices,
    demand: Floats,
    free: Floats,
    at: Indices,
    worth: Floats,
    head: Indices,
    after: Indices,
    before: Indices,
) -> None:
    """Takes those of ``rows`` that are placed out of their nodes."""
    for k in range(rows.shape[0]):
        if at[rows[k]] >= 0:
            take_out(rows[k], bid, demand, free, at, worth, head, after, before)


@kernel
def adopt(
    lots: Indices,
    reserve: Floats,
    bid: Indices,
    demand: Floats,
    free: Floats,
    at: Indices,
    worth: Floats,
    head: Indices,
    after: Indices,
    before: Indices,
) -> None:
    """Guests become residents on the nodes where they are: row n + i moves to row i."""
    count = at.shape[0] // 2
    for k in range(lots.shape[0]):
        lot = lots[k]
        guest = lot + count
        node, gain = at[guest], worth[guest]
        take_out(guest, bid, demand, free, at, worth, head, after, before)
        for r in range(demand.shape[1]):
            free[node, r] -= demand[bid[lot], r]
        at[lot], worth[lot] = node, gain + reserve[k]
        link(lot, node, head, after, before)
