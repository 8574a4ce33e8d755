"""Kernels that look at every ask for one bid at a time: no list of pairs, so memory stays bounded.

The plain way lists every feasible pair with its score and sorts; at 100,000 bids × 20,000 asks that
is tens of gigabytes. Here each bid asks for its best ask with room when its turn comes. Asks lie in
blocks of one zone and one class with the best of each attribute beside them, so a block that cannot
beat the best ask known is passed over. Attributes lie in one row of floats for each bid and ask,
since handing on many arrays costs more than the comparison. In double precision and in the order of
operations of ``market.score`` and ``market.feasible``, without fast-math: the plans are those of
the lists.
"""

from typing import NamedTuple

import numba
import numpy as np

from market.kernels.compiled import CACHED
from market.snapshot import Floats, Indices, Ints

exact = numba.njit(nogil=True, error_model="numpy", cache=CACHED)  # no fast-math

BY_SCORE, BY_RESERVE, BY_POSTED = range(3)  # what a key is: minus the score, or micros an hour
ROUNDING = 1e-9  # relative slack of sums of products, on the safe side
MEETS = 2  # classes below it in ``refused`` never meet
NO_KEY = np.inf
NOT_ABLE = -1.0
LIMIT, RELIABILITY_MIN, SPEED_MIN, WORK, DEADLINE, HORIZON, FAIR, LATENCY_MAX = range(8)
WANTS = 8  # columns of a bid after its demand
QUALITIES = 4  # of an ask: reliability, speed s, s / (1 + s), energy term


class Buys(NamedTuple):
    """n bids."""

    row: Floats  # (n, R + 8) demand (R), then what ``LIMIT`` and so on count from R
    kind: Indices  # (n,) row of ``refused``
    zone: Indices  # (n,) −1: no place
    demand: Ints  # (n, R)
    wanted: Ints  # (n,) slots
    least: Ints  # (n,) slots, fewer are nothing


class Sells(NamedTuple):
    """m asks in block order, B blocks."""

    row: Floats  # (m, 3R + 4) total, reserve and standing price by base unit (R each), quality
    best: Floats  # (B, 3R + 4) the most of each column in the block, of prices the least
    ask: Indices  # (m,) the caller's index
    start: Ints  # (B + 1,)
    zone: Ints  # (B,)
    kind: Ints  # (B,) column of ``refused``
    reserve: Ints  # (m, R) micros per priced unit


class Common(NamedTuple):
    """What a whole round shares."""

    refused: Indices  # (bid classes, ask classes)
    latency: Floats  # (Z, Z)
    priced: Ints  # (R,) base units in one priced unit
    weight: Floats  # (3,) of cost, QoS and energy


@exact
def rate_of(demand: Ints, i: int, reserve: Ints, j: int, priced: Ints) -> int:
    """Micros an hour as ``feasible.reserve_rates`` rounds them."""
    rate = 0
    for r in range(demand.shape[1]):
        whole, rest = divmod(demand[i, r], priced[r])
        rate += whole * reserve[j, r] - (-(rest * reserve[j, r])) // priced[r]
    return rate


@exact
def expense_at(want: Floats, i: int, have: Floats, j: int) -> float:
    """Σ_r demand · reserve, not rounded; ``NOT_ABLE`` where ask or block ``j`` may not serve.

    That is by all constraints but latency; of the limit with the slack that rounding may need.
    """
    resources = (have.shape[1] - QUALITIES) // 3
    held, expense = True, 0.0
    for r in range(resources):
        held &= want[i, r] <= have[j, r]
        expense += want[i, r] * have[j, resources + r]
    quality = 3 * resources
    held &= have[j, quality] >= want[i, resources + RELIABILITY_MIN]
    speed = have[j, quality + 1]
    held &= speed >= want[i, resources + SPEED_MIN]
    held &= expense * (1.0 - ROUNDING) <= want[i, resources + LIMIT]
    deadline = want[i, resources + DEADLINE]
    if deadline > 0:
        held &= want[i, resources + WORK] <= deadline * speed
    return expense if held else NOT_ABLE


@exact
def posted_at(want: Floats, i: int, have: Floats, j: int) -> float:
    """Σ_r demand · standing price."""
    resources = (have.shape[1] - QUALITIES) // 3
    total = 0.0
    for r in range(resources):
        total += want[i, r] * have[j, 2 * resources + r]
    return total


@exact
def score_at(
    want: Floats, i: int, have: Floats, j: int, near: float, expense: float, weight: Floats
) -> float:
    """The density of ``market.score``; monotone in each attribute, so of blocks an upper bound."""
    resources = (have.shape[1] - QUALITIES) // 3
    quality = 3 * resources
    cost = 1.0 - expense / max(want[i, resources + LIMIT], 1.0)
    least, reliable = want[i, resources + RELIABILITY_MIN], 1.0
    if 1.0 - least > 0:
        reliable = (have[j, quality] - least) / (1.0 - least)
    work, deadline = want[i, resources + WORK], want[i, resources + DEADLINE]
    fast = have[j, quality + 2]
    if deadline > 0 and work > 0:
        fast = 1.0 - work / max(deadline, 1.0) / max(have[j, quality + 1], 1e-9)
    qos = (near + reliable + fast) / 3.0
    mixed = weight[0] * cost + weight[1] * qos + weight[2] * have[j, quality + 3]
    return mixed + want[i, resources + FAIR]


@exact
def affordable(
    want: Floats, demand: Ints, i: int, reserve: Ints, j: int, priced: Ints, expense: float
) -> bool:
    """Whether the rate, each resource's part rounded up, is within the limit."""
    resources = demand.shape[1]
    limit = want[i, resources + LIMIT]
    if expense * (1.0 + ROUNDING) + resources <= limit:
        return True
    return rate_of(demand, i, reserve, j, priced) <= limit


@exact
def distance_to(
    want: Floats, i: int, place: int, kind: int, zone: int, ask_kind: int, refused: Indices,
    latency: Floats,
) -> float:  # fmt: skip
    """Latency of a block in ms, ``NOT_ABLE`` where place or class rule the whole block out."""
    if refused[kind, ask_kind] < MEETS:
        return NOT_ABLE
    distance = 0.0 if place < 0 else latency[place, zone]
    most = want[i, want.shape[1] - WANTS + LATENCY_MAX]
    return NOT_ABLE if distance > most else distance


@exact
def nearness(want: Floats, i: int, distance: float) -> float:
    """The latency margin of the score."""
    horizon = want[i, want.shape[1] - WANTS + HORIZON]
    return 1.0 - min(distance, horizon) / horizon


@exact
def fits(demand: Ints, i: int, free: Ints, j: int) -> bool:
    """Whether one slot of row ``i`` of ``demand`` fits in row ``j`` of ``free``."""
    for r in range(demand.shape[1]):  # noqa: SIM110
        if demand[i, r] > 0 and demand[i, r] > free[j, r]:
            return False
    return True


@exact
def least_key(
    mode: int, want: Floats, i: int, best: Floats, b: int, near: float, weight: Floats
) -> float:
    """No ask of block ``b`` has a lower key for bid ``i``; ``NO_KEY`` where none could serve it."""
    expense = expense_at(want, i, best, b)
    if expense == NOT_ABLE:
        return NO_KEY
    if mode == BY_SCORE:
        return -score_at(want, i, best, b, near, expense, weight)
    if mode == BY_POSTED:
        expense = max(expense, posted_at(want, i, best, b))
    return expense * (1.0 - ROUNDING)


@exact
def key_at(
    mode: int, want: Floats, demand: Ints, i: int, have: Floats, reserve: Ints, j: int, near: float,
    weight: Floats, priced: Ints, below: float,
) -> float:  # fmt: skip
    """What orders the asks of bid ``i``, the least first; ``NO_KEY`` where ask ``j`` may not.

    Or where it is sure to be above ``below``.
    """
    expense = expense_at(want, i, have, j)
    if expense == NOT_ABLE:
        return NO_KEY
    if mode == BY_SCORE:
        key = -score_at(want, i, have, j, near, expense, weight)
        if key > below or not affordable(want, demand, i, reserve, j, priced, expense):
            return NO_KEY
        return key
    if expense * (1.0 - ROUNDING) > below:
        return NO_KEY
    rate = float(rate_of(demand, i, reserve, j, priced))
    if mode == BY_POSTED:
        rate = max(rate, np.ceil(posted_at(want, i, have, j)))
    return rate if rate <= want[i, demand.shape[1] + LIMIT] else NO_KEY


@exact
def scratch_of(blocks: int) -> tuple[Ints, Floats, Floats]:
    """What ``first_ask`` writes to."""
    return (
        np.empty(blocks, np.int64),
        np.empty(blocks, np.float64),
        np.empty(blocks, np.float64),
    )


@exact
def first_ask(
    mode: int,
    buys: Buys,
    i: int,
    sells: Sells,
    common: Common,
    free: Ints,
    roomiest: Ints,
    block: Ints,
    bound: Floats,
    close: Floats,
) -> tuple[int, float]:
    """(place in block order, key) of bid ``i``'s first ask with room for a slot; (−1, ``NO_KEY``).

    Of equal keys that of the lowest ask. ``free`` (m, R) and ``roomiest`` (B, R) of each block;
    ``block``, ``bound`` and ``close`` (B,) are scratch. Blocks go in order of what they promise,
    until none of the rest could beat the best ask known.
    """
    want, kind, zone, demand, _, _ = buys
    have, most, order, start, block_zone, block_kind, reserve = sells
    refused, latency, priced, weight = common
    best, key, reached = -1, NO_KEY, 0
    for b in range(len(block_zone)):
        distance = distance_to(
            want, i, zone[i], kind[i], block_zone[b], block_kind[b], refused, latency
        )
        if distance == NOT_ABLE or not fits(demand, i, roomiest, b):
            continue
        near = nearness(want, i, distance)
        least = least_key(mode, want, i, most, b, near, weight)
        if least < NO_KEY:
            block[reached], bound[reached], close[reached] = b, least, near
            reached += 1
    while reached:
        lead = 0
        for x in range(1, reached):
            lead = x if bound[x] < bound[lead] else lead
        if bound[lead] > key:
            break
        b, near = block[lead], close[lead]
        reached -= 1
        block[lead], bound[lead], close[lead] = block[reached], bound[reached], close[reached]
        for j in range(start[b], start[b + 1]):
            if not fits(demand, i, free, j):
                continue
            found = key_at(mode, want, demand, i, have, reserve, j, near, weight, priced, key)
            lower = found == key and best >= 0 and order[j] < order[best]
            if found < key or (lower and found < NO_KEY):
                best, key = j, found
    return best, key


@exact
def best_scores(
    low: int, high: int, buys: Buys, sells: Sells, common: Common, best: Floats
) -> None:
    """``best[i]`` of bids ``[low, high)``: the best score of all asks, full or not; −inf: none."""
    endless = np.full(sells.reserve.shape, np.iinfo(np.int64).max)
    scratch = scratch_of(len(sells.zone))
    for i in range(low, high):
        _, key = first_ask(BY_SCORE, buys, i, sells, common, endless, endless, *scratch)
        best[i] = -key


@exact
def all_keys(
    mode: int,
    buys: Buys,
    i: int,
    sells: Sells,
    common: Common,
    free: Ints,
    place: Ints,
    key: Floats,
) -> int:
    """Writes place in block order and key of each ask with room for bid ``i``; how many."""
    want, kind, zone, demand, _, _ = buys
    have, _, _, start, block_zone, block_kind, reserve = sells
    refused, latency, priced, weight = common
    size = 0
    for b in range(len(block_zone)):
        distance = distance_to(
            want, i, zone[i], kind[i], block_zone[b], block_kind[b], refused, latency
        )
        if distance == NOT_ABLE:
            continue
        near = nearness(want, i, distance)
        for j in range(start[b], start[b + 1]):
            if fits(demand, i, free, j):
                found = key_at(
                    mode, want, demand, i, have, reserve, j, near, weight, priced, NO_KEY
                )
                if found < NO_KEY:
                    place[size], key[size] = j, found
                    size += 1
    return size


@exact
def slots_at(demand: Ints, i: int, free: Ints, j: int, wanted: int) -> int:
    """Whole slots of bid ``i`` that ask ``j`` holds, at most ``wanted``."""
    slots = wanted
    for r in range(demand.shape[1]):
        if demand[i, r] > 0:
            slots = min(slots, max(free[j, r], 0) // demand[i, r])
    return slots


@exact
def take(
    buys: Buys, i: int, places: Ints, size: int, free: Ints, matches: Ints, made: int
) -> tuple[Ints, int]:
    """Fills bid ``i`` from ``places[:size]`` in that order, all its least count or nothing.

    Returns ``matches`` (·, 3) of (bid, place, slots), longer where it had to be, and how many.
    """
    left, first = buys.wanted[i], made
    for x in range(size):
        slots = slots_at(buys.demand, i, free, places[x], left)
        if slots > 0:
            if made == len(matches):
                longer = np.empty((2 * made + 16, 3), np.int64)
                longer[:made] = matches
                matches = longer
            matches[made, 0], matches[made, 1], matches[made, 2] = i, places[x], slots
            made, left = made + 1, left - slots
            if left == 0:
                break
    if made == first or buys.wanted[i] - left < buys.least[i]:
        return matches, first
    for x in range(first, made):
        for r in range(free.shape[1]):
            free[matches[x, 1], r] -= matches[x, 2] * buys.demand[i, r]
    return matches, made


@exact
def refresh(start: Ints, b: int, free: Ints, roomiest: Ints) -> None:
    """``roomiest`` of block ``b`` after something was taken there."""
    for r in range(free.shape[1]):
        most = free[start[b], r]
        for j in range(start[b] + 1, start[b + 1]):
            most = max(most, free[j, r])
        roomiest[b, r] = most


@exact
def by_turns(
    mode: int, turns: Indices, buys: Buys, sells: Sells, common: Common, free: Ints, roomiest: Ints
) -> Ints:
    """Matches (k, 3) of bids in ``turns``, each filled from its asks by key: (bid, place, slots).

    Changes ``free`` (m, R) and ``roomiest`` (B, R), both in block order.
    """
    asks = len(sells.ask)
    matches, made = np.empty((len(turns), 3), np.int64), 0
    scratch = scratch_of(len(sells.zone))
    place, key = np.empty(max(asks, 1), np.int64), np.empty(max(asks, 1), np.float64)
    for i in turns:
        place[0], _ = first_ask(mode, buys, i, sells, common, free, roomiest, *scratch)
        if place[0] < 0:
            continue
        size = 1
        if slots_at(buys.demand, i, free, place[0], buys.wanted[i]) < buys.wanted[i]:
            size = all_keys(mode, buys, i, sells, common, free, place, key)
            some = np.argsort(sells.ask[place[:size]])
            some = some[np.argsort(key[some], kind="mergesort")]
            place[:size] = place[some]
        before = made
        matches, made = take(buys, i, place, size, free, matches, made)
        for x in range(before, made):
            b = np.searchsorted(sells.start, matches[x, 1], side="right") - 1
            refresh(sells.start, b, free, roomiest)
    return matches[:made].copy()


@exact
def feasible_asks(turns: Indices, buys: Buys, sells: Sells, common: Common, row: Ints) -> Indices:
    """The asks of each bid in ``turns``, in ascending order, one bid after the other.

    ``row`` (len(turns) + 1,) gets the start of each one's.
    """
    want, kind, zone, demand, _, _ = buys
    have, best, order, start, block_zone, block_kind, reserve = sells
    refused, latency, priced, _ = common
    asks = len(order)
    good = np.zeros(asks, np.bool_)
    found, size = np.empty(max(asks, 16), np.int32), 0
    for x in range(len(turns)):
        i = turns[x]
        row[x] = size
        good[:] = False
        for b in range(len(block_zone)):
            distance = distance_to(
                want, i, zone[i], kind[i], block_zone[b], block_kind[b], refused, latency
            )
            if distance == NOT_ABLE or expense_at(want, i, best, b) == NOT_ABLE:
                continue
            for j in range(start[b], start[b + 1]):
                expense = expense_at(want, i, have, j)
                if expense != NOT_ABLE:
                    good[order[j]] = affordable(want, demand, i, reserve, j, priced, expense)
        if size + asks > len(found):
            longer = np.empty(2 * len(found) + asks, np.int32)
            longer[:size] = found[:size]
            found = longer
        for j in range(asks):
            found[size] = j
            size += 1 if good[j] else 0
    row[len(turns)] = size
    return found[:size].copy()


@exact
def by_lists(turns: Indices, row: Ints, ask: Indices, key: Floats, buys: Buys, free: Ints) -> Ints:
    """As ``by_turns``, of given lists and keys; ``free`` (m, R) and places in the asks' own order.

    The list of the bid ``turns[x]`` is ``ask[row[x] : row[x + 1]]``.
    """
    matches, made = np.empty((len(turns), 3), np.int64), 0
    place = np.empty(1, np.int64)
    for x in range(len(turns)):
        i, best, lowest = turns[x], -1, NO_KEY
        for k in range(row[x], row[x + 1]):
            if key[k] < lowest and fits(buys.demand, i, free, ask[k]):
                best, lowest = k, key[k]
        if best < 0:
            continue
        place[0] = ask[best]
        if slots_at(buys.demand, i, free, place[0], buys.wanted[i]) == buys.wanted[i]:
            matches, made = take(buys, i, place, 1, free, matches, made)
            continue
        order = np.argsort(key[row[x] : row[x + 1]], kind="mergesort")
        places = ask[row[x] : row[x + 1]][order].astype(np.int64)
        matches, made = take(buys, i, places, len(places), free, matches, made)
    return matches[:made].copy()


@exact
def best_losers(
    asks: Indices, losers: Indices, worth: Floats, buys: Buys, sells: Sells, common: Common,
    best: Floats,
) -> None:  # fmt: skip
    """``best[k]``: the worth of the first of ``losers`` that may use ask ``asks[k]``; 0: none.

    ``losers`` are in order of ``worth`` (n,), the highest first; ``asks`` places in block order.
    """
    want, kind, zone, demand, _, _ = buys
    have, _, _, start, block_zone, block_kind, reserve = sells
    refused, latency, priced, _ = common
    for k in range(len(asks)):
        j = asks[k]
        b = np.searchsorted(start, j, side="right") - 1
        best[k] = 0.0
        for i in losers:
            distance = distance_to(
                want, i, zone[i], kind[i], block_zone[b], block_kind[b], refused, latency
            )
            if distance == NOT_ABLE:
                continue
            expense = expense_at(want, i, have, j)
            if expense != NOT_ABLE and affordable(want, demand, i, reserve, j, priced, expense):
                best[k] = max(0.0, worth[i])
                break
