"""Integer assignment of items to nodes: guided greedy, and all or nothing for groups.

An item is one slot of a bid; it may go to the nodes of its bid's candidate list. The state is a
set of arrays that the kernels change in place: the node of each item, what each node has free, and
each node's items as a linked list.
"""

import numpy as np

from market.kernels.compiled import NEVER, kernel
from market.kernels.problem import Singles
from market.snapshot import Floats, Indices


@kernel
def link(item: int, node: int, head: Indices, after: Indices, before: Indices) -> None:
    """Puts ``item`` first in the list of ``node``."""
    first = head[node]
    after[item], before[item] = first, -1
    if first >= 0:
        before[first] = item
    head[node] = item


@kernel
def unlink(item: int, node: int, head: Indices, after: Indices, before: Indices) -> None:
    """Takes ``item`` out of the list of ``node``."""
    left, right = before[item], after[item]
    if left >= 0:
        after[left] = right
    else:
        head[node] = right
    if right >= 0:
        before[right] = left


@kernel
def best_surplus(
    ask: Indices, value: Singles, demand: Floats, price: Singles, surplus: Singles
) -> None:
    """``surplus[i]`` = max_k value − price·demand over the list of bid i (``NEVER`` if empty).

    ``price`` (R, m).
    """
    left = np.empty(ask.shape[1], np.float32)
    for i in range(ask.shape[0]):
        for k in range(ask.shape[1]):
            left[k] = value[i, k]
        for r in range(demand.shape[1]):
            d = np.float32(demand[i, r])
            for k in range(ask.shape[1]):  # what is empty has no value, at whatever price
                left[k] -= price[r, max(ask[i, k], 0)] * d
        best = NEVER
        for k in range(ask.shape[1]):
            best = max(best, left[k])
        surplus[i] = best


@kernel
def insert_greedily(
    order: Indices,
    bid: Indices,
    ask: Indices,
    value: Singles,
    demand: Floats,
    price: Floats,
    free: Floats,
    at: Indices,
    worth: Floats,
    head: Indices,
    after: Indices,
    before: Indices,
) -> None:
    """Each unplaced item, in ``order``, goes to the fitting candidate of highest value − price."""
    resources = demand.shape[1]
    for position in range(order.shape[0]):
        item = order[position]
        if at[item] >= 0:
            continue
        i = bid[item]
        best, chosen = -1e30, -1
        for k in range(ask.shape[1]):
            j = ask[i, k]
            if j < 0:
                break
            left = float(value[i, k])
            fits = True
            for r in range(resources):
                if free[j, r] < demand[i, r]:
                    fits = False
                    break
                left -= price[j, r] * demand[i, r]
            if fits and left > best:
                best, chosen = left, k
        if chosen >= 0:
            j = ask[i, chosen]
            for r in range(resources):
                free[j, r] -= demand[i, r]
            at[item], worth[item] = j, value[i, chosen]
            link(item, j, head, after, before)


@kernel
def take_out(
    item: int,
    bid: Indices,
    demand: Floats,
    free: Floats,
    at: Indices,
    worth: Floats,
    head: Indices,
    after: Indices,
    before: Indices,
) -> None:
    """Frees the place of a placed item."""
    j = at[item]
    unlink(item, j, head, after, before)
    for r in range(demand.shape[1]):
        free[j, r] += demand[bid[item], r]
    at[item], worth[item] = -1, 0.0


@kernel
def settle_groups(
    order: Indices,
    first_item: Indices,
    least: Indices,
    bid: Indices,
    ask: Indices,
    value: Singles,
    demand: Floats,
    price: Floats,
    free: Floats,
    at: Indices,
    worth: Floats,
    head: Indices,
    after: Indices,
    before: Indices,
) -> None:
    """Bids in ``order`` that hold fewer than ``least`` slots get the rest, or nothing at all.

    ``first_item`` (n + 1,): the items of bid i are ``[first_item[i], first_item[i + 1])``.
    """
    one = np.empty(1, np.int32)
    for position in range(order.shape[0]):
        i = order[position]
        placed = 0
        for item in range(first_item[i], first_item[i + 1]):
            one[0] = item
            insert_greedily(
                one, bid, ask, value, demand, price, free, at, worth, head, after, before
            )
            if at[item] >= 0:
                placed += 1
        if placed < least[i]:
            for item in range(first_item[i], first_item[i + 1]):
                if at[item] >= 0:
                    take_out(item, bid, demand, free, at, worth, head, after, before)
