"""A round cleared by cells and the levels above them: flat in what it decides, not in who knows.

Measured with cells that clear their own bids first and send up what is left, the hierarchy loses
6 to 9 % of the welfare at 8 to 128 cells, almost all of it because bids take a place at home that
are better off elsewhere: they are never sent up, and what comes back finds the good nodes gone. So
the levels settle prices before any cell fills, and cells exchange what finds no place while they
search (``market.hierarchy.tree``). That loses under half a percent at 4,000 bids on 1,000 nodes
and above, about one where a dozen nodes to a cell are asked for twice what they have.

``as_steps`` and ``cut_into_steps`` are the supply curve in the form of a round's asks, for levels
that see only what cells have left after their own rounds.
"""

import time
from dataclasses import dataclass, replace

import numpy as np

from market.factors import problem_of
from market.hierarchy import tree
from market.hierarchy.curves import STEPS_PER_CLASS, cut_into_steps
from market.mechanisms.hierarchical import checked
from market.outcome import complete
from market.plan import Plan
from market.snapshot import Asks, Bids, Indices, Ints, Snapshot

__all__ = [
    "STEPS_PER_CLASS",
    "HierarchyResult",
    "as_steps",
    "by_latency",
    "clear_in_cells",
    "cut_into_steps",
    "part_of",
    "take_asks",
    "take_bids",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class HierarchyResult:
    """The plan of the whole market and what the levels told each other."""

    plan: Plan
    sent_up: int  # bids
    handed_down: int  # bids that another cell than their home served
    bytes_up: int  # of the encoded messages, each hop counted
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


def clear_in_cells(
    snapshot: Snapshot,
    *,
    cells: int,
    budget_ms: int,
    workers: int = 2,
    regions: int = 1,
    root_answers: bool = True,
) -> HierarchyResult:
    """The whole hierarchy on one snapshot; asks and bids name their cells by index < ``cells``.

    ``budget_ms`` is planned, for ``workers`` threads: the same arguments give the same plan. With
    ``regions`` > 1 (consecutive cells) every second exchange stays inside the region, and what goes
    to the root takes two hops. Without an answer of the root each cell clears its own bids.
    """
    started = time.perf_counter()
    found = tree.clear(
        problem_of(snapshot),
        cell=snapshot.asks.cell,
        home=snapshot.bids.home,
        cells=cells,
        count_min=snapshot.bids.count_min,
        budget_ms=budget_ms,
        workers=workers,
        seed=snapshot.seed,
        regions=regions,
        root_answers=root_answers,
    )
    bid, ask, count = checked(snapshot, found.bid, found.ask, found.count)
    plan = complete(
        snapshot,
        mechanism="hierarchical",
        bid=bid,
        ask=ask,
        count=count,
        bound=found.bound,
        node_price=found.price,
        timings_ms=found.timings_ms,
    )
    plan.timings_ms["round_ms"] = (time.perf_counter() - started) * 1e3
    return HierarchyResult(
        plan=plan,
        sent_up=found.sent_up,
        handed_down=found.handed_down,
        bytes_up=found.traffic.up,
        bytes_down=found.traffic.down,
    )


def by_latency(snapshot: Snapshot, *, cells: int) -> Snapshot:
    """The round with its zones grouped into ``cells`` cells of zones near each other.

    Zones are halved along the pair that is furthest apart until there are enough groups of about
    equally many nodes. Bids without a place live where their number falls.
    """
    latency, nodes = snapshot.zone_latency_ms, np.bincount(
        snapshot.asks.zone, minlength=len(snapshot.zone_latency_ms)
    )  # fmt: skip
    groups = [np.arange(len(latency))]
    while len(groups) < cells and max(len(group) for group in groups) > 1:
        splits = [int(nodes[group].sum()) if len(group) > 1 else -1 for group in groups]
        group = groups.pop(int(np.argmax(splits)))
        near = latency[np.ix_(group, group)]
        one, two = np.unravel_index(int(near.argmax()), near.shape)
        order = group[np.argsort(near[one] - near[two], kind="stable")]
        half = np.searchsorted(np.cumsum(nodes[order]), nodes[order].sum() / 2) + 1
        half = int(np.clip(half, 1, len(order) - 1))
        groups += [order[:half], order[half:]]
    cell_of = np.zeros(len(latency), np.int32)
    for c, group in enumerate(groups):
        cell_of[group] = c
    zone = snapshot.bids.zone
    spread = (np.arange(len(zone)) % len(groups)).astype(np.int32)
    home = np.where(zone < 0, spread, cell_of[np.maximum(zone, 0)]).astype(np.int32)
    return replace(
        snapshot,
        cells=tuple(f"cell_{c}" for c in range(cells)),
        asks=replace(snapshot.asks, cell=cell_of[snapshot.asks.zone]),
        bids=replace(snapshot.bids, home=home),
        standing_price=np.zeros((cells, len(snapshot.resources))),
    )
