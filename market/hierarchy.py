"""Cells clear alone, their leftovers go up, regions and root place them and hand them down.

1. Each cell clears the bids of its home on its own asks (in parallel, one task each).
2. A cell sends up what it could not serve, as bids, and a supply curve of what it has left: for
   each class of asks (zone, features, admission) a few steps of capacity by reserve price.
3. A region, then the root, clears the bids sent up on the curves of all cells below as if each
   step were one ask, which says which cell takes which bid, and hands the bids down.
4. Each cell places what it was handed on its real asks; what does not fit there is lost this round.

All are pure functions; ``clear_in_cells`` drives them in one process, and the same functions run as
one task a cell. A cell without an answer from above keeps the plan of step 1.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from market import feasible, score
from market.outcome import complete
from market.plan import Plan
from market.pricing import taken
from market.snapshot import Asks, Bids, Bools, Floats, Indices, Ints, Snapshot

STEPS_PER_CLASS = 4  # of a supply curve: how finely a cell tells the price of what it has left
ClearMany = Callable[[list[Snapshot]], list[Plan]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyCurve:
    """What one cell has left, as asks: one for each class of its nodes and step of price."""

    cell: int
    asks: Asks  # (steps,) capacity summed; reserve, speed and the rest the mean of the step
    largest: Ints  # (steps, R) the most that one node of the step still has free

    def size_bytes(self) -> int:
        """Bytes of the arrays that go up."""
        arrays = (self.asks.capacity, self.asks.reserve, self.largest, self.asks.features)
        return sum(array.nbytes for array in arrays) + 8 * 6 * len(self.asks)


@dataclass(frozen=True, slots=True, kw_only=True)
class HierarchyResult:
    """The plan of the whole market and what the levels told each other."""

    plan: Plan
    sent_up: int  # bids
    handed_down: int  # bids
    bytes_up: int
    bytes_down: int


def part_of(snapshot: Snapshot, *, bids: Indices, asks: Indices, name: str) -> Snapshot:
    """The same round with only these bids and asks (indices)."""
    carried = snapshot.carried_price
    return replace(
        snapshot,
        cell=name,
        bids=take_bids(snapshot.bids, bids),
        asks=take_asks(snapshot.asks, asks),
        carried_price=None if carried is None else carried[asks],
    )


def take_bids(bids: Bids, index: Indices) -> Bids:
    """The bids at ``index``."""
    return Bids(
        ids=tuple(bids.ids[i] for i in index.tolist()),
        **{name: getattr(bids, name)[index] for name in Bids.__slots__ if name != "ids"},
    )


def take_asks(asks: Asks, index: Indices) -> Asks:
    """The asks at ``index``."""
    names = ("ids", "owners")
    return Asks(
        ids=tuple(asks.ids[j] for j in index.tolist()),
        owners=tuple(asks.owners[j] for j in index.tolist()),
        **{name: getattr(asks, name)[index] for name in Asks.__slots__ if name not in names},
    )


def left_over(snapshot: Snapshot, plan: Plan) -> Snapshot:
    """The round after ``plan``: what asks still have, and what bids still want.

    A bid served in part comes back with the rest of its count, of which any part will do.
    """
    used = taken(snapshot, plan.bid, plan.ask, plan.count)
    served = np.bincount(plan.bid, plan.count, minlength=len(snapshot.bids)).astype(np.int64)
    bids = snapshot.bids
    rest = bids.count - served
    least = np.where(served > 0, np.minimum(rest, 1), bids.count_min)
    return replace(
        snapshot,
        asks=replace(snapshot.asks, capacity=snapshot.asks.capacity - used),
        bids=replace(bids, count=rest, count_min=least),
    )


def supply_curve(snapshot: Snapshot, *, cell: int) -> SupplyCurve:
    """The supply curve of a cell's leftover round."""
    asks = snapshot.asks
    kind, _, _, _ = feasible.kinds(snapshot)
    groups = np.stack([kind, asks.zone], axis=1)
    order, start, width = cut_into_steps(groups, score.unit_prices(snapshot).mean(axis=1))
    return SupplyCurve(
        cell=cell,
        asks=_steps(asks, order, start, width, cell),
        largest=np.maximum.reduceat(asks.capacity[order], start, axis=0)
        if len(start)
        else asks.capacity[:0],
    )


def cut_into_steps(groups: Indices, price: Floats) -> tuple[Indices, Ints, Ints]:
    """(order of the asks, start of each step in it, width of each step).

    ``groups`` (m, k): asks that differ in any column are never in one step. Within a group asks are
    taken in the order of ``price`` (m,) and cut into at most ``STEPS_PER_CLASS`` equal parts.
    """
    order = np.lexsort((price, *groups.T)).astype(np.int32)
    ordered = groups[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = np.flatnonzero(new)
    edges: list[int] = []
    for low, high in zip(first.tolist(), [*first[1:].tolist(), len(order)], strict=False):
        parts = min(STEPS_PER_CLASS, high - low)
        edges += [low + (high - low) * part // parts for part in range(parts)]
    start = np.array(edges, dtype=np.int64)
    return order, start, np.diff(np.append(start, len(order)))


def _steps(asks: Asks, order: Indices, start: Ints, width: Ints, cell: int) -> Asks:
    """One ask for each step ``[start, start + width)`` of the asks in ``order``."""
    leader = order[start] if len(start) else order[:0]
    one = take_asks(asks, leader.astype(np.int32))

    def total(values: Ints) -> Ints:
        return np.add.reduceat(values[order], start, axis=0) if len(start) else values[:0]

    def mean(values: Floats | Ints) -> Floats:
        rows = np.asarray(values, dtype=np.float64)
        if not len(start):
            return rows[:0]
        summed: Floats = np.add.reduceat(rows[order], start, axis=0)
        return summed / (width[:, None] if rows.ndim == 2 else width)

    return replace(
        one,
        ids=tuple(f"step_{cell}_{k}" for k in range(len(start))),
        capacity=total(asks.capacity),
        total=total(asks.total),
        reserve=np.ceil(mean(asks.reserve)).astype(np.int64),
        reliability=mean(asks.reliability),
        speed=mean(asks.speed),
        max_milliwatts=total(asks.max_milliwatts),
    )


def upper_round(snapshot: Snapshot, curves: list[SupplyCurve], bids: Bids, name: str) -> Snapshot:
    """The round of a region or the root: ``bids`` sent up, on the steps of all ``curves``."""
    parts = [curve.asks for curve in curves]
    names = ("ids", "owners")
    steps = Asks(
        ids=tuple(step for part in parts for step in part.ids),
        owners=tuple(owner for part in parts for owner in part.owners),
        **{
            field: np.concatenate([getattr(part, field) for part in parts])
            for field in Asks.__slots__
            if field not in names
        },
    )
    upper = replace(snapshot, cell=name, bids=bids, asks=steps, carried_price=None)
    return as_steps(upper, np.concatenate([curve.largest for curve in curves]))


def as_steps(snapshot: Snapshot, largest: Ints) -> Snapshot:
    """The round with its asks read as steps: no slot is larger than ``largest`` (m, R) allows.

    A slot lies on one node, so a step that has room for it only in the sum of its nodes has none.
    The power of a step is brought to the same size, so that it stays what a core's work takes.
    """
    asks = snapshot.asks
    power = asks.max_milliwatts
    if "cpu_millis" in snapshot.resources:
        cpu = snapshot.resources.index("cpu_millis")
        share = largest[:, cpu] / np.maximum(asks.total[:, cpu], 1)
        power = np.ceil(power * share).astype(np.int64)
    return replace(snapshot, asks=replace(asks, total=largest, max_milliwatts=power))


def handed_down(curves: list[SupplyCurve], plan: Plan, bids: int) -> Indices:
    """(bids,) the cell that each bid of the upper round is handed to, −1 for none."""
    owner = np.concatenate([np.full(len(curve.asks), curve.cell) for curve in curves])
    cell = np.full(bids, -1, np.int32)
    cell[plan.bid[::-1]] = owner[plan.ask[::-1]]
    return cell


def clear_in_cells(
    snapshot: Snapshot,
    *,
    cells: int,
    clear_many: ClearMany,
    regions: int = 1,
    bound: float = np.inf,
) -> HierarchyResult:
    """The whole hierarchy on one snapshot; asks and bids name their cells by index < ``cells``.

    ``clear_many`` clears independent rounds, in parallel if it can. With ``regions`` > 1 bids first
    look within their own region (consecutive cells), then in the root. ``bound`` is a bound of the
    whole market where one is known.
    """
    asks_of = [_where(snapshot.asks.cell == c) for c in range(cells)]
    bids_of = [_where(snapshot.bids.home == c) for c in range(cells)]
    rounds = [
        part_of(snapshot, bids=bids_of[c], asks=asks_of[c], name=snapshot.cells[c])
        for c in range(cells)
    ]
    plans = clear_many(rounds)
    matches = [
        (bids_of[c][plan.bid], asks_of[c][plan.ask], plan.count) for c, plan in enumerate(plans)
    ]
    price = np.zeros(snapshot.asks.capacity.shape)
    for c, plan in enumerate(plans):
        # A cell measures size in shares of itself: its prices in shares of the whole.
        worth = score.values(snapshot, *matches[c][:2]) @ matches[c][2]
        price[asks_of[c]] = plan.node_price * (float(worth) / max(plan.welfare, 1e-300))
    rest = [left_over(one, plan) for one, plan in zip(rounds, plans, strict=True)]
    sent = down = bytes_up = bytes_down = 0
    levels = [regions, 1] if regions > 1 else [1]
    for parts in levels:
        for region in range(parts):
            inside = range(cells * region // parts, cells * (region + 1) // parts)
            waiting = np.concatenate(
                [bids_of[c][rest[c].bids.count > 0] for c in inside] or [np.zeros(0, np.int32)]
            )
            curves = [supply_curve(rest[c], cell=c) for c in inside]
            if not len(waiting) or not sum(len(curve.asks) for curve in curves):
                continue
            open_bids = _open(snapshot, bids_of, rest, inside)
            upper = upper_round(snapshot, curves, open_bids, f"level_{parts}_{region}")
            chosen = handed_down(curves, clear_many([upper])[0], len(waiting))
            sent += len(waiting)
            down += int((chosen >= 0).sum())
            bytes_up += sum(curve.size_bytes() for curve in curves) + 128 * len(waiting)
            bytes_down += 12 * int((chosen >= 0).sum())
            able = [c for c in inside if (chosen == c).any()]
            lower = [
                replace(
                    rest[c], bids=take_bids(open_bids, np.flatnonzero(chosen == c).astype(np.int32))
                )
                for c in able
            ]
            for c, one, plan in zip(able, lower, clear_many(lower), strict=True):
                whose = waiting[chosen == c]
                matches.append((whose[plan.bid], asks_of[c][plan.ask], plan.count))
                used = taken(one, plan.bid, plan.ask, plan.count)
                free = rest[c].asks.capacity - used
                rest[c] = replace(rest[c], asks=replace(rest[c].asks, capacity=free))
                _settle(bids_of, rest, whose[plan.bid], plan.count)
    plan = _whole(snapshot, matches, price, bound)
    return HierarchyResult(
        plan=plan, sent_up=sent, handed_down=down, bytes_up=bytes_up, bytes_down=bytes_down
    )


def _where(marked: Bools) -> Indices:
    return np.flatnonzero(marked).astype(np.int32)


def _open(snapshot: Snapshot, bids_of: list[Indices], rest: list[Snapshot], inside: range) -> Bids:
    """The bids of the cells ``inside`` that still want slots, with their leftover counts."""
    kept = [take_bids(rest[c].bids, _where(rest[c].bids.count > 0)) for c in inside]
    return Bids(
        ids=tuple(name for part in kept for name in part.ids),
        **{
            field: np.concatenate([getattr(part, field) for part in kept])
            for field in Bids.__slots__
            if field != "ids"
        },
    )


def _settle(bids_of: list[Indices], rest: list[Snapshot], bid: Indices, count: Ints) -> None:
    """Takes ``count`` slots off what each bid still wants in its home cell's leftover round."""
    for c, mine in enumerate(bids_of):
        here = np.isin(bid, mine)
        if here.any():
            wanted = rest[c].bids.count.copy()
            np.subtract.at(wanted, np.searchsorted(mine, bid[here]), count[here])
            least = np.where(wanted < rest[c].bids.count, 1, rest[c].bids.count_min)
            bids = replace(rest[c].bids, count=wanted, count_min=np.minimum(least, wanted))
            rest[c] = replace(rest[c], bids=bids)


def _whole(
    snapshot: Snapshot,
    matches: list[tuple[Indices, Indices, Ints]],
    price: Floats,
    bound: float,
) -> Plan:
    bid = np.concatenate([b for b, _, _ in matches] or [np.zeros(0, np.int32)])
    ask = np.concatenate([a for _, a, _ in matches] or [np.zeros(0, np.int32)])
    count = np.concatenate([c for _, _, c in matches] or [np.zeros(0, np.int64)])
    key = bid.astype(np.int64) * max(len(snapshot.asks), 1) + ask
    unique, where = np.unique(key, return_inverse=True)
    slots = np.bincount(where, count, minlength=len(unique)).astype(np.int64)
    i, j = np.divmod(unique, max(len(snapshot.asks), 1))
    return complete(
        snapshot,
        mechanism="hierarchical",
        bid=i.astype(np.int32),
        ask=j.astype(np.int32),
        count=slots,
        bound=bound,
        node_price=price,
    )
