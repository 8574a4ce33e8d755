"""What the simple baselines share in rounds of any size: asks looked at for one bid at a time.

The arrays that ``market.kernels.scanning`` works on. Importing this loads the compiler.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from market import score
from market.kernels import scanning
from market.kernels.problem import in_blocks
from market.kernels.scanning import BY_POSTED, BY_RESERVE, BY_SCORE, Buys, Common, Sells
from market.last_asks import classes
from market.snapshot import Floats, Indices, Ints, Snapshot

PAIRS_PER_LIST_MAX = 16_000_000
THREADS = 2
BIDS_FOR_THREADS = 512
BLOCK_ASKS_MAX = (
    16  # smaller ones promise less falsely; half this costs as much in blocks to look at
)

Rows = TypeVar("Rows", Floats, Ints)
__all__ = ["BY_POSTED", "BY_RESERVE", "BY_SCORE", "Matches", "Scan", "bound_of"]

Matches = tuple[Indices, Indices, Ints]  # bid, ask, slots


@dataclass(frozen=True, slots=True)
class Scan:
    """A snapshot as the kernels see it."""

    snapshot: Snapshot
    buys: Buys
    sells: Sells
    common: Common

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Scan":
        """The arrays of ``snapshot``."""
        ask_kind, bid_kind, refused = classes(snapshot)
        common = Common(
            refused=_own(refused, np.int32),
            latency=_own(snapshot.zone_latency_ms, np.float64),
            priced=_own(snapshot.priced_units, np.int64),
            weight=_own(score.weights(snapshot)[:3], np.float64),
        )
        return cls(snapshot, _buys(snapshot, bid_kind), _sells(snapshot, ask_kind), common)

    def best(self) -> Floats:
        """(n,) the best score of each bid over all asks, −inf without a feasible one."""
        found = np.empty(len(self.snapshot.bids))

        def part(low: int, high: int) -> None:
            scanning.best_scores(low, high, self.buys, self.sells, self.common, found)

        if len(found) < BIDS_FOR_THREADS:
            part(0, len(found))
            return found
        edges = np.linspace(0, len(found), THREADS + 1).astype(int).tolist()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(part, edges[:-1], edges[1:]))
        return found

    def by_turns(self, mode: int, turns: Indices) -> Matches:
        """Matches of the bids in ``turns``, each filled from its asks by ``mode``."""
        free = self.free()
        start = self.sells.start
        roomiest = _extreme(np.maximum, free, start)
        return self.named(
            scanning.by_turns(mode, turns, self.buys, self.sells, self.common, free, roomiest)
        )

    def free(self) -> Ints:
        """(m, R) a new array of free capacity in block order."""
        free: Ints = _own(self.snapshot.asks.capacity[self.sells.ask], np.int64)
        return free

    def named(self, matches: Ints) -> Matches:
        """Matches by places in block order, with the caller's indices of asks."""
        return matches[:, 0].astype(np.int32), self.sells.ask[matches[:, 1]], matches[:, 2]

    def rows(self, turns: Indices) -> Iterator[tuple[Indices, Ints, Indices]]:
        """(some of ``turns``, start of each list, feasible asks in ascending order), in parts."""
        step = max(1, PAIRS_PER_LIST_MAX // max(len(self.snapshot.asks), 1))
        for low in range(0, len(turns), step):
            some = turns[low : low + step]
            row = np.empty(len(some) + 1, np.int64)
            ask = scanning.feasible_asks(some, self.buys, self.sells, self.common, row)
            yield some, row, ask


def bound_of(snapshot: Snapshot, best: Floats) -> float:
    """Welfare if every bid had its best ask for itself, from its ``best`` (n,) score."""
    worth = np.where(np.isfinite(best), best, 0.0) * score.sizes(snapshot)
    return float(np.maximum(worth, 0.0) @ snapshot.bids.count)


def _buys(snapshot: Snapshot, kind: Indices) -> Buys:
    bids = snapshot.bids
    delta = score.weights(snapshot)[3]
    further = (  # in the order of ``scanning.LIMIT`` and so on
        bids.limit,
        bids.reliability_min,
        bids.speed_min,
        bids.work_ms,
        bids.deadline_ms,
        score.latency_horizons(snapshot),
        delta * score.fairness_terms(snapshot)[bids.tenant],
        bids.latency_ms_max,
    )
    return Buys(
        row=_own(np.column_stack([bids.demand, *further]), np.float64),
        kind=_own(kind, np.int32),
        zone=_own(bids.zone, np.int32),
        demand=_own(bids.demand, np.int64),
        wanted=_own(bids.count, np.int64),
        least=_own(bids.count_min, np.int64),
    )


def _sells(snapshot: Snapshot, kind: Indices) -> Sells:
    asks = snapshot.asks
    unit = score.unit_prices(snapshot)
    order, start, zone, block_kind = _blocks(asks.zone, kind, unit.sum(axis=1))
    posted = snapshot.standing_price[asks.cell] / snapshot.priced_units
    speed = np.maximum(asks.speed, 1e-9)
    quality = (asks.reliability, asks.speed, speed / (1.0 + speed), score.energy_terms(snapshot))
    row = _own(np.column_stack([asks.total, unit, posted, *quality])[order], np.float64)
    best = _extreme(np.maximum, row, start)
    prices = slice(unit.shape[1], 3 * unit.shape[1])
    best[:, prices] = _extreme(np.minimum, row[:, prices], start)
    return Sells(
        row=row,
        best=_own(best, np.float64),
        ask=_own(order, np.int32),
        start=_own(start, np.int64),
        zone=_own(zone, np.int64),
        kind=_own(block_kind, np.int64),
        reserve=_own(asks.reserve[order], np.int64),
    )


def _blocks(zone: Indices, kind: Indices, order_by: Floats) -> tuple[Indices, Ints, Ints, Ints]:
    """As ``in_blocks``, in blocks of at most ``BLOCK_ASKS_MAX``."""
    order, start, block_zone, block_kind = in_blocks(zone, kind, order_by)
    width = np.diff(start)
    parts = -(-width // BLOCK_ASKS_MAX)
    whole = np.repeat(np.arange(len(width)), parts)
    part = np.arange(len(whole)) - np.repeat(np.cumsum(parts) - parts, parts)
    first = start[whole] + width[whole] * part // parts[whole]
    return order, np.append(first, len(order)), block_zone[whole], block_kind[whole]


def _extreme(over: np.ufunc, rows: Rows, start: Ints) -> Rows:
    """(B, ·) least or most of each block of ``rows`` (m, ·)."""
    return over.reduceat(rows, start[:-1], axis=0) if len(rows) else rows[:0].copy()


def _own(values: Any, dtype: type[np.generic]) -> Any:
    """A contiguous, writable copy: kernels are compiled once for each kind of array."""
    return np.array(values, dtype=dtype, order="C")
