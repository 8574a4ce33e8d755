"""Improvement of a placement by insertion and ejection at falling temperature."""

import numpy as np
import numpy.typing as npt

from market.kernels.chance import Words, below, unit
from market.kernels.compiled import kernel
from market.kernels.problem import Singles
from market.kernels.search import link, unlink
from market.snapshot import Floats, Indices

PAIRS_EJECTED_MAX = 24  # a node with more items is searched for single ejections only
IDLE_SHARE = 0.75  # of the proposals are for items that have no place


@kernel
def anneal(
    moves: int,
    items: Indices,
    part: npt.NDArray[np.int8],
    mine: int,
    heat: float,
    state: Words,
    bid: Indices,
    ask: Indices,
    value: Singles,
    width: Indices,
    demand: Floats,
    free: Floats,
    at: Indices,
    worth: Floats,
    head: Indices,
    after: Indices,
    before: Indices,
    idle: Indices,
    idle_at: Indices,
) -> None:
    """``moves`` proposals: put an item on one of its candidates, ejecting up to two others.

    Items without a place are drawn most, candidates by the square of an even draw: lists are best
    first. Only items of ``items`` and nodes with ``part[j] == mine`` are touched, so that threads
    with other parts run beside it. A move is taken when its gain is above ``heat · ln(uniform)``
    (threshold form of Metropolis). ``idle`` has room for all ``items``; ``idle_at`` is the place in
    it of each item.
    """
    resources = demand.shape[1]
    if items.shape[0] == 0:
        return
    idlers = 0
    for x in range(items.shape[0]):
        if at[items[x]] < 0:
            idle[idlers], idle_at[items[x]] = items[x], idlers
            idlers += 1
    short = np.empty(resources)
    members = np.empty(PAIRS_EJECTED_MAX, np.int64)
    for _ in range(moves):
        if idlers > 0 and unit(state) < IDLE_SHARE:
            item = idle[below(state, idlers)]
        else:
            item = items[below(state, items.shape[0])]
        i = bid[item]
        if width[i] == 0:
            continue
        even = unit(state)
        k = int(even * even * width[i])
        j = ask[i, k]
        old = at[item]
        if j == old or part[j] != mine:
            continue
        gain = value[i, k] - worth[item]
        threshold = heat * np.log(unit(state) + 1e-12)
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
                cost = worth[other]
                if enough and cost < loss:
                    loss, out = cost, other
                if known < PAIRS_EJECTED_MAX:
                    members[known] = other
                    known += 1
                other = after[other]
            if known < PAIRS_EJECTED_MAX:
                for p in range(known):
                    one = bid[members[p]]
                    cost_one = worth[members[p]]
                    for q in range(p):
                        cost = cost_one + worth[members[q]]
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
                at[loser], worth[loser] = -1, 0.0
                idle[idlers], idle_at[loser] = loser, idlers
                idlers += 1
        if old < 0:
            idlers -= 1
            last = idle[idlers]
            idle[idle_at[item]], idle_at[last] = last, idle_at[item]
        else:
            unlink(item, old, head, after, before)
            for r in range(resources):
                free[old, r] += demand[i, r]
        at[item], worth[item] = j, value[i, k]
        link(item, j, head, after, before)
        for r in range(resources):
            free[j, r] -= demand[i, r]
