"""The kernel over all pairs: each bid's best nodes, and the best reduced value of all.

Nodes lie in blocks of one zone and one class, each padded to a fixed number of lanes, so that every
inner loop has a constant length and becomes vector code. All is in single precision, on a range of
bids each, so that threads share the work.
"""

from collections.abc import Callable

import numpy as np

from market.kernels.chance import below, random_word, unit
from market.kernels.compiled import NEVER, kernel
from market.kernels.problem import LANES_NARROW, LANES_WIDE, Singles
from market.kernels.vectors import peaks_of
from market.snapshot import Bools, Floats, Indices, Ints

DRAWS_PER_CANDIDATE = 3
NOISE_ROWS = 16  # by which bids' noise is shifted against each other
PEAKS = 8  # groups of lanes of a block whose peaks are kept
BISECTIONS_MAX = 24
BLOCKS_LEAST = 8  # that a thin look takes, where a bid reaches so many
FEASIBLE = np.float32(-1e29)  # all above is the value of a feasible pair


@kernel
def just_below(value: np.float32) -> np.float32:
    """A number below ``value`` and not far from it."""
    return value - np.float32(1e-3) * abs(value) - np.float32(1e-25)


@kernel
def cut_at_most(
    values: Singles, size: int, wanted: int, low: np.float32, high: np.float32
) -> tuple[np.float32, np.float32]:
    """Two thresholds close to each other: more than ``wanted`` of ``values[:size]`` exceed the
    first, at most so many the second. More than ``wanted`` exceed ``low``, none ``high``.
    """
    for _ in range(BISECTIONS_MAX):
        middle = np.float32(0.5) * (low + high)
        above = np.float32(0.0)  # in their own width: counted as vectors
        for x in range(size):
            above += np.float32(1.0) if values[x] > middle else np.float32(0.0)
        if above > wanted:
            low = middle
        else:
            high = middle
            if above == wanted:
                break
    return low, high


@kernel
def cut_at_least(
    values: Singles, size: int, wanted: int, low: np.float32, high: np.float32
) -> np.float32:
    """A threshold that at least ``wanted`` of ``values[:size]`` exceed, and an eighth more at most.

    All feasible ones exceed ``low``, none ``high``; ``FEASIBLE`` where there are no more of them.
    """
    enough, middle, few = wanted + (wanted >> 3), low, True
    for _ in range(BISECTIONS_MAX):
        above = np.float32(0.0)
        for x in range(size):
            above += np.float32(1.0) if values[x] > middle else np.float32(0.0)
        if few and above <= wanted:
            return FEASIBLE
        few = False
        if above >= wanted:
            low = middle
            if above <= enough:
                break
        else:
            high = middle
        middle = np.float32(0.5) * (low + high)
    return low


@kernel
def keep_best(
    lanes: int,
    i: int,
    groups: int,
    extreme: Singles,
    depth: Indices,
    value: Singles,
    peak: Singles,
    found: Singles,
    place: Indices,
    order: Indices,
    ask: Indices,
    rank: Singles,
) -> None:
    """The places of the highest of ``value`` into ``ask[i]``: first by peaks, then one by one.

    As many groups as values are wanted, those of the highest peaks, hold all that is wanted. A
    group of a block has its ``depth`` of rows.
    """
    wanted = ask.shape[1]
    bottom, top = -NEVER, NEVER
    for p in range(PEAKS):
        top, bottom = max(top, extreme[p]), min(bottom, extreme[PEAKS + p])
    cut = FEASIBLE
    if groups > wanted:
        cut = cut_at_least(peak, groups, wanted, just_below(bottom), top)
    chosen, count = 0, 0
    for group in range(groups):
        order[chosen] = group
        chosen += 1 if peak[group] > cut else 0
    for x in range(chosen):
        block, at = order[x] // PEAKS, order[x] % PEAKS
        at += block * lanes
        for _ in range(depth[block]):
            found[count], place[count] = value[at], at
            count += 1 if value[at] > cut else 0
            at += PEAKS
    tied = cut
    if count > wanted:
        least = top
        for x in range(count):
            least = min(least, found[x])
        tied, cut = cut_at_most(found, count, wanted, just_below(least), top)
    kept = 0
    for x in range(count):
        order[kept] = x
        kept += 1 if found[x] > cut else 0
    if kept < wanted < count:  # equals: other bids begin with others of them
        for y in range(count):
            x = (i + y) % count
            if tied < found[x] <= cut and kept < wanted:
                order[kept] = x
                kept += 1
    for k in range(kept):
        rank[i, k], ask[i, k] = found[order[k]], place[order[k]]
    for k in range(kept, wanted):
        ask[i, k], rank[i, k] = -1, NEVER


def _candidates(lanes: int) -> Callable[..., None]:
    """The kernel for blocks of ``lanes`` lanes; see ``candidates``."""
    rows = lanes // PEAKS

    @kernel
    def candidates(
        low: int,
        high: int,
        start: Ints,
        block_zone: Ints,
        block_class: Ints,
        feature: Singles,
        attribute: Singles,
        worst_attribute: Singles,
        best_attribute: Singles,
        unit_price: Singles,
        dearest: Singles,
        absent: Singles,
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
        spread: Singles,
        every: int,
        turn: int,
        ask: Indices,
        rank: Singles,
        best: Singles,
    ) -> None:
        blocks, wanted = block_zone.shape[0], ask.shape[1]
        value = np.empty(blocks * lanes, np.float32)
        peak = np.empty(blocks * PEAKS, np.float32)
        seen, depth = np.empty(blocks, np.int64), np.empty(blocks, np.int32)
        found = np.empty(blocks * lanes, np.float32)
        place, order = np.empty(blocks * lanes, np.int32), np.empty(blocks * lanes + 1, np.int32)
        values, spent = np.empty(lanes, np.float32), np.empty(lanes, np.float32)
        extreme = np.empty(2 * PEAKS, np.float32)
        highest, near_enough = np.empty(lanes, np.float32), np.empty(blocks + 1, np.int64)
        for i in range(low, high):
            highest[:] = NEVER
            extreme[:PEAKS], extreme[PEAKS:] = NEVER, -NEVER
            noisy = spread[i] > 0
            mine = (i * 40503) % NOISE_ROWS
            reach, place_of, kind = 0, zone[i], bid_class[i]
            for b in range(blocks):  # without branches, which nobody could predict
                near_enough[reach] = b
                fits = latency[place_of, block_zone[b]] <= latency_max[i]
                reach += 1 if fits & compatible[kind, block_class[b]] else 0
            step = max(1, min(every, reach // BLOCKS_LEAST))
            number = 0
            for turned in range((turn + i) % step, reach, step):
                b = near_enough[turned]
                possible = True
                for g in range(need.shape[1]):
                    possible = possible and need[i, g] <= best_attribute[b, g]
                if not possible:
                    continue
                here = base[i] - near[i] * min(latency[place_of, block_zone[b]], horizon[i])
                for x in range(lanes):
                    values[x] = here + absent[b, x]
                features = weight.shape[1]
                k = 0
                while k + 1 < features:
                    w, v = weight[i, k], weight[i, k + 1]
                    for x in range(lanes):
                        values[x] += w * feature[b, k, x] + v * feature[b, k + 1, x]
                    k += 2
                if k < features:
                    w = weight[i, k]
                    for x in range(lanes):
                        values[x] += w * feature[b, k, x]
                for g in range(need.shape[1]):
                    needed = need[i, g]
                    if needed > worst_attribute[b, g]:
                        for x in range(lanes):
                            y = values[x]
                            values[x] = y if attribute[b, g, x] >= needed else NEVER
                most = np.float32(0.0)
                for r in range(money.shape[1]):
                    most += money[i, r] * dearest[b, r]
                if most > np.float32(1.0):
                    for x in range(lanes):
                        spent[x] = np.float32(0.0)
                    for r in range(money.shape[1]):
                        m = money[i, r]
                        for x in range(lanes):
                            spent[x] += m * unit_price[b, r, x]
                    for x in range(lanes):
                        y = values[x]
                        values[x] = y if spent[x] <= np.float32(1.0) else NEVER
                for x in range(lanes):
                    y = values[x]
                    highest[x] = y if y > highest[x] else highest[x]
                if wanted == 0:
                    continue
                if noisy:
                    for x in range(lanes):
                        values[x] += spread[i] * noise[b + mine, x]
                for x in range(lanes):
                    value[number * lanes + x] = values[x]
                peaks_of(values, rows, peak, number * PEAKS, extreme, FEASIBLE)
                seen[number] = b
                depth[number] = (start[b + 1] - start[b] + PEAKS - 1) // PEAKS
                number += 1
            top = np.float32(0.0)
            for x in range(lanes):
                top = max(top, highest[x])
            best[i] = top
            if wanted == 0:
                continue
            keep_best(
                lanes,
                i,
                number * PEAKS,
                extreme,
                depth,
                value,
                peak,
                found,
                place,
                order,
                ask,
                rank,
            )
            for k in range(wanted):
                at = ask[i, k]
                if at >= 0:
                    ask[i, k] = start[seen[at // lanes]] + at % lanes

    return candidates


# Called with the range of bids and the arrays of ``Auction.lists``. The K = ``ask.shape[1]`` nodes
# of highest reduced value + spread_i · noise, in no order; −1 where fewer. The noise keeps bids of
# one place from all listing the same few nodes. ``best[i]`` becomes max(0, max_j reduced value).
CANDIDATES = {lanes: _candidates(lanes) for lanes in (LANES_NARROW, LANES_WIDE)}


@kernel
def random_candidates(
    low: int,
    high: int,
    start: Ints,
    block_zone: Ints,
    block_class: Ints,
    attribute: Singles,
    unit_price: Singles,
    latency_max: Singles,
    zone: Indices,
    need: Singles,
    money: Singles,
    bid_class: Indices,
    compatible: Bools,
    latency: Singles,
    seed: int,
    ask: Indices,
) -> None:
    """Nodes (n, K) drawn evenly, in even steps, among all that a bid could use; −1 where fewer.

    A fair sample for when prices say nothing yet. ``attribute`` (G, m) and ``unit_price`` (R', m).
    """
    blocks, wanted = block_zone.shape[0], ask.shape[1]
    reach = np.empty(blocks, np.int64)
    state = np.empty(1, np.uint64)
    for i in range(low, high):
        state[0] = np.uint64(seed) ^ (np.uint64(i + 1) * np.uint64(0x9E3779B97F4A7C15))
        random_word(state)
        number, total = 0, 0
        for b in range(blocks):
            if latency[zone[i], block_zone[b]] > latency_max[i]:
                continue
            if compatible[bid_class[i], block_class[b]]:
                reach[number] = b
                total += start[b + 1] - start[b]
                number += 1
        kept = 0
        draws = min(total, DRAWS_PER_CANDIDATE * wanted)
        turn = below(state, number) if number else 0  # with which block to begin
        at, passed, along = 0, 0.0, unit(state)
        for _ in range(draws):
            b = reach[(at + turn) % number]
            while along >= passed + (start[b + 1] - start[b]) and at + 1 < number:
                passed += start[b + 1] - start[b]
                at += 1
                b = reach[(at + turn) % number]
            j = min(start[b] + np.int64(along - passed), start[b + 1] - 1)
            along += (0.5 + unit(state)) * total / draws
            usable = True
            for g in range(need.shape[1]):
                usable = usable and need[i, g] <= attribute[g, j]
            spent = np.float32(0.0)
            for r in range(money.shape[1]):
                spent += money[i, r] * unit_price[r, j]
            if usable and spent <= np.float32(1.0):
                ask[i, kept] = j
                kept += 1
            if kept == wanted or along >= total:
                break
        ask[i, kept:] = -1


@kernel
def sort_lists(
    low: int, high: int, ask: Indices, value: Singles, demand: Floats, price: Floats
) -> None:
    """Sorts each list (n, K), the highest value less price first; empty places stay last."""
    rank = np.empty(ask.shape[1])
    for i in range(low, high):
        for k in range(ask.shape[1]):
            node, worth = ask[i, k], value[i, k]
            if node < 0:
                break
            moved, at = float(worth), k
            for r in range(demand.shape[1]):
                moved -= price[node, r] * demand[i, r]
            while at > 0 and rank[at - 1] < moved:
                rank[at], ask[i, at], value[i, at] = rank[at - 1], ask[i, at - 1], value[i, at - 1]
                at -= 1
            rank[at], ask[i, at], value[i, at] = moved, node, worth


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
        here = zone[i]
        for k in range(ask.shape[1]):
            j = max(ask[i, k], 0)
            value[i, k] = base[i] - near[i] * min(latency[here, node_zone[j]], horizon[i])
        for f in range(feature.shape[0]):
            w = slope[i, f]
            for k in range(ask.shape[1]):
                value[i, k] += w * feature[f, max(ask[i, k], 0)]
        kept = 0
        for k in range(ask.shape[1]):
            j, x = ask[i, k], value[i, k]
            ask[i, kept], value[i, kept] = j, x
            kept += 1 if j >= 0 and x > 0 else 0
        for k in range(kept, ask.shape[1]):
            ask[i, k], value[i, k] = -1, NEVER
