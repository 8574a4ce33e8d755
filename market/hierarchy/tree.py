"""One problem cleared by cells and the levels above them, and what that takes on the wire.

1. Cells tell upwards their supply curves and the bids that may leave (those that only the home cell
   can serve never travel).
2. The root settles prices on the curves and says which cell takes which bid (``Level``).
3. Each cell fills its nodes and searches, in parallel (``Cells``). Between the phases of the search
   lots without a place go up and are handed to their next best cell; later on, lots that do better
   in another cell are offered there. With regions, every other such exchange stays inside a region.
4. At the end all-or-nothing bids that hold a part are taken out, and gaps are filled.

Whatever passes between levels passes as an encoded message, and is counted. Where the root does not
answer, each cell is its own root: the same steps, without a message.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from market.hierarchy.cells import NOWHERE, Cells, Lots
from market.hierarchy.curves import Ground, ground_of, steps_of
from market.hierarchy.levels import Level
from market.hierarchy.messages import PLAIN, BidRows, Column, Form, Traffic, pack, unpack
from market.kernels import schedule
from market.kernels.placement import ANNEAL_HEATS, ANNEAL_LAST
from market.kernels.problem import Problem
from market.kernels.schedule import PHASES
from market.snapshot import Floats, Indices, Ints

ROOT_SHARE = 0.55  # of the budget, planned as for a clearing of which prices take a part
EXCHANGE_EVERY = 1  # phases
OFFERS_FROM = 0.6  # of the phases: while the search is hot a lot leaves for next to nothing
OFFER_LEAST = 0.01  # mean values by which another cell must look better: offers are most bytes
SEARCH_SHARE = 0.9  # of the time left: the rest goes into lists and messages
LAST_CHANCES = 3  # exchanges after the search
ROUNDING = 1e-5  # of a value in single precision, of its constant part, on the side of the bound
NUMBER_BYTES = 8
PAIRS_PER_MS = 1_500_000  # nominal speed of a pass over all pairs, one thread


@dataclass(slots=True, kw_only=True)
class Cleared:
    """Matches in the caller's indices, their bound, and what the levels told each other."""

    bid: Indices  # (k,)
    ask: Indices  # (k,)
    count: Ints  # (k,)
    welfare: float  # in single precision values; callers score again
    bound: float  # inf where a cell told its nodes by steps, or the root did not answer
    price: Floats  # (m, R) in the caller's node order
    traffic: Traffic
    sent_up: int  # bids
    handed_down: int  # bids that another cell than their home served
    timings_ms: dict[str, float]


def clear(
    problem: Problem, *, cell: Indices, home: Indices, cells: int, count_min: Ints,
    budget_ms: int, workers: int, seed: int, regions: int = 1, root_answers: bool = True,
) -> Cleared:  # fmt: skip
    """The plan found in about ``budget_ms`` of ``workers`` threads.

    ``cell`` (m,) and ``home`` (n,) in the caller's order of nodes and bids, each under ``cells``.
    How much is done follows from sizes and budget alone, so the same arguments give the same plan.
    """
    with ThreadPoolExecutor(workers) as pool:
        tree = Tree(problem, cell=cell, home=home, cells=cells, regions=regions, pool=pool)
        tree.workers, tree.seed = workers, seed
        return tree.clear(count_min, budget_ms=budget_ms, root_answers=root_answers)


class Tree:
    """A round being cleared: the cells of each worker, the levels, and the wire between them."""

    workers: int
    seed: int

    def __init__(
        self, problem: Problem, *, cell: Indices, home: Indices, cells: int, regions: int,
        pool: ThreadPoolExecutor,
    ) -> None:  # fmt: skip
        self.problem, self.home, self.cells, self.pool = problem, home, cells, pool
        self.region = (np.arange(cells) * regions // cells).astype(np.int32)
        self.regions, self.hops = regions, 2 if regions > 1 else 1
        self.traffic = Traffic()
        self.all_bids = BidRows.of(problem, Form.of(problem))
        self.lots = Lots.of(problem.count)
        self.ground, self.node = ground_of(problem, cell)
        self.cell_knows = np.zeros((cells, problem.bids), np.bool_)
        self.cell_knows[home, np.arange(problem.bids)] = True
        self.stands = np.full(len(self.lots), NOWHERE, np.int32)
        self.groups: list[Cells] = []
        self.timings: dict[str, float] = {}

    def clear(self, count_min: Ints, *, budget_ms: int, root_answers: bool) -> Cleared:
        """All four steps; see the module."""
        started = time.perf_counter()
        root_ms = ROOT_SHARE * budget_ms
        if root_answers:
            level, price = self._ask_root(root_ms)
        else:
            level, price = None, self._alone(root_ms)
        self._open(price)
        standing = np.flatnonzero(self.stands >= 0).astype(np.int32)
        self._hand(standing, self.stands[standing], hops=self.hops if level else 0)
        if level:
            self._certify(level)
        decided = time.perf_counter()
        pass_ms = self.problem.bids * len(self.ground) / PAIRS_PER_MS / self.workers
        spent = schedule.PRICES_SHARE * root_ms + 2 * pass_ms
        self._search(level, max(0.0, budget_ms - spent))
        self._settle(level, count_min)
        ended = time.perf_counter()
        self.timings |= {"root_ms": (decided - started) * 1e3, "cells_ms": (ended - decided) * 1e3}
        return self._cleared(level, price)

    def _ask_root(self, budget_ms: float) -> tuple[Level, Floats]:
        steps, step_of = self._tell_curves()
        leaving = self._leaving()
        level = Level(
            steps=steps, bids=self._tell_bids(leaving), problem=self.problem, lots=self.lots
        )
        self.stands = level.decide(budget_ms=budget_ms, threads=self.workers, seed=self.seed)
        message = pack([level.price.astype(np.float32)])
        self.traffic.down += len(message) * self.hops
        told = unpack(message, [("f4", level.price.shape[1])])[0].astype(np.float64)
        staying = np.ones(self.problem.bids, np.bool_)
        staying[leaving] = False
        local = np.flatnonzero(staying[self.lots.bid])
        self.stands[local] = self.home[self.lots.bid[local]]
        return level, np.ascontiguousarray(told[step_of])

    def _alone(self, budget_ms: float) -> Floats:
        """Each cell is its own root; the prices of its nodes."""
        price = np.zeros_like(self.ground.capacity)
        steps, step_of = steps_of(self.ground)
        for c in range(self.cells):
            mine = np.flatnonzero(self.home == c).astype(np.int32)
            low, high = np.searchsorted(steps.cell, [c, c + 1])
            bids = BidRows.empty(self.problem, self.all_bids.form)
            bids.copy(self.all_bids, mine)
            level = Level(
                steps=steps.take(slice(low, high)), bids=bids, problem=self.problem, lots=self.lots
            )
            level.decide(budget_ms=budget_ms / self.cells, threads=1, seed=self.seed)
            nodes = slice(*np.searchsorted(self.ground.cell, [c, c + 1]).tolist())
            price[nodes] = level.price[step_of[nodes] - low]
        self.stands = self.home[self.lots.bid].astype(np.int32)
        return price

    def _leaving(self) -> Indices:
        """Bids that some cell but their home might serve, by latency alone."""
        problem, ground = self.problem, self.ground
        has = np.zeros((self.cells, problem.latency.shape[0]), np.int64)
        has[ground.cell, ground.zone] = 1
        elsewhere = has.sum(axis=0)[None] - has
        reach = problem.latency[problem.zone] <= problem.latency_max[:, None]
        found = (reach & (elsewhere[self.home] > 0)).any(axis=1)
        return np.flatnonzero(found).astype(np.int32)

    def _tell_curves(self) -> tuple[Ground, Indices]:
        """(the steps of all cells as the root hears them, the step of each node)."""
        steps, step_of = steps_of(self.ground)
        edges = np.searchsorted(steps.cell, np.arange(self.cells + 1)).tolist()
        messages = [steps.take(slice(low, high)).tell() for low, high in pairwise(edges)]
        self.traffic.up += self.hops * sum(len(message) for message in messages)
        parts = [steps.heard(message) for message in messages]
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in Ground.__slots__
        }
        return Ground(**joined), step_of

    def _tell_bids(self, rows: Indices) -> BidRows:
        """What the root hears of the bids ``rows``, told by their home cells."""
        heard = BidRows.empty(self.problem, self.all_bids.form)
        order = rows[np.argsort(self.home[rows], kind="stable")]
        for mine in np.split(order, np.flatnonzero(np.diff(self.home[order])) + 1):
            if len(mine):
                message = self.all_bids.tell(mine)
                self.traffic.up += len(message) * self.hops
                heard.hear(message)
        return heard

    def _open(self, price: Floats) -> None:
        """Each worker takes consecutive cells with about as many nodes, and knows their bids."""
        nodes = np.bincount(self.ground.cell, minlength=self.cells)
        middle = np.cumsum(nodes) - nodes / 2.0
        worker_of = (middle * self.workers / max(len(self.ground), 1)).astype(np.int32)
        self.worker = np.minimum(worker_of, self.workers - 1)
        for worker in range(self.workers):
            low, high = np.searchsorted(self.worker[self.ground.cell], [worker, worker + 1])
            bids = BidRows.empty(self.problem, self.all_bids.form)
            mine = self.worker[self.home] == worker
            bids.copy(self.all_bids, np.flatnonzero(mine).astype(np.int32))
            group = Cells(
                ground=self.ground.take(slice(low, high)), cells=self.cells,
                price=np.ascontiguousarray(price[low:high]), problem=self.problem, bids=bids,
                lots=self.lots, seed=self.seed + worker,
            )  # fmt: skip
            group.node = self.node[low:high]
            self.groups.append(group)

    def _certify(self, level: Level) -> None:
        """Adds to the root's bound what bids that it was not told of could gain at its prices."""
        if len(level.steps) < len(self.ground):
            level.bound = np.inf  # of steps, not of nodes
            return
        local = np.flatnonzero(~level.bids.known[self.lots.bid]).astype(np.int32)
        for group in self.groups:
            mine = local[group.cell[local] >= 0]
            rounding = ROUNDING * np.abs(group.bids.base[self.lots.bid[mine]]).astype(np.float64)
            level.bound += float((np.maximum(group.surplus(mine), 0.0) + rounding).sum())
        self.traffic.up += NUMBER_BYTES * self.cells * self.hops

    def _each(self, work: Callable[[int], None]) -> None:
        """``work(worker)`` for every worker, side by side."""
        list(self.pool.map(work, range(self.workers)))

    def _hand(
        self, lots: Indices, cell: Indices, *, hops: int, reserve: Floats | None = None
    ) -> None:
        """Lots are handed (with a ``reserve``: offered) to ``cell``, which learns their bids."""
        owner = self.worker[cell]

        def work(worker: int) -> None:
            mine = np.flatnonzero(owner == worker)
            mine = mine[np.argsort(cell[mine], kind="stable")]
            if not len(mine):
                return
            group, bid = self.groups[worker], self.lots.bid[lots[mine]]
            new = np.flatnonzero(~self.cell_knows[cell[mine], bid])
            size = 0
            if len(new):
                message = self.all_bids.tell(bid[new])
                size += len(message)
                group.bids.hear(message)
                self.cell_knows[cell[mine], bid] = True
            columns: list[Column] = [lots[mine].astype(np.uint32), cell[mine].astype(np.uint16)]
            if reserve is not None:
                columns.append(reserve[mine].astype(np.float32))
            message = pack(columns)
            sizes[worker] = (size + len(message)) * hops
            got = unpack(message, [("u4", PLAIN), ("u2", PLAIN), ("f4", PLAIN)][: len(columns)])
            handed, where = got[0].astype(np.int32), got[1].astype(np.int32)
            if reserve is None:
                group.take(handed, where)
            else:
                group.invite(handed, where, got[2].astype(np.float64))

        sizes = [0] * self.workers
        self._each(work)
        self.traffic.down += sum(sizes)
        if reserve is None:
            self.stands[lots] = cell

    def _search(self, level: Level | None, room_ms: float) -> None:
        """The phases of all cells' searches, and the exchanges between them."""
        rate = schedule.moves_per_ms(len(self.lots), self.problem.demand.shape[1])
        standing = max(1, sum(group.residents for group in self.groups))
        moves = int(SEARCH_SHARE * room_ms * rate * self.workers)
        moves = min(moves, schedule.MOVES_PER_ITEM_MAX * standing)
        placed = sum(int(group.placed().sum()) for group in self.groups)
        typical = sum(group.welfare for group in self.groups) / max(placed, 1)
        first = next(heat for most, heat in ANNEAL_HEATS if moves / standing <= most)
        self.timings["moves"] = float(moves)
        for phase in range(PHASES):
            done = phase / PHASES
            heat = typical * first * (ANNEAL_LAST / first) ** done

            def work(worker: int, heat: float = heat) -> None:
                group = self.groups[worker]
                share = moves * group.residents // standing
                group.anneal(moves=share // PHASES, heat=heat)

            self._each(work)
            if level and (phase + 1) % EXCHANGE_EVERY == 0:
                last_one = phase + EXCHANGE_EVERY >= PHASES
                offers = done >= OFFERS_FROM and not last_one
                self._exchange(level, offers=offers, number=phase // EXCHANGE_EVERY)
        for chance in range(LAST_CHANCES if level else 0):
            assert level
            self._exchange(level, offers=False, number=chance)

    def _exchange(self, level: Level, *, offers: bool, number: int) -> None:
        """Guests that found a place move, lots without one go to their next cell, new offers."""
        inside = None if number % 2 == self.regions % 2 or self.regions == 1 else self.region
        hops = self.hops if inside is None else 1
        won = [group.guests_won() for group in self.groups]
        for group, mine in zip(self.groups, won, strict=True):
            self.stands[mine] = group.cell[mine + len(self.lots)]
            self._count_up(hops, mine)
        gone = np.concatenate(won)
        self._each(lambda worker: self.groups[worker].dismiss(gone))
        self._each(lambda worker: self.groups[worker].part_with_guests(won[worker]))
        self.traffic.down += len(pack([gone.astype(np.uint32)])) * hops
        idle = [group.unplaced() for group in self.groups]
        for mine in idle:
            self._count_up(hops, mine)
        lots = np.concatenate(idle)
        going, cell = level.elsewhere(lots, now=self.stands[lots], region=inside)
        lots = lots[going]
        self._each(lambda worker: self.groups[worker].dismiss(lots))
        level.been(lots, cell)
        self._hand(lots, cell, hops=hops)
        if offers:
            self._offer(level, region=inside, hops=hops)

    def _offer(self, level: Level, *, region: Indices | None, hops: int) -> None:
        found = [group.reserves() for group in self.groups]
        lots, reduced, reserve = (np.concatenate(part) for part in zip(*found, strict=True))
        going, cell = level.elsewhere(
            lots, now=self.stands[lots], region=region, reduced=reduced, least=OFFER_LEAST
        )
        self._count_up(hops, lots[going], reduced[going], reserve[going])
        level.been(lots[going], cell)
        self._hand(lots[going], cell, hops=hops, reserve=reserve[going])

    def _count_up(self, hops: int, lots: Indices, *values: Floats) -> None:
        columns = [lots.astype(np.uint32), *(value.astype(np.float32) for value in values)]
        self.traffic.up += len(pack(columns)) * hops if len(lots) else 0

    def _settle(self, level: Level | None, count_min: Ints) -> None:
        """Bids with fewer lots than they must have get the rest or nothing; gaps are filled."""
        for _ in range(2):
            served = np.zeros(self.problem.bids, np.int64)
            for group in self.groups:
                group.fill(group.unplaced())
                served += np.bincount(self.lots.bid[group.placed()], minlength=len(served))
            torn = served < np.minimum(count_min, self.problem.count)
            lots = np.flatnonzero(torn[self.lots.bid] & (self.stands >= 0)).astype(np.int32)
            if not (served[torn] > 0).any():
                return
            self._count_up(self.hops if level else 0, lots)
            for group in self.groups:
                group.dismiss(lots)
            self.stands[lots] = NOWHERE
        for group in self.groups:
            whole = group.unplaced()
            group.fill(whole[count_min[self.lots.bid[whole]] <= 1])

    def _cleared(self, level: Level | None, price: Floats) -> Cleared:
        lots = [np.flatnonzero(group.placed()) for group in self.groups]
        bid = self.lots.bid[np.concatenate(lots)].astype(np.int64)
        node = np.concatenate(
            [group.node[group.at[mine]] for group, mine in zip(self.groups, lots, strict=True)]
        )
        nodes = max(len(self.ground), 1)
        key, count = np.unique(bid * nodes + node, return_counts=True)
        by_node = np.zeros_like(price)
        by_node[self.node] = price
        away = self.stands[np.concatenate(lots)] != self.home[bid]
        return Cleared(
            bid=(key // nodes).astype(np.int32),
            ask=(key % nodes).astype(np.int32),
            count=count.astype(np.int64),
            welfare=sum(group.welfare for group in self.groups),
            bound=level.bound if level else np.inf,
            price=by_node,
            traffic=self.traffic,
            sent_up=len(level.rows) if level else 0,
            handed_down=len(np.unique(bid[away])),
            timings_ms=self.timings,
        )
