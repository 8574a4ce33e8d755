"""Local search: simulated annealing over single placements that eject whom they displace.

A move puts one item on one of its nodes and ejects, cheapest by what it frees, as many as must go;
those wait among the unplaced, from which the next moves are drawn first. A move costs a fraction of
a microsecond, so millions fit a round's budget. Two halves of the nodes are worked in parallel:
an item belongs to the half of its node (an unplaced one to either by turns), and a chunk touches
its own half alone; between chunks the halves are drawn anew.
"""

import numpy as np
from numba import njit, prange

from market.kernels.scan import PARTS
from market.snapshot import Floats, Ints

EJECTED_MAX = 8
_U = np.uint64


@njit(cache=True)
def residents(at, m):
    """Linked lists of the items on each node: ``(head (m,), after (n,), before (n,))``."""
    n = at.shape[0]
    head = np.full(m, -1, np.int64)
    after = np.full(n, -1, np.int64)
    before = np.full(n, -1, np.int64)
    for i in range(n):
        j = at[i]
        if j >= 0:
            after[i] = head[j]
            if head[j] >= 0:
                before[head[j]] = i
            head[j] = i
    return head, after, before


@njit(cache=True)
def _random(state):
    x = state[0]
    x ^= x << _U(13)
    x ^= x >> _U(7)
    x ^= x << _U(17)
    state[0] = x
    return x >> _U(11)


@njit(cache=True)
def _unit(state):
    return _random(state) * (1.0 / 9007199254740992.0)


@njit(cache=True)
def _leave(i, at, head, after, before, free, demand):
    j = at[i]
    if before[i] >= 0:
        after[before[i]] = after[i]
    else:
        head[j] = after[i]
    if after[i] >= 0:
        before[after[i]] = before[i]
    after[i] = -1
    before[i] = -1
    at[i] = -1
    for r in range(demand.shape[1]):
        free[j, r] += demand[i, r]


@njit(cache=True)
def _enter(i, j, at, head, after, before, free, demand):
    after[i] = head[j]
    if head[j] >= 0:
        before[head[j]] = i
    head[j] = i
    at[i] = j
    for r in range(demand.shape[1]):
        free[j, r] -= demand[i, r]


@njit(cache=True)
def _eject_plan(i, j, head, after, free, demand, worth, ejected):
    """Whom ``i`` displaces on ``j``: ``(how many, their worth)``, (−1, 0) if it cannot fit."""
    resources = demand.shape[1]
    lack = np.empty(resources)
    short = False
    for r in range(resources):
        lack[r] = demand[i, r] - free[j, r]
        short |= lack[r] > 0
    count = 0
    lost = 0.0
    while short:
        if count == EJECTED_MAX:
            return -1, 0.0
        chosen = -1
        least = np.inf
        e = head[j]
        while e >= 0:
            taken = False
            for c in range(count):
                taken |= ejected[c] == e
            if not taken:
                help_ = 0.0
                for r in range(resources):
                    if lack[r] > 0:
                        help_ += min(demand[e, r] / lack[r], 1.0)
                if help_ > 0 and worth[e] < least * help_:
                    least = worth[e] / help_
                    chosen = e
            e = after[e]
        if chosen < 0:
            return -1, 0.0
        ejected[count] = chosen
        count += 1
        lost += worth[chosen]
        short = False
        for r in range(resources):
            lack[r] -= demand[chosen, r]
            short |= lack[r] > 0
    return count, lost


@njit(cache=True, parallel=True)
def anneal_chunk(
    nodes, values, demand, at, worth, free, head, after, before, half, turn, moves, warm, cold, seed
):
    """``moves`` moves in each half, the temperature falling from ``warm`` to ``cold``.

    ``half`` (m,) says which part works a node, ``turn`` (n,) which part an unplaced item. All state
    arrays are changed in place. Returns the moves that were taken.
    """
    n, width = nodes.shape
    taken = np.zeros(PARTS, np.int64)
    for part in prange(PARTS):
        state = np.empty(1, np.uint64)
        state[0] = _U(seed * 2654435761 + part * 40503 + 88172645463325252)
        mine = np.empty(n, np.int64)
        count = 0
        for i in range(n):
            if (half[at[i]] if at[i] >= 0 else turn[i]) == part:
                mine[count] = i
                count += 1
        waiting = np.empty(n, np.int64)
        place = np.full(n, -1, np.int64)
        unplaced = 0
        for c in range(count):
            if at[mine[c]] < 0:
                waiting[unplaced] = mine[c]
                place[mine[c]] = unplaced
                unplaced += 1
        ejected = np.empty(EJECTED_MAX, np.int64)
        temperature = warm
        for move in range(moves if count > 0 else 0):
            if move & 1023 == 0:
                temperature = warm * (cold / warm) ** (move / moves)
            draw = _random(state)
            if unplaced > 0 and draw & _U(3) != 0:
                i = waiting[np.int64((draw >> _U(2)) % _U(unplaced))]
            else:
                i = mine[np.int64((draw >> _U(2)) % _U(count))]
            x = _unit(state)
            p = np.int64(x * x * width)
            j = nodes[i, p]
            if j < 0 or j == at[i] or half[j] != part or values[i, p] <= 0:
                continue
            gain = values[i, p] - worth[i]
            if gain < -12.0 * temperature:
                continue
            out, lost = _eject_plan(i, j, head, after, free, demand, worth, ejected)
            if out < 0:
                continue
            gain -= lost
            if gain < 0 and _unit(state) > np.exp(gain / temperature):
                continue
            taken[part] += 1
            for c in range(out):
                e = ejected[c]
                _leave(e, at, head, after, before, free, demand)
                worth[e] = 0.0
                place[e] = unplaced
                waiting[unplaced] = e
                unplaced += 1
            if at[i] >= 0:
                _leave(i, at, head, after, before, free, demand)
            else:
                unplaced -= 1
                last = waiting[unplaced]
                waiting[place[i]] = last
                place[last] = place[i]
                place[i] = -1
            _enter(i, j, at, head, after, before, free, demand)
            worth[i] = values[i, p]
    return taken.sum()


def draw_halves(m: int, n: int, *, seed: int) -> tuple[Ints, Ints]:
    """Which part works each node (m,) and each unplaced item (n,)."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, PARTS, m), rng.integers(0, PARTS, n)


def fresh_free(at: Ints, demand: Floats, capacity: Floats) -> Floats:
    """What is left of ``capacity`` (m, R), summed anew so that rounding does not pile up."""
    free = capacity.copy()
    placed = at >= 0
    np.subtract.at(free, at[placed], demand[placed])
    return free
