"""What of a node's capacity any set of slots can use: less than it has where demands are coarse.

Slots are whole, so of each resource a node gives a sum of demands. A node of 0.9 cores to which all
bids come with a third, two thirds or a whole core gives two thirds at most. A linear bound does not
see that: it fills the rest with a part of a slot. The largest sum of demands that a capacity holds
(the subset sum problem, each demand any number of times) is as good a capacity as the real one for
every plan, and the bound is the tighter for it.
"""

import numpy as np

from market.snapshot import Ints

DISTINCT_MAX = 48  # demands; the sums of more are dense, and nothing is gained
UNITS_MAX = 1 << 16  # of the greatest common divisor in the largest capacity


def usable(capacity: Ints, demand: Ints) -> Ints:
    """(m, R) the largest sums of slots' ``demand`` (n, R) that ``capacity`` (m, R) holds.

    A resource that nobody asks for, or with too many kinds of demand, is left at what it is, or at
    a multiple of what all demands have in common.
    """
    found = np.maximum(capacity, 0)
    for r in range(capacity.shape[1]):
        kinds = np.unique(demand[:, r])
        kinds = kinds[kinds > 0]
        if not len(kinds) or not len(found):
            continue
        unit = int(np.gcd.reduce(kinds))
        units = found[:, r] // unit
        if len(kinds) <= DISTINCT_MAX and units.max() <= UNITS_MAX:
            sums = _sums((kinds // unit).tolist(), int(units.max()))
            units = sums[np.searchsorted(sums, units, side="right") - 1]
        found[:, r] = units * unit
    return found


def _sums(kinds: list[int], most: int) -> Ints:
    """All sums of ``kinds``, each any number of times, up to ``most``; ascending, with nought."""
    mask, reached = (1 << (most + 1)) - 1, 1
    for kind in kinds:
        step = kind
        while step <= most:  # doubling: every number of times
            reached |= (reached << step) & mask
            step *= 2
    bits = np.frombuffer(reached.to_bytes(most // 8 + 1, "little"), dtype=np.uint8)
    return np.flatnonzero(np.unpackbits(bits, bitorder="little")).astype(np.int64)
