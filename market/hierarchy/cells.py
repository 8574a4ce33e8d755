"""The cells that one worker clears: each its own lots on its own nodes, between two messages.

The cells lie side by side in the worker's arrays and never touch: a lot is placed among the nodes
of the cell where it stands, and nothing else is known of another cell but what a message told. A
bid that could do better elsewhere is *offered* there as a guest: it keeps its place, and the other
cell weighs what it would gain above the value that it has (its reserve). A guest that found a place
worth more moves.
"""

from dataclasses import dataclass

import numpy as np

from market.hierarchy.curves import Ground
from market.hierarchy.messages import BidRows
from market.kernels import annealing, search
from market.kernels.cells import adopt, candidates_in_cells, leave
from market.kernels.compiled import NEVER
from market.kernels.problem import Problem
from market.snapshot import Bools, Floats, Indices, Ints

NOWHERE = -1
LIST_WIDTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Lots:
    """The slots of all bids, numbered through."""

    first: Ints  # (n + 1,) lots of bid i are [first[i], first[i + 1])
    bid: Indices  # (lots,)

    @classmethod
    def of(cls, count: Ints) -> "Lots":
        """``count`` (n,) slots of each bid."""
        first = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        return cls(first=first, bid=np.repeat(np.arange(len(count), dtype=np.int32), count))

    def __len__(self) -> int:
        return len(self.bid)


class Cells:
    """Lots on the nodes of some cells; ``ground`` (m nodes) in the order of the cells."""

    node: Indices  # (m,) the caller's index of each node

    def __init__(
        self, *, ground: Ground, cells: int, price: Floats, problem: Problem, bids: BidRows,
        lots: Lots, seed: int,
    ) -> None:  # fmt: skip
        self.ground, self.price, self.bids, self.lots = ground, price, bids, lots
        self.compatible, self.latency = problem.compatible, problem.latency
        self.start = np.searchsorted(ground.cell, np.arange(cells + 1)).astype(np.int64)
        nodes, rows = len(ground), 2 * len(lots)
        most = int(np.diff(self.start).max(initial=1))
        width = max(1, min(LIST_WIDTH, most))
        self.demand = np.zeros((rows, ground.capacity.shape[1]))
        self.cell = np.full(rows, NOWHERE, np.int32)
        self.ask = np.full((rows, width), NOWHERE, np.int32)
        self.value = np.full((rows, width), NEVER, np.float32)
        self.width = np.zeros(rows, np.int32)
        self.reserve = np.zeros(len(lots))
        self.free = ground.capacity.copy()
        self.at = np.full(rows, NOWHERE, np.int32)
        self.worth = np.zeros(rows)
        self.head = np.full(nodes, NOWHERE, np.int32)
        self.after, self.before = np.full(rows, NOWHERE, np.int32), np.full(rows, NOWHERE, np.int32)
        self.row = np.arange(rows, dtype=np.int32)
        self.random = np.random.default_rng(seed).integers(1, 2**63, 1, dtype=np.uint64)
        self.part = np.zeros(nodes, np.int8)
        self.idle_at = np.empty(rows, np.int32)

    @property
    def residents(self) -> int:
        """Lots that stand in these cells."""
        return int((self.cell[: len(self.lots)] >= 0).sum())

    @property
    def welfare(self) -> float:
        """Value of what is placed, guests aside."""
        return float(self.worth[: len(self.lots)].sum())

    def placed(self) -> Bools:
        """(lots,) whether the lot has a place here."""
        found: Bools = self.at[: len(self.lots)] >= 0
        return found

    def unplaced(self) -> Indices:
        """Lots that stand here without a place."""
        here = self.cell[: len(self.lots)] >= 0
        return np.flatnonzero(here & ~self.placed()).astype(np.int32)

    def take(self, lots: Indices, cell: Indices) -> None:
        """Lots stand in these cells from now on; those that fit go to their best node at once."""
        self._list(lots, lots, cell)
        self.fill(lots)

    def invite(self, lots: Indices, cell: Indices, reserve: Floats) -> None:
        """Lots are offered to these cells, where they must be worth more than ``reserve``."""
        guests = (lots + len(self.lots)).astype(np.int32)
        self._list(lots, guests, cell)
        listed = self.ask[guests] >= 0
        self.value[guests] -= np.where(listed, reserve[:, None], 0.0).astype(np.float32)
        self.reserve[lots] = reserve

    def _list(self, lots: Indices, rows: Indices, cell: Indices) -> None:
        ground, bids = self.ground, self.bids
        ask = np.empty((len(lots), self.ask.shape[1]), np.int32)
        value = np.empty(ask.shape, np.float32)
        candidates_in_cells(
            self.lots.bid[lots], cell, self.start, ground.zone, ground.kind, ground.feature,
            ground.attribute, ground.unit_price, self.price, bids.base, bids.slope, bids.near,
            bids.horizon, bids.latency_max, bids.zone, bids.need, bids.money, bids.bid_class,
            self.compatible, self.latency, bids.demand, ask, value,
        )  # fmt: skip
        self.cell[rows], self.ask[rows], self.value[rows] = cell, ask, value
        self.demand[rows] = bids.demand[self.lots.bid[lots]]
        self.width[rows] = (ask >= 0).sum(axis=1)

    def surplus(self, lots: Indices) -> Floats:
        """(k,) the highest value less price that each lot could have here, −1e30 for none."""
        ask, value = self.ask[lots], self.value[lots].astype(np.float64)
        space = np.einsum("kjr,kr->kj", self.price[ask], self.demand[lots])
        most: Floats = np.where(ask >= 0, value - space, -1e30).max(axis=1, initial=-1e30)
        return most

    def fill(self, lots: Indices) -> None:
        """Each unplaced lot of ``lots`` on the fitting node of highest value less price."""
        lots = lots[self.at[lots] < 0].astype(np.int32)
        order = lots[np.argsort(-self.surplus(lots), kind="stable")]
        # By rows, since each lot has a list of its own.
        search.insert_greedily(
            order, self.row, self.ask, self.value, self.demand, self.price, self.free,
            self.at, self.worth, self.head, self.after, self.before,
        )  # fmt: skip

    def anneal(self, *, moves: int, heat: float) -> None:
        """``moves`` proposals to lots and guests of these cells; see ``annealing.anneal``."""
        rows = np.flatnonzero(self.cell >= 0).astype(np.int32)
        annealing.anneal(
            moves, rows, self.part, 0, heat, self.random, self.row, self.ask, self.value,
            self.width, self.demand, self.free, self.at, self.worth, self.head, self.after,
            self.before, np.empty(len(rows), np.int32), self.idle_at,
        )  # fmt: skip

    def dismiss(self, lots: Indices) -> None:
        """Lots stand here no longer."""
        self._out(lots.astype(np.int32))

    def _out(self, rows: Indices) -> None:
        leave(
            rows, self.row, self.demand, self.free, self.at, self.worth, self.head, self.after,
            self.before,
        )  # fmt: skip
        self.cell[rows], self.width[rows] = NOWHERE, 0

    def guests_won(self) -> Indices:
        """Guests whose place here is worth more than what they have."""
        n = len(self.lots)
        return np.flatnonzero((self.at[n:] >= 0) & (self.worth[n:] > 0)).astype(np.int32)

    def part_with_guests(self, won: Indices) -> None:
        """The guests ``won`` become residents, the others leave."""
        n = len(self.lots)
        here = self.cell[n:] >= 0
        here[won] = False
        self._out((np.flatnonzero(here) + n).astype(np.int32))
        guests = won + n
        self.demand[won] = self.demand[guests]
        adopt(
            won, self.reserve[won], self.row, self.demand, self.free, self.at, self.worth,
            self.head, self.after, self.before,
        )  # fmt: skip
        listed = self.ask[guests] >= 0
        value = self.value[guests] + self.reserve[won][:, None].astype(np.float32)
        self.ask[won], self.value[won] = self.ask[guests], np.where(listed, value, NEVER)
        self.cell[won], self.width[won] = self.cell[guests], self.width[guests]
        self.cell[guests], self.width[guests] = NOWHERE, 0

    def reserves(self) -> tuple[Indices, Floats, Floats]:
        """(placed lots, their value less the price of their space, their value)."""
        lots = np.flatnonzero(self.placed()).astype(np.int32)
        space = (self.price[self.at[lots]] * self.demand[lots]).sum(axis=1)
        return lots, self.worth[lots] - space, self.worth[lots]
