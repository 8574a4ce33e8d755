"""What the kernels clear: a separable value model over nodes in blocks, and items of demand.

value_ij = base_i + Σ_k slope_ik · feature_kj − near_i · min(latency(zone_i, zone_j), horizon_i)

A pair is feasible when latency_ij ≤ latency_max_i, attribute_gj ≥ need_ig for every g (free
capacity, reliability, speed), Σ_r money_ir · unit_price_rj ≤ 1 and their classes are compatible.
Nodes are ordered into blocks of one zone and one class, so that a block is skipped as a whole when
its class does not fit or it is too far.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from market.kernels.compiled import NEVER, NO_LIMIT
from market.snapshot import Bools, Floats, Indices, Ints

Singles = npt.NDArray[np.float32]

LANES_WIDE, LANES_NARROW = 64, 16  # to which blocks are padded; a vector unit has eight or sixteen
ROUNDING = 1e-6  # relative slack of single precision, always on the side of feasible


OF_BIDS = (
    "demand", "count", "base", "slope", "near", "horizon", "latency_max", "zone", "need", "money",
    "bid_class",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """n bids, m nodes in block order, B blocks, R resources, K features, G attributes."""

    node: Indices  # (m,) the caller's index of each node
    capacity: Floats  # (m, R)
    feature: Singles  # (K, m)
    attribute: Singles  # (G, m)
    unit_price: Singles  # (R', m) for the money check; R' = 0: no such check
    block_start: Ints  # (B + 1,)
    block_zone: Ints  # (B,)
    block_class: Ints  # (B,)
    demand: Floats  # (n, R)
    count: Ints  # (n,) slots wanted
    base: Singles  # (n,)
    slope: Singles  # (n, K)
    near: Singles  # (n,)
    horizon: Singles  # (n,)
    latency_max: Singles  # (n,)
    zone: Indices  # (n,)
    need: Singles  # (n, G)
    money: Singles  # (n, R')
    bid_class: Indices  # (n,)
    compatible: Bools  # (bid classes, node classes)
    latency: Singles  # (Z, Z)

    @property
    def bids(self) -> int:
        """n."""
        return len(self.base)

    @property
    def nodes(self) -> int:
        """m."""
        return len(self.node)

    def of_bids(self, some: Indices) -> "Problem":
        """The problem with only the bids ``some``, in that order."""
        rows = {name: getattr(self, name)[some] for name in OF_BIDS}
        return replace(self, **rows)


def in_blocks(zone: Indices, kind: Indices, order_by: Floats) -> tuple[Indices, Ints, Ints, Ints]:
    """(node order (m,), block start (B + 1,), zone (B,), class (B,)) of nodes in blocks.

    Inside a zone and class the nodes are sorted by ``order_by`` (m,), so that blocks are alike.
    """
    order = np.lexsort((order_by, kind, zone)).astype(np.int32)
    group = np.stack([zone[order], kind[order]], axis=1).astype(np.int64)
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (group[1:] != group[:-1]).any(axis=1)
    first = np.flatnonzero(new)
    small = len(order) <= LANES_NARROW * len(first)
    width = LANES_NARROW if small else LANES_WIDE
    last = np.append(first[1:], len(order)) if len(order) else first
    starts: list[int] = []
    for start, end in zip(first.tolist(), last.tolist(), strict=True):
        parts = -(-(end - start) // width)
        starts += [start + (end - start) * part // parts for part in range(parts)]
    start_array = np.array([*starts, len(order)], dtype=np.int64)
    at = start_array[:-1]
    return order, start_array, group[at, 0].copy(), group[at, 1].copy()


def single(values: Floats | Ints) -> Singles:
    """Contiguous single precision; infinities become ±``NO_LIMIT``."""
    limit = float(NO_LIMIT)
    return np.ascontiguousarray(np.clip(values, -limit, limit), dtype=np.float32)


def lanes_of(problem: Problem) -> int:
    """To how many lanes blocks are padded: narrow where most are small."""
    width = np.diff(problem.block_start)
    return LANES_NARROW if width.max(initial=0) <= LANES_NARROW else LANES_WIDE


def in_lanes(problem: Problem, rows: Singles, lanes: int) -> Singles:
    """``rows`` (rows, m) by blocks: (B, rows, lanes); lanes beyond the block repeat its last."""
    start, end = problem.block_start[:-1, None], problem.block_start[1:, None]
    node = np.minimum(start + np.arange(lanes), end - 1)
    return np.ascontiguousarray(rows[:, node].transpose(1, 0, 2))


def absent_lanes(problem: Problem, lanes: int) -> Singles:
    """(B, lanes): nought where there is a node, ``NEVER`` beyond the end of the block."""
    width = np.diff(problem.block_start)[:, None]
    return np.where(np.arange(lanes) < width, np.float32(0.0), NEVER)


def block_extremes(problem: Problem, rows: Singles) -> tuple[Singles, Singles]:
    """(least (B, rows), most (B, rows)) of each of the rows (rows, m) in each block."""
    if not problem.nodes or not len(rows):
        empty = np.zeros((len(problem.block_zone), len(rows)), np.float32)
        return empty, empty
    start = problem.block_start[:-1]
    least = np.minimum.reduceat(rows, start, axis=1).T
    most = np.maximum.reduceat(rows, start, axis=1).T
    return np.ascontiguousarray(least), np.ascontiguousarray(most)
