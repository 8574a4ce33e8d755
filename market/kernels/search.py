"""Integer assignment of items to nodes: guided greedy, and annealing by insertion and ejection.

An item is one slot of a bid; it may go to the nodes of its bid's candidate list. The state is a
set of arrays that the kernels change in place: the node of each item, what each node has free, and
each node's items as a linked list.
"""

import numpy as np
import numpy.typing as npt

from market.kernels.compiled import kernel
from market.kernels.problem import Singles
from market.snapshot import Floats, Indices

PAIRS_EJECTED_MAX = 24  # a node with more items is searched for single ejections only
Words = npt.NDArray[np.uint64]


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
    low: int,
    high: int,
    ask: Indices,
    value: Singles,
    demand: Floats,
    price: Floats,
    surplus: Floats,
) -> None:
    """``surplus[i]`` = max_k value − price·demand over the list of bid i (−1e30 if empty)."""
    for i in range(low, high):
        best = -1e30
        for k in range(ask.shape[1]):
            j = ask[i, k]
            if j < 0:
                break
            left = float(value[i, k])
            for r in range(demand.shape[1]):
                left -= price[j, r] * demand[i, r]
            best = max(best, left)
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
def random_word(state: Words) -> np.uint64:
    """xorshift64 (Marsaglia 2003)."""
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return x


@kernel
def anneal(
    moves: int,
    items: Indices,
    part: npt.NDArray[np.int8],
    mine: int,
    heat: float,
    bias: float,
    state: Words,
    bid: Indices,
    ask: Indices,
    value: Singles,
    width: Indices,
    demand: Floats,
    price: Floats,
    free: Floats,
    at: Indices,
    worth: Floats,
    held: Floats,
    head: Indices,
    after: Indices,
    before: Indices,
) -> None:
    """``moves`` proposals: put a random item on a random candidate, ejecting up to two others.

    Only items of ``items`` and nodes with ``part[j] == mine`` are touched, so that threads with
    other parts run beside it. A move is taken when the gain, with ``bias`` times the price of the
    space taken and freed counted in, is above ``heat · ln(uniform)`` (threshold form of
    Metropolis). ``held`` is the priced space of each placed item.
    """
    resources = demand.shape[1]
    if items.shape[0] == 0:
        return
    scale = 1.0 / 9007199254740992.0
    short = np.empty(resources)
    members = np.empty(PAIRS_EJECTED_MAX, np.int64)
    for _ in range(moves):
        item = items[random_word(state) % np.uint64(items.shape[0])]
        i = bid[item]
        if width[i] == 0:
            continue
        k = np.int64(random_word(state) % np.uint64(width[i]))
        j = ask[i, k]
        old = at[item]
        if j == old or part[j] != mine:
            continue
        space = 0.0
        for r in range(resources):
            space += price[j, r] * demand[i, r]
        gain = value[i, k] - bias * space - (worth[item] - bias * held[item])
        uniform = float(random_word(state) >> np.uint64(11)) * scale
        threshold = heat * np.log(uniform + 1e-12)
        if gain < threshold:
            continue
        full = False
        for r in range(resources):
            short[r] = demand[i, r] - free[j, r]
            full = full or short[r] > 0
        out, out_too = -1, -1
        if full:
            loss = 1e30
            known = 0
            other = head[j]
            while other >= 0:
                o = bid[other]
                enough = True
                for r in range(resources):
                    if demand[o, r] < short[r]:
                        enough = False
                        break
                cost = worth[other] - bias * held[other]
                if enough and cost < loss:
                    loss, out = cost, other
                if known < PAIRS_EJECTED_MAX:
                    members[known] = other
                    known += 1
                other = after[other]
            if known < PAIRS_EJECTED_MAX:
                for p in range(known):
                    one = bid[members[p]]
                    cost_one = worth[members[p]] - bias * held[members[p]]
                    for q in range(p):
                        cost = cost_one + worth[members[q]] - bias * held[members[q]]
                        if cost >= loss:
                            continue
                        two = bid[members[q]]
                        enough = True
                        for r in range(resources):
                            if demand[one, r] + demand[two, r] < short[r]:
                                enough = False
                                break
                        if enough:
                            loss, out, out_too = cost, members[p], members[q]
            if out < 0 or gain - loss < threshold:
                continue
        for loser in (out, out_too):
            if loser >= 0:
                unlink(loser, j, head, after, before)
                for r in range(resources):
                    free[j, r] += demand[bid[loser], r]
                at[loser], worth[loser], held[loser] = -1, 0.0, 0.0
        if old >= 0:
            unlink(item, old, head, after, before)
            for r in range(resources):
                free[old, r] += demand[i, r]
        at[item], worth[item], held[item] = j, value[i, k], space
        link(item, j, head, after, before)
        for r in range(resources):
            free[j, r] -= demand[i, r]


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
