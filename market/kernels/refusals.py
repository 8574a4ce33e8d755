"""Why bids have no place, many at once: the last constraint reached, and the asks to speak of.

The plain way looks at every ask for every bid. Here asks lie in blocks of one zone and one class
with the best of each attribute beside it: a block that could not come closer than the best ask
known is passed over as a whole. Blocks are visited the most promising first, so nearly all are.
The same order of precedence as ``market.feasible``, against which a test holds it.

Attributes lie in one row of floats for each bid and ask: handing on many arrays costs more than
the comparison. For R resources a bid's row is demand (R), one over it (R, 0 for none), limit,
latency, reliability, speed, work and deadline; an ask's is capacity (R), room (R), reserve for each
base unit (R), reliability, speed.
"""

from typing import NamedTuple

from market.kernels.compiled import kernel
from market.snapshot import Bools, Floats, Indices, Ints

LACKS, SHUT_OUT, TOO_LARGE, FAR, UNRELIABLE, SLOW, LATE, DEAR, PASSED = range(9)
NOTHING = -1e300  # no figure is lower
ENDLESS = 1e300  # room for a demand of nothing
ROUNDING = 1e-9  # relative slack of sums of products, on the safe side


class Wants(NamedTuple):
    """k bids."""

    row: Floats  # (k, 2R + 6)
    kind: Indices  # (k,) row of ``refused``
    zone: Indices  # (k,) −1: no place
    demand: Ints  # (k, R)
    limit: Ints  # (k,)
    slots: Ints  # (k,) wanted
    enough: Ints  # (k,) room beyond this need not be counted


class Blocks(NamedTuple):
    """m asks in block order, B blocks."""

    row: Floats  # (m, 3R + 2)
    best: Floats  # (B, 3R + 2) the most of each column in the block, of reserves the least
    price: Floats  # (m, R) shadow prices
    least_price: Floats  # (B, R)
    start: Ints  # (B + 1,)
    visit: Ints  # (B,) the blocks, the most promising first
    zone: Ints  # (B,)
    kind: Ints  # (B,) column of ``refused``
    ask: Indices  # (m,) the caller's index
    free: Ints  # (m, R) not below zero
    reserve: Ints  # (m, R) micros per priced unit


@kernel
def reach(want: Floats, i: int, have: Floats, j: int, distance: float) -> tuple[int, float]:
    """(code, figure) of bid ``i`` at ask or block ``j``: with one code the higher comes closer.

    Of a block no ask exceeds it: the rate is without the rounding of each resource's part, so it is
    at most R less than the exact one.
    """
    resources = (have.shape[1] - 2) // 3
    first, held, rate, spare, room = 2 * resources, True, 0.0, ENDLESS, ENDLESS
    for r in range(resources):
        held &= want[i, r] <= have[j, r]
        rate += want[i, r] * have[j, first + r]
        if want[i, r] > 0:
            spare = min(spare, have[j, r] * want[i, resources + r])
            room = min(room, have[j, resources + r] * want[i, resources + r])
    rate *= 1.0 - ROUNDING
    reliability, speed = have[j, 3 * resources], have[j, 3 * resources + 1]
    if not held:
        return TOO_LARGE, spare
    if distance > want[i, first + 1]:
        return FAR, -distance
    if reliability < want[i, first + 2]:
        return UNRELIABLE, reliability
    if speed < want[i, first + 3]:
        return SLOW, speed
    if want[i, first + 5] > 0 and want[i, first + 4] > want[i, first + 5] * speed:
        return LATE, speed
    if rate > want[i, first]:
        return DEAR, -rate
    return PASSED, room


@kernel
def exact_rate(demand: Ints, i: int, reserve: Ints, j: int, priced: Ints) -> int:
    """Micros an hour as ``feasible.reserve_rates`` rounds them."""
    rate = 0
    for r in range(demand.shape[1]):
        whole, rest = divmod(demand[i, r], priced[r])
        rate += whole * reserve[j, r] - (-(rest * reserve[j, r])) // priced[r]
    return rate


@kernel
def surely_affordable(want: Floats, i: int, have: Floats, j: int) -> bool:
    """Whether the limit is over the rate even if each resource's part is rounded up by one."""
    resources = (have.shape[1] - 2) // 3
    rate = 0.0
    for r in range(resources):
        rate += want[i, r] * have[j, 2 * resources + r]
    return rate * (1.0 + ROUNDING) + resources <= want[i, 2 * resources]


@kernel
def whole_slots(demand: Ints, i: int, free: Ints, j: int, most: int) -> int:
    """Slots of row ``i`` of ``demand`` that row ``j`` of ``free`` holds, at most ``most``."""
    slots = most
    for r in range(demand.shape[1]):
        if demand[i, r] > 0:
            slots = min(slots, free[j, r] // demand[i, r])
    return slots


@kernel
def last_constraints(
    low: int,
    high: int,
    wants: Wants,
    blocks: Blocks,
    refused: Indices,
    latency: Floats,
    priced: Ints,
    code: Ints,
    ask: Indices,
    room: Ints,
) -> None:
    """For bids ``[low, high)``: the last constraint reached and the ask that came closest.

    ``refused`` (bid kinds, ask kinds) is ``LACKS``, ``SHUT_OUT`` or more. Writes ``code`` (−1: no
    ask), ``ask`` with the best figure at that constraint (for ``PASSED``: the freest) and ``room``
    slots that still fit in all asks that passed, counted until it is ``enough``.
    """
    want, kind, zone, demand, limit, slots_wanted, enough = wants
    have, most_of, _, _, start, visit, block_zone, block_kind, order, free, reserve = blocks
    for i in range(low, high):
        reached, best, closest, slots = -1, NOTHING, -1, 0
        for b in visit:
            least = refused[kind[i], block_kind[b]]
            if least <= SHUT_OUT:
                if least > reached:
                    reached, best, closest = least, 0.0, start[b]
                continue
            distance = 0.0 if zone[i] < 0 else latency[zone[i], block_zone[b]]
            most, figure = reach(want, i, most_of, b, distance)
            counting = most == PASSED and slots < enough[i]
            if not counting and (most < reached or (most == reached and figure <= best)):
                continue
            for j in range(start[b], start[b + 1]):
                at, figure = reach(want, i, have, j, distance)
                if not counting and (at < reached or (at == reached and figure <= best)):
                    continue
                if at == DEAR or (at == PASSED and not surely_affordable(want, i, have, j)):
                    rate = exact_rate(demand, i, reserve, j, priced)
                    if rate > limit[i]:
                        at, figure = DEAR, -float(rate)
                if at == PASSED and counting:
                    slots += whole_slots(demand, i, free, j, slots_wanted[i])
                if at > reached or (at == reached and figure > best):
                    reached, best, closest = at, figure, j
        code[i], room[i] = reached, slots
        ask[i] = -1 if closest < 0 else order[closest]


@kernel
def cheapest_asks(
    low: int,
    high: int,
    wants: Wants,
    blocks: Blocks,
    refused: Indices,
    latency: Floats,
    priced: Ints,
    sought: Bools,
    ask: Indices,
) -> None:
    """For the ``sought`` bids of ``[low, high)``: the ask of least shadow price that may serve it.

    Writes ``ask``, −1 where there is none.
    """
    want, kind, zone, demand, limit, _, _ = wants
    have, most_of, price, least, start, visit, block_zone, block_kind, order, _, reserve = blocks
    resources = demand.shape[1]
    for i in range(low, high):
        cheapest, cheap = -1, ENDLESS
        for b in visit:
            if not sought[i] or refused[kind[i], block_kind[b]] <= SHUT_OUT:
                continue
            shadow = 0.0
            for r in range(resources):
                shadow += want[i, r] * least[b, r]
            distance = 0.0 if zone[i] < 0 else latency[zone[i], block_zone[b]]
            if shadow >= cheap or reach(want, i, most_of, b, distance)[0] < PASSED:
                continue
            for j in range(start[b], start[b + 1]):
                shadow = 0.0
                for r in range(resources):
                    shadow += want[i, r] * price[j, r]
                if shadow >= cheap or reach(want, i, have, j, distance)[0] < PASSED:
                    continue
                if (
                    surely_affordable(want, i, have, j)
                    or exact_rate(demand, i, reserve, j, priced) <= limit[i]
                ):
                    cheap, cheapest = shadow, j
        ask[i] = -1 if cheapest < 0 else order[cheapest]
