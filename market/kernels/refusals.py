"""The hard constraints of all pairs of many bids at once: what ruled each bid's last asks out.

The same order of precedence as ``market.feasible``, against which a test holds it.
"""

from market.kernels.compiled import kernel
from market.snapshot import Bools, Floats, Indices, Ints

PASSED = 8  # one more than the last constraint's code


@kernel
def last_constraints(
    low: int,
    high: int,
    bids: Indices,
    bid_kind: Indices,
    lacks: Bools,
    shut_out: Bools,
    demand: Ints,
    limit: Ints,
    zone: Indices,
    latency_max: Floats,
    reliability_min: Floats,
    speed_min: Floats,
    work: Ints,
    deadline: Ints,
    count: Ints,
    ask_kind: Indices,
    total: Ints,
    free: Ints,
    reserve: Ints,
    unit: Ints,
    ask_zone: Indices,
    reliability: Floats,
    speed: Floats,
    latency: Floats,
    price: Floats,
    code: Ints,
    ask: Indices,
    room: Ints,
    cheapest: Indices,
) -> None:
    """For bids ``bids[low:high]``: the last constraint reached and the ask that came closest.

    ``lacks`` and ``shut_out`` are (bid kinds, ask kinds). Writes, by position: ``code`` (−1: no
    ask), ``ask`` with the best figure at that constraint (for ``PASSED``: the freest), ``room``
    slots that still fit in all asks that passed, ``cheapest`` of them by shadow price.
    """
    resources = demand.shape[1]
    for position in range(low, high):
        i = bids[position]
        reached, best_ask, best = -1, -1, -1e300
        slots, cheap_ask, cheap = 0, -1, 1e300
        for j in range(ask_kind.shape[0]):
            at, figure = PASSED, 0.0
            if lacks[bid_kind[i], ask_kind[j]]:
                at = 0
            elif shut_out[bid_kind[i], ask_kind[j]]:
                at = 1
            else:
                spare = 1e300
                for r in range(resources):
                    if demand[i, r] > 0:
                        spare = min(spare, total[j, r] / demand[i, r])
                        if demand[i, r] > total[j, r]:
                            at = 2
                figure = spare
            if at == PASSED:
                distance = 0.0 if zone[i] < 0 else latency[zone[i], ask_zone[j]]
                if distance > latency_max[i]:
                    at, figure = 3, -distance
                elif reliability[j] < reliability_min[i]:
                    at, figure = 4, reliability[j]
                elif speed[j] < speed_min[i]:
                    at, figure = 5, speed[j]
                elif deadline[i] > 0 and work[i] > deadline[i] * speed[j]:
                    at, figure = 6, speed[j]
                else:
                    rate = 0
                    for r in range(resources):
                        whole, rest = divmod(demand[i, r], unit[r])
                        rate += whole * reserve[j, r] - (-(rest * reserve[j, r])) // unit[r]
                    if rate > limit[i]:
                        at, figure = 7, -float(rate)
            if at == PASSED:
                fits, shadow, figure = count[i], 0.0, 1e300
                for r in range(resources):
                    if demand[i, r] > 0:
                        fits = min(fits, max(free[j, r], 0) // demand[i, r])
                        figure = min(figure, free[j, r] / demand[i, r])
                        shadow += price[j, r] * demand[i, r]
                slots += fits
                if shadow < cheap:
                    cheap, cheap_ask = shadow, j
            if at > reached or (at == reached and figure > best):
                reached, best_ask, best = at, j, figure
        code[position], ask[position] = reached, best_ask
        room[position], cheapest[position] = slots, cheap_ask
