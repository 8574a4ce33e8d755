"""The hard constraints of a (bid, ask) pair, in one order of precedence, never traded for score.

The order is that of ``CONSTRAINTS``: a pair is refused for the first that it breaks, and a bid
that no ask can serve lost for the constraint that ruled out the last asks still left.
"""

import numpy as np
import numpy.typing as npt

from market.plan import Loss
from market.score import latencies
from market.snapshot import Bits, Bools, Indices, Ints, Snapshot

CONSTRAINTS: tuple[Loss, ...] = (
    Loss.CONSTRAINT,
    Loss.NOT_ADMITTED,
    Loss.TOO_LARGE,
    Loss.LATENCY,
    Loss.RELIABILITY,
    Loss.SPEED,
    Loss.DEADLINE,
    Loss.LIMIT_BELOW_RESERVE,
)
FEASIBLE = len(CONSTRAINTS)
PAIRS_PER_CHUNK_MAX = 1_000_000

Codes = npt.NDArray[np.int8]


def reserve_rates(snapshot: Snapshot, bid: Indices, ask: Indices) -> Ints:
    """(k,) micros per slot and hour that the owner asks, each resource's part rounded up.

    The demand is split into whole priced units and a rest so that no product leaves 64 bits.
    """
    whole, rest = np.divmod(snapshot.bids.demand[bid], snapshot.priced_units)
    reserve = snapshot.asks.reserve[ask]
    parts: Ints = whole * reserve - np.floor_divide(-(rest * reserve), snapshot.priced_units)
    rates: Ints = parts.sum(axis=1)
    return rates


def refusals(snapshot: Snapshot, bid: Indices, ask: Indices) -> Codes:
    """(k,) index into ``CONSTRAINTS`` of the first one that each pair breaks, or ``FEASIBLE``."""
    bids, asks = snapshot.bids, snapshot.asks
    has = asks.features[ask]
    lacks = (bids.required[bid] & ~has).any(axis=1) | (bids.forbidden[bid] & has).any(axis=1)
    broken = (
        lacks,
        ~snapshot.admits[asks.admission[ask], bids.tenant[bid]],
        (bids.demand[bid] > asks.total[ask]).any(axis=1),
        latencies(snapshot, bid, ask) > bids.latency_ms_max[bid],
        asks.reliability[ask] < bids.reliability_min[bid],
        asks.speed[ask] < bids.speed_min[bid],
        (bids.deadline_ms[bid] > 0) & (bids.work_ms[bid] > bids.deadline_ms[bid] * asks.speed[ask]),
        reserve_rates(snapshot, bid, ask) > bids.limit[bid],
    )
    codes = np.full(len(bid), FEASIBLE, dtype=np.int8)
    for code in range(FEASIBLE - 1, -1, -1):
        codes[broken[code]] = code
    return codes


def row_refusals(snapshot: Snapshot, bid: int) -> Codes:
    """(m,) refusal of every ask for one bid."""
    ask = np.arange(len(snapshot.asks), dtype=np.int32)
    return refusals(snapshot, np.full(len(ask), bid, dtype=np.int32), ask)


def candidates(snapshot: Snapshot, bid: int) -> Indices:
    """(k,) the asks that may serve one bid."""
    return np.flatnonzero(row_refusals(snapshot, bid) == FEASIBLE).astype(np.int32)


def kinds(snapshot: Snapshot) -> tuple[Indices, Indices, Bools, Bools]:
    """(kind of each ask (m,), of each bid (n,), lacks, shut out: (bid kinds, ask kinds) each).

    Asks of one kind have the same features and admission rule; bids of one kind the same required
    and forbidden features and tenant.
    """
    bids, asks = snapshot.bids, snapshot.asks
    sells = np.column_stack([asks.features, asks.admission.astype(np.uint64)])
    buys = np.column_stack([bids.required, bids.forbidden, bids.tenant.astype(np.uint64)])
    ask_rows, ask_kind = _distinct(sells)
    bid_rows, bid_kind = _distinct(buys)
    words = asks.features.shape[1]
    has = ask_rows[None, :, :words]
    required, forbidden = bid_rows[:, None, :words], bid_rows[:, None, words : 2 * words]
    lacks = np.asarray(((required & ~has) | (forbidden & has)).any(axis=2))
    served = snapshot.admits[
        ask_rows[None, :, -1].astype(np.int64), bid_rows[:, None, -1].astype(np.int64)
    ]
    return ask_kind, bid_kind, lacks, ~served


def _distinct(rows: Bits) -> tuple[Bits, Indices]:
    """(distinct rows, which of them each row is); sorts only by the columns that differ."""
    differ = np.flatnonzero((rows != rows[:1]).any(axis=0))
    if not len(differ):
        return rows[:1], np.zeros(len(rows), np.int32)
    if len(differ) == 1:  # many times faster than by rows
        _, first, kind = np.unique(rows[:, differ[0]], return_index=True, return_inverse=True)
    else:
        _, first, kind = np.unique(rows[:, differ], axis=0, return_index=True, return_inverse=True)
    return rows[first], kind.reshape(-1).astype(np.int32)


def feasible_pairs(snapshot: Snapshot) -> tuple[Indices, Indices]:
    """Every feasible pair (bid, ask), ordered by bid, then ask; for small rounds and tests."""
    n, m = len(snapshot.bids), len(snapshot.asks)
    found: list[tuple[Indices, Indices]] = []
    step = max(1, PAIRS_PER_CHUNK_MAX // max(m, 1))
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n), dtype=np.int32)
        bid = np.repeat(rows, m)
        ask = np.tile(np.arange(m, dtype=np.int32), len(rows))
        good = refusals(snapshot, bid, ask) == FEASIBLE
        found.append((bid[good], ask[good]))
    if not found:
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    return np.concatenate([b for b, _ in found]), np.concatenate([a for _, a in found])


def slots_that_fit(free: Ints, demand: Ints) -> Ints:
    """(m,) whole slots of ``demand`` (R,) that fit in each row of ``free`` (m, R).

    A demand for nothing fits without end; callers cap by the bid's count.
    """
    wanted = demand > 0
    if not wanted.any():
        return np.full(len(free), np.iinfo(np.int64).max)
    slots: Ints = np.maximum(free[:, wanted] // demand[wanted], 0).min(axis=1)
    return slots
