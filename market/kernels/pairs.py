"""Kernels over all pairs: the best reduced value of each bid, and its candidate nodes.

Both run block by block with exact pruning, in single precision, on a range of bids each, so that
threads share the work.
"""

import numpy as np

from market.kernels.compiled import NEVER, kernel
from market.kernels.problem import Singles
from market.snapshot import Bools, Indices, Ints


@kernel
def highest(values: Singles, width: int) -> np.float32:
    """The highest of ``values[:width]``; eight lanes, since a plain reduction is not vectorised."""
    a = b = c = d = e = f = g = h = NEVER
    at = 0
    while at + 8 <= width:
        a = max(a, values[at])
        b = max(b, values[at + 1])
        c = max(c, values[at + 2])
        d = max(d, values[at + 3])
        e = max(e, values[at + 4])
        f = max(f, values[at + 5])
        g = max(g, values[at + 6])
        h = max(h, values[at + 7])
        at += 8
    while at < width:
        a = max(a, values[at])
        at += 1
    return max(max(max(a, b), max(c, d)), max(max(e, f), max(g, h)))


@kernel
def conceivable(
    base: np.float32,
    weight: Singles,
    least: Singles,
    most: Singles,
    need: Singles,
    best_attribute: Singles,
) -> np.float32:
    """An upper bound of the block's reduced values, or ``NEVER`` if no node there has a need."""
    bound = base
    for k in range(weight.shape[0]):
        bound += weight[k] * (most[k] if weight[k] > 0 else least[k])
    for g in range(need.shape[0]):
        if need[g] > best_attribute[g]:
            return NEVER
    return bound


@kernel
def block_values(
    values: Singles,
    start: int,
    width: int,
    base: np.float32,
    weight: Singles,
    feature: Singles,
    need: Singles,
    attribute: Singles,
    worst_attribute: Singles,
    money: Singles,
    unit_price: Singles,
    dearest: Singles,
    spent: Singles,
) -> None:
    """Writes the reduced value of each node of one block, ``NEVER`` where infeasible."""
    first = feature[0, start : start + width]
    w = weight[0]
    for j in range(width):
        values[j] = base + w * first[j]
    k = 1
    while k + 1 < feature.shape[0]:
        one, two = feature[k, start : start + width], feature[k + 1, start : start + width]
        w, x = weight[k], weight[k + 1]
        for j in range(width):
            values[j] += w * one[j] + x * two[j]
        k += 2
    if k < feature.shape[0]:
        one = feature[k, start : start + width]
        w = weight[k]
        for j in range(width):
            values[j] += w * one[j]
    for g in range(attribute.shape[0]):
        if need[g] > worst_attribute[g]:
            has = attribute[g, start : start + width]
            wanted = need[g]
            for j in range(width):
                value = values[j]
                values[j] = value if has[j] >= wanted else NEVER
    resources = unit_price.shape[0]
    most = np.float32(0.0)
    for r in range(resources):
        most += money[r] * dearest[r]
    if most > np.float32(1.0):
        for j in range(width):
            spent[j] = np.float32(0.0)
        for r in range(resources):
            price = unit_price[r, start : start + width]
            w = money[r]
            for j in range(width):
                spent[j] += w * price[j]
        for j in range(width):
            value = values[j]
            values[j] = value if spent[j] <= np.float32(1.0) else NEVER


@kernel
def best_reduced_values(
    low: int,
    high: int,
    start: Ints,
    block_zone: Ints,
    block_class: Ints,
    feature: Singles,
    least: Singles,
    most: Singles,
    attribute: Singles,
    worst_attribute: Singles,
    best_attribute: Singles,
    unit_price: Singles,
    dearest: Singles,
    base: Singles,
    weight: Singles,
    near: Singles,
    horizon: Singles,
    latency_max: Singles,
    zone: Indices,
    need: Singles,
    money: Singles,
    bid_class: Indices,
    compatible: Bools,
    latency: Singles,
    best: Singles,
) -> None:
    """``best[i]`` = max(0, max_j reduced value) for bids ``low ≤ i < high``."""
    blocks = block_zone.shape[0]
    widest = 1
    for b in range(blocks):
        widest = max(widest, start[b + 1] - start[b])
    values, spent = np.empty(widest, np.float32), np.empty(widest, np.float32)
    for i in range(low, high):
        top = np.float32(0.0)
        for b in range(blocks):
            distance = latency[zone[i], block_zone[b]]
            if distance > latency_max[i] or not compatible[bid_class[i], block_class[b]]:
                continue
            here = base[i] - near[i] * min(distance, horizon[i])
            if conceivable(here, weight[i], least[b], most[b], need[i], best_attribute[b]) <= top:
                continue
            width = start[b + 1] - start[b]
            block_values(
                values, start[b], width, here, weight[i], feature, need[i], attribute,
                worst_attribute[b], money[i], unit_price, dearest[b], spent,
            )  # fmt: skip
            top = max(top, highest(values, width))
        best[i] = top


@kernel
def nearest_candidates(
    low: int,
    high: int,
    start: Ints,
    block_zone: Ints,
    block_class: Ints,
    feature: Singles,
    least: Singles,
    most: Singles,
    attribute: Singles,
    worst_attribute: Singles,
    best_attribute: Singles,
    unit_price: Singles,
    dearest: Singles,
    base: Singles,
    weight: Singles,
    near: Singles,
    horizon: Singles,
    latency_max: Singles,
    zone: Indices,
    need: Singles,
    money: Singles,
    bid_class: Indices,
    compatible: Bools,
    latency: Singles,
    noise: Singles,
    most_noise: Singles,
    spread: Singles,
    ask: Indices,
    rank: Singles,
    best: Singles,
) -> None:
    """The K nodes of highest reduced value + spread_i · noise, best first; −1 where fewer.

    ``ask`` and ``rank`` are (n, K). The noise keeps bids of one place from all listing the same
    few nodes: without it the lists leave most nodes out and their prices mean nothing. ``best[i]``
    becomes max(0, max_j reduced value) over all nodes, as ``best_reduced_values`` gives it: a block
    that is passed over could not have raised it.
    """
    blocks, wanted = block_zone.shape[0], ask.shape[1]
    widest = 1
    for b in range(blocks):
        widest = max(widest, start[b + 1] - start[b])
    values, spent = np.empty(widest, np.float32), np.empty(widest, np.float32)
    for i in range(low, high):
        found = 0
        top = np.float32(0.0)
        kth = np.float32(-1e29)
        mine = noise[(i * 40503) % noise.shape[0]]
        for b in range(blocks):
            distance = latency[zone[i], block_zone[b]]
            if distance > latency_max[i] or not compatible[bid_class[i], block_class[b]]:
                continue
            here = base[i] - near[i] * min(distance, horizon[i])
            bound = conceivable(here, weight[i], least[b], most[b], need[i], best_attribute[b])
            if bound <= top and bound + spread[i] * most_noise[b] <= kth:
                continue
            first, width = start[b], start[b + 1] - start[b]
            block_values(
                values, first, width, here, weight[i], feature, need[i], attribute,
                worst_attribute[b], money[i], unit_price, dearest[b], spent,
            )  # fmt: skip
            peak = highest(values, width)
            top = max(top, peak)
            scale = spread[i]
            if scale > 0:
                extra = mine[first : first + width]
                for j in range(width):
                    values[j] += scale * extra[j]
                peak = highest(values, width)
            if found == wanted and peak <= kth:
                continue
            for j in range(width):
                value = values[j]
                if value > kth:
                    at = found if found < wanted else wanted - 1
                    found = min(found + 1, wanted)
                    while at > 0 and rank[i, at - 1] < value:
                        rank[i, at], ask[i, at] = rank[i, at - 1], ask[i, at - 1]
                        at -= 1
                    rank[i, at], ask[i, at] = value, first + j
                    if found == wanted:
                        kth = rank[i, wanted - 1]
        for at in range(found, wanted):
            ask[i, at], rank[i, at] = -1, NEVER
        best[i] = top


@kernel
def candidate_values(
    low: int,
    high: int,
    node_zone: Indices,
    feature: Singles,
    base: Singles,
    slope: Singles,
    near: Singles,
    horizon: Singles,
    zone: Indices,
    latency: Singles,
    ask: Indices,
    value: Singles,
) -> None:
    """Writes the value (n, K) of each candidate; those without a positive one become −1."""
    for i in range(low, high):
        kept = 0
        for k in range(ask.shape[1]):
            j = ask[i, k]
            if j < 0:
                continue
            total = base[i] - near[i] * min(latency[zone[i], node_zone[j]], horizon[i])
            for f in range(feature.shape[0]):
                total += slope[i, f] * feature[f, j]
            if total > 0:
                ask[i, kept], value[i, kept] = j, total
                kept += 1
        for k in range(kept, ask.shape[1]):
            ask[i, k], value[i, k] = -1, NEVER
