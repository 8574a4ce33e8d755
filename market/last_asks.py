"""What ruled out the last asks of many bids at once: the arrays that the kernels look at.

Importing this loads the compiler.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from market import feasible, score
from market.kernels.problem import in_blocks
from market.kernels.refusals import Blocks, Wants, cheapest_asks, last_constraints
from market.repeats import first_and_group
from market.snapshot import Floats, Indices, Ints, Snapshot

THREADS = 2
BIDS_FOR_THREADS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAsks:
    """For k bids: the constraint that ruled their last asks out, and the asks to speak of."""

    code: Ints  # (k,) index into ``feasible.CONSTRAINTS``, ``FEASIBLE``, or −1 without any ask
    ask: Indices  # (k,) the ask that came closest; of feasible ones the freest
    room: Ints  # (k,) slots that still fit on the feasible asks, each ask at most the count
    cheapest: Indices  # (k,) of the feasible ones, that of least shadow price; −1: all are free


def last_asks(
    snapshot: Snapshot,
    bids: Indices,
    *,
    free: Ints,
    node_price: Floats,
    enough: Ints | None = None,
) -> LastAsks:
    """What ruled out the last asks of each of ``bids`` (k,): one compiled pass.

    ``room`` is counted until it is ``enough`` (k,), None: in full. Bids that ask for the same are
    looked at once.
    """
    ask_kind, bid_kind, refused = classes(snapshot)
    if enough is None:
        enough = np.full(len(bids), np.iinfo(np.int64).max)
    first, group = _alike(snapshot, bids, bid_kind[bids], enough)
    wants = _wants(snapshot, bids[first], bid_kind[bids[first]], enough[first])
    k = len(first)
    code, room = np.full(k, -1, np.int64), np.zeros(k, np.int64)
    ask, cheapest = np.full(k, -1, np.int32), np.full(k, -1, np.int32)
    common = (refused, snapshot.zone_latency_ms, snapshot.priced_units)
    room_first, cheap_first = _orders(snapshot, free, node_price)
    by_room = _blocks(snapshot, ask_kind, free, node_price, order_by=room_first)
    _in_parts(
        lambda low, high: last_constraints(low, high, wants, by_room, *common, code, ask, room), k
    )
    if node_price.any():
        by_price = _blocks(snapshot, ask_kind, free, node_price, order_by=cheap_first)
        able = code == feasible.FEASIBLE
        _in_parts(
            lambda low, high: cheapest_asks(low, high, wants, by_price, *common, able, cheapest), k
        )
    return LastAsks(code=code[group], ask=ask[group], room=room[group], cheapest=cheapest[group])


def classes(snapshot: Snapshot) -> tuple[Indices, Indices, Indices]:
    """(class of each ask (m,), of each bid (n,), (bid classes, ask classes) why they do not meet).

    Asks that differ only in features that no bid looks at are of one class, and so are bids that
    the same asks refuse. Where they meet the entry is ``FEASIBLE``.
    """
    ask_kind, bid_kind, lacks, shut_out = feasible.kinds(snapshot)
    why = np.full(lacks.shape, feasible.FEASIBLE, np.int32)
    why[shut_out] = 1
    why[lacks] = 0
    rows, row_of = first_and_group(why)
    columns, column_of = first_and_group(np.ascontiguousarray(why.T))
    refused = np.ascontiguousarray(why[rows][:, columns])
    return column_of[ask_kind], row_of[bid_kind], refused


def _alike(snapshot: Snapshot, bids: Indices, kind: Indices, enough: Ints) -> tuple[Ints, Indices]:
    """(position of the first bid of each group of equal ones, group of each bid (k,))."""
    buys = snapshot.bids
    some = buys.deadline_ms[bids] > 0
    integers = (kind, buys.limit[bids], buys.zone[bids], buys.deadline_ms[bids])
    counted = (np.where(some, buys.work_ms[bids], 0), buys.count[bids] * (enough > 0), enough)
    floats = (buys.latency_ms_max[bids], buys.reliability_min[bids], buys.speed_min[bids])
    columns = [column.astype(np.int64) for column in (*integers, *counted)]
    columns += [column.astype(np.float64).view(np.int64) for column in floats]
    return first_and_group(np.column_stack([*columns, buys.demand[bids]]))


def _wants(snapshot: Snapshot, bids: Indices, kind: Indices, enough: Ints) -> Wants:
    buys = snapshot.bids
    demand = np.ascontiguousarray(buys.demand[bids])
    amount = demand.astype(np.float64)
    inverse = np.divide(1.0, amount, out=np.zeros_like(amount), where=amount > 0)
    needs = (buys.limit, np.minimum(buys.latency_ms_max, 1e300), buys.reliability_min)
    paces = (buys.speed_min, buys.work_ms, buys.deadline_ms)
    return Wants(
        row=np.column_stack([amount, inverse, *(column[bids] for column in (*needs, *paces))]),
        kind=kind,
        zone=buys.zone[bids],
        demand=demand,
        limit=buys.limit[bids],
        slots=buys.count[bids],
        enough=enough,
    )


def _orders(snapshot: Snapshot, free: Ints, price: Floats) -> tuple[Floats, Floats]:
    """(m,) twice: by how many mean demands asks have room for, and by what one would cost."""
    demand = snapshot.bids.demand
    asked = demand.any(axis=0)
    if not asked.any():
        return np.zeros(len(free)), np.zeros(len(free))
    mean = demand[:, asked].mean(axis=0)
    return -(free[:, asked] / mean).min(axis=1), price[:, asked] @ mean


def _blocks(
    snapshot: Snapshot, kind: Indices, free: Ints, price: Floats, *, order_by: Floats
) -> Blocks:
    """The asks in blocks of one zone and class, alike in ``order_by`` (m,), visited by it."""
    sells = snapshot.asks
    order, start, zone, block_kind = in_blocks(sells.zone, kind, order_by)
    spare = np.maximum(free, 0)[order]
    reserve = score.unit_prices(snapshot)
    qualities = np.column_stack([sells.reliability, sells.speed])[order]
    row = np.column_stack([sells.total[order], spare, reserve[order], qualities])
    best = _extreme(np.maximum, row, start)
    reserves = slice(2 * spare.shape[1], 3 * spare.shape[1])
    best[:, reserves] = _extreme(np.minimum, row[:, reserves], start)
    shadow = np.ascontiguousarray(price[order])
    return Blocks(
        row=row,
        best=best,
        price=shadow,
        least_price=_extreme(np.minimum, shadow, start),
        start=start,
        visit=np.argsort(order_by[order][start[:-1]], kind="stable"),
        zone=zone,
        kind=block_kind,
        ask=order,
        free=spare,
        reserve=sells.reserve[order],
    )


def _extreme(over: np.ufunc, rows: Floats, start: Ints) -> Floats:
    """(B, ...) least or most of each block of ``rows`` (m, ...)."""
    if not len(rows):
        return rows[:0].copy()
    found: Floats = over.reduceat(rows, start[:-1], axis=0)
    return found


def _in_parts(work: Callable[[int, int], None], size: int) -> None:
    """Runs ``work(low, high)`` on even parts of ``range(size)``."""
    if size < BIDS_FOR_THREADS:
        work(0, size)
        return
    edges = np.linspace(0, size, THREADS + 1).astype(int).tolist()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))
