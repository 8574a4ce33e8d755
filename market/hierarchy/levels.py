"""A level above the cells: which cell takes which bid, by prices that it settles on their curves.

The level prices the capacity of the curves by the Lagrangian dual of all bids that it was told of,
so each bid's best *reduced* value in a cell (value less the price of the space it takes) compares
cells fairly: a cell's cheap node is not given to a bid that is nearly as well off elsewhere. Bids
go to the cells of the greedy plan at these prices; those that it leaves out to the cell where they
come nearest. For each bid the level keeps its next best cells, for when it finds no place.
"""

import numpy as np

from market.hierarchy.cells import NOWHERE, Lots
from market.hierarchy.curves import Ground, problem_on
from market.hierarchy.messages import BidRows
from market.kernels import clearing
from market.kernels.auction import Auction
from market.kernels.cells import best_cells
from market.kernels.pace import NEVER_LATE, Pace
from market.kernels.problem import Problem
from market.snapshot import Floats, Indices

CELLS_KEPT = 16  # next best cells of each bid
CELL_LIST_WIDTH = 64  # steps of which they are the cells
LIST_HEAT = 0.006  # their spread, in mean values
NO_VALUE = -1e29
HOPELESS = 0.05  # reduced value under which a bid without a place is not sent on, in mean values


class Level:
    """A region or the root: what it was told, its prices, and where each lot has been."""

    def __init__(self, *, steps: Ground, bids: BidRows, problem: Problem, lots: Lots) -> None:
        self.steps, self.bids, self.lots = steps, bids, lots
        self.rows = np.flatnonzero(bids.known).astype(np.int32)
        self.problem = problem_on(steps, bids, problem)
        self.price = np.zeros_like(steps.capacity)
        self.bound = np.inf
        bids_in_all = len(bids.known)
        self.cells = np.full((bids_in_all, CELLS_KEPT), NOWHERE, np.int32)
        self.reduced = np.full((bids_in_all, CELLS_KEPT), NO_VALUE)
        self.scale = np.zeros(bids_in_all)  # mean value of a bid's bulk
        self.tried = np.zeros((len(lots), CELLS_KEPT), np.bool_)

    def decide(self, *, budget_ms: float, threads: int, seed: int) -> Indices:
        """(lots,) the cell of each lot, NOWHERE for those that none could take."""
        problem, rows = self.problem, self.rows
        chosen = np.full(len(self.lots), NOWHERE, np.int32)
        if not problem.bids or not problem.nodes:
            self.bound = 0.0
            return chosen
        # No search: cells do that, on their nodes.
        effort = {"threads": threads, "price_looks": NEVER_LATE, "phases": 0}
        plan = clearing.clear(
            problem, count_min=np.ones(len(rows), np.int64), budget_ms=round(budget_ms),
            seed=seed, effort=effort,
        )  # fmt: skip
        # As it is told: the bound is of the very prices that all know.
        self.price = plan.price.astype(np.float32).astype(np.float64)
        self._rank(threads=threads, seed=seed)
        chosen[:] = self.cells[self.lots.bid, 0]
        bid = rows[plan.bid]
        # The slots of one bid in the order of its matches.
        order = np.lexsort((plan.ask, bid))
        of_match = np.repeat(order, plan.count[order])
        _, first = np.unique(bid[of_match], return_index=True)
        width = np.diff(np.append(first, len(of_match)))
        within = np.arange(len(of_match)) - np.repeat(first, width)
        chosen[self.lots.first[bid[of_match]] + within] = self.steps.cell[plan.ask[of_match]]
        return chosen

    def _rank(self, *, threads: int, seed: int) -> None:
        problem = self.problem
        lister = Auction(problem, seed=seed, pace=Pace(threads=threads))
        lister.price = self.price[problem.node]
        lists = lister.lists(width=CELL_LIST_WIDTH, heat=LIST_HEAT)
        cell = np.empty((problem.bids, CELLS_KEPT), np.int32)
        reduced = np.empty((problem.bids, CELLS_KEPT))
        best_cells(
            lists.ask, lists.value, problem.demand, lister.price,
            self.steps.cell[problem.node], cell, reduced,
        )  # fmt: skip
        self.bound = lister.bound
        self.scale[self.rows] = lister.mean_value * lister.bulk
        self.cells[self.rows], self.reduced[self.rows] = cell, reduced

    def been(self, lots: Indices, cell: Indices) -> None:
        """Notes that the lots stand in, or were offered to, ``cell``."""
        self.tried[lots] |= self.cells[self.lots.bid[lots]] == cell[:, None]

    def elsewhere(
        self, lots: Indices, *, now: Indices, region: Indices | None,
        reduced: Floats | None = None, least: float = 0.0,
    ) -> tuple[Indices, Indices]:  # fmt: skip
        """(index into ``lots``, cell) of those that have a next cell, for each its best.

        ``now`` is where they stand; with ``region`` (C,) of each cell they stay inside it. With
        ``reduced`` (the value less the price of its space, of a lot that has a place) only lots
        whose reduced value elsewhere is higher by ``least`` mean values. A lot
        without a place that has been everywhere starts anew.
        """
        bid = self.lots.bid[lots]
        cells = self.cells[bid]
        allowed = ~self.tried[lots] & (cells >= 0)
        if region is not None:
            allowed &= region[cells] == region[now][:, None]
        value = np.where(allowed, self.reduced[bid], NO_VALUE)
        best = value.argmax(axis=1)
        most = value[np.arange(len(lots)), best]
        if reduced is None:
            enough = -HOPELESS * self.scale[bid]
            self.tried[lots[most <= NO_VALUE]] = False
        else:
            enough = reduced + least * self.scale[bid]
        going = np.flatnonzero((most > NO_VALUE) & (most >= enough)).astype(np.int32)
        return going, cells[going, best[going]]
