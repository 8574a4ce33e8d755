"""Places for items that none of their candidates can hold: all nodes with room are looked at.

Candidates are the best nodes at the prices. Where many bids list the same few, or a node was left
free by what the search moved, others have room that nobody looks for.
"""

from collections.abc import Callable

import numpy as np

from market.kernels.compiled import kernel
from market.kernels.problem import LANES_NARROW, LANES_WIDE, Singles
from market.kernels.search import link
from market.snapshot import Bools, Floats, Indices, Ints

LOOKED_AT = 32
ABOVE = 1.0 + 1e-6  # what single precision may be short of
STRIDE = 7919  # a prime: bids that follow each other begin far apart


def _fill_anywhere(lanes: int) -> Callable[..., None]:
    """The kernel for blocks of ``lanes`` lanes."""

    @kernel
    def fill_anywhere(
        order: Indices,
        bid: Indices,
        start: Ints,
        block_zone: Ints,
        block_class: Ints,
        room: Singles,
        feature: Singles,
        attribute: Singles,
        unit_price: Singles,
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
        price: Floats,
        free: Floats,
        at: Indices,
        worth: Floats,
        head: Indices,
        after: Indices,
        before: Indices,
    ) -> None:
        resources, blocks = demand.shape[1], block_zone.shape[0]
        fits = np.empty(lanes, np.float32)
        hopeless = -1  # the bid whose last item found no place
        for position in range(order.shape[0]):
            item = order[position]
            i = bid[item]
            if at[item] >= 0 or i == hopeless:
                continue
            best, chosen, valued, looked, chosen_block = -1e30, -1, 0.0, 0, 0
            for turn in range(blocks):
                if looked >= LOOKED_AT:
                    break
                b = (turn + i * STRIDE) % blocks
                distance = latency[zone[i], block_zone[b]]
                if distance > latency_max[i] or not compatible[bid_class[i], block_class[b]]:
                    continue
                for x in range(lanes):
                    fits[x] = 1.0
                for r in range(resources):
                    wanted = np.float32(demand[i, r])
                    if wanted == 0.0:
                        continue
                    for x in range(lanes):
                        y = fits[x]
                        fits[x] = y if room[b, r, x] >= wanted else np.float32(0.0)
                number = np.float32(0.0)
                for x in range(lanes):
                    number += fits[x]
                if number == 0.0:
                    continue
                here = base[i] - near[i] * min(distance, horizon[i])
                for j in range(start[b], start[b + 1]):
                    if fits[j - start[b]] == 0.0:
                        continue
                    possible = True
                    for r in range(resources):
                        possible = possible and demand[i, r] <= free[j, r]
                    for g in range(need.shape[1]):
                        possible = possible and need[i, g] <= attribute[g, j]
                    spent = np.float32(0.0)
                    for r in range(money.shape[1]):
                        spent += money[i, r] * unit_price[r, j]
                    if not possible or spent > np.float32(1.0):
                        continue
                    total = here
                    for k in range(slope.shape[1]):
                        total += slope[i, k] * feature[k, j]
                    looked += 1
                    left = float(total)
                    for r in range(resources):
                        left -= price[j, r] * demand[i, r]
                    if total > 0 and left > best:
                        best, chosen, valued, chosen_block = left, j, float(total), b
            if chosen < 0:
                hopeless = i
                continue
            for r in range(resources):
                free[chosen, r] -= demand[i, r]
                room[chosen_block, r, chosen - start[chosen_block]] = ABOVE * free[chosen, r]
            at[item], worth[item] = chosen, valued
            link(item, chosen, head, after, before)

    return fill_anywhere


# Each unplaced item, in ``order``, goes to the best by value − price of the first ``LOOKED_AT``
# nodes that could take it; each bid begins elsewhere. ``room`` (B, R, lanes) is what nodes have
# free, in single precision and not below it.
FILL_ANYWHERE = {lanes: _fill_anywhere(lanes) for lanes in (LANES_NARROW, LANES_WIDE)}
