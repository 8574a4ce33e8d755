"""The integer part of the auction: items on nodes, filled greedily, then annealed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from market.kernels import annealing, filling, pairs, search
from market.kernels.chance import Words
from market.kernels.problem import Singles, in_lanes
from market.kernels.schedule import PHASES
from market.snapshot import Indices, Ints

if TYPE_CHECKING:
    from market.kernels.auction import Auction

# First temperature in mean item values by moves for each item, up to so many; the last.
ANNEAL_HEATS = ((50.0, 0.03), (200.0, 0.05), (600.0, 0.1), (np.inf, 0.15))
ANNEAL_LAST = 0.008


@dataclass(slots=True)
class Lists:
    """Candidate lists, (n, K) each."""

    ask: Indices
    value: Singles


class Placement:
    """The integer state: items on nodes."""

    def __init__(self, auction: "Auction", lists: Lists) -> None:
        problem = auction.problem
        self.auction, self.lists = auction, lists
        self.bid = np.repeat(np.arange(problem.bids, dtype=np.int32), problem.count)
        self.first_item = np.concatenate([[0], np.cumsum(problem.count)]).astype(np.int32)
        items = len(self.bid)
        self.free = problem.capacity.copy()
        self.at = np.full(items, -1, np.int32)
        self.worth = np.zeros(items)
        self.head = np.full(problem.nodes, -1, np.int32)
        self.after, self.before = np.full(items, -1, np.int32), np.full(items, -1, np.int32)
        self.surplus = np.empty(problem.bids, np.float32)
        self.searched = False
        price = np.ascontiguousarray(auction.price.T, np.float32)
        search.best_surplus(lists.ask, lists.value, problem.demand, price, self.surplus)

    def fill(self, bids: Indices | None = None) -> None:
        """Greedy insertion of every unplaced item, by the surplus of its bid."""
        order = falling(self.surplus[self.bid])
        if bids is not None:
            order = order[np.isin(self.bid[order], bids)]
        search.insert_greedily(
            order, self.bid, self.lists.ask, self.lists.value, self.auction.problem.demand,
            self.auction.price, self.free, self.at, self.worth, self.head, self.after, self.before,
        )  # fmt: skip

    def free_share(self) -> float:
        """What is free of the scarcest resource that anybody asks for; 0 where all have a place."""
        problem = self.auction.problem
        total = problem.capacity.sum(axis=0)
        scarce = (total > 0) & (problem.demand > 0).any(axis=0)
        if (self.at >= 0).all() or not scarce.any():
            return 0.0
        return float((self.free.sum(axis=0)[scarce] / total[scarce]).min())

    def fill_anywhere(self) -> None:
        """Unplaced items, by the surplus of their bids, go wherever there is room."""
        problem = self.auction.problem
        idle = np.flatnonzero(self.at < 0)
        order = idle[falling(self.surplus[self.bid[idle]])].astype(np.int32)
        lanes = self.auction.lanes
        room = in_lanes(problem, (filling.ABOVE * self.free.T).astype(np.float32), lanes)
        filling.FILL_ANYWHERE[lanes](
            order, self.bid, problem.block_start, problem.block_zone, problem.block_class, room,
            problem.feature, problem.attribute, problem.unit_price, problem.base, problem.slope,
            problem.near, problem.horizon, problem.latency_max, problem.zone, problem.need,
            problem.money, problem.bid_class, problem.compatible, problem.latency,
            problem.demand, self.auction.price, self.free, self.at, self.worth, self.head,
            self.after, self.before,
        )  # fmt: skip

    def anneal(self, *, moves: int) -> None:
        """About ``moves`` proposals in phases, as many of them as the pace allows."""
        auction = self.auction
        threads = auction.threads if len(self.bid) >= 2_000 else 1
        self.best_first()
        self.searched = True
        width = (self.lists.ask >= 0).sum(axis=1).astype(np.int32)
        placed = self.at >= 0
        if not placed.any():
            return
        typical = float(self.worth[placed].mean())
        thorough = moves / len(self.bid)
        first = next(heat for most, heat in ANNEAL_HEATS if thorough <= most)
        idle_at = np.empty(len(self.bid), np.int32)
        states = auction.random.integers(1, 2**63, (threads, 1), dtype=np.uint64)
        for phase in auction.pace.phases(PHASES):
            done = phase / PHASES
            heat = typical * first * (ANNEAL_LAST / first) ** done
            self._phase(phase, moves // PHASES, heat, states, width, idle_at)

    def best_first(self) -> None:
        """Sorts the lists by value less the price of the bound, as the search draws from them."""
        lists, auction = self.lists, self.auction
        demand, price = auction.problem.demand, auction.certified
        auction.in_parts(
            lambda low, high: pairs.sort_lists(low, high, lists.ask, lists.value, demand, price),
            len(demand),
        )

    def _phase(
        self,
        phase: int,
        moves: int,
        heat: float,
        states: Words,
        width: Indices,
        idle_at: Indices,
    ) -> None:
        auction, problem = self.auction, self.auction.problem
        threads = len(states)
        draw = np.random.default_rng((phase, len(self.bid)))
        part = draw.integers(0, threads, problem.nodes).astype(np.int8)
        owner = np.where(
            self.at >= 0, part[np.maximum(self.at, 0)], draw.integers(0, threads, len(self.bid))
        )

        def work(mine: int) -> None:
            items = np.flatnonzero(owner == mine).astype(np.int32)
            annealing.anneal(
                moves // threads, items, part, mine, heat, states[mine], self.bid, self.lists.ask,
                self.lists.value, width, problem.demand, self.free, self.at, self.worth,
                self.head, self.after, self.before, np.empty(len(items), np.int32), idle_at,
            )  # fmt: skip

        if auction.pool is None or threads == 1:
            work(0)
        else:
            others = [auction.pool.submit(work, mine) for mine in range(1, threads)]
            work(0)
            for other in others:
                other.result()

    def settle(self, count_min: Ints) -> None:
        """Bids with fewer slots than they must have get the rest or nothing; then fills gaps.

        After greedy insertion alone there is no gap that the next of the order would not have had.
        """
        served = np.bincount(self.bid[self.at >= 0], minlength=len(count_min))
        least = np.minimum(count_min, np.iinfo(np.int32).max).astype(np.int32)
        torn = np.flatnonzero((served > 0) & (served < count_min))
        idle = np.flatnonzero((served == 0) & (count_min > 1))
        order = np.concatenate([torn, idle])
        if not len(order) and not self.searched:
            return
        order = order[falling(self.surplus[order])].astype(np.int32)
        search.settle_groups(
            order, self.first_item, least, self.bid, self.lists.ask, self.lists.value,
            self.auction.problem.demand, self.auction.price, self.free, self.at, self.worth,
            self.head, self.after, self.before,
        )  # fmt: skip
        served = np.bincount(self.bid[self.at >= 0], minlength=len(count_min))
        self.fill(np.flatnonzero((served >= count_min) | (count_min <= 1)).astype(np.int32))

    def matches(self) -> tuple[Indices, Indices, Ints]:
        """(bid, ask in the caller's order, slots) of what is placed."""
        placed = np.flatnonzero(self.at >= 0)
        node = self.auction.problem.node[self.at[placed]].astype(np.int64)
        key = self.bid[placed].astype(np.int64) * (int(node.max(initial=0)) + 1) + node
        unique, count = np.unique(key, return_counts=True)
        bid, ask = np.divmod(unique, int(node.max(initial=0)) + 1)
        return bid.astype(np.int32), ask.astype(np.int32), count.astype(np.int64)


def falling(values: Singles) -> Indices:
    """The places of ``values`` from the highest down, equals in their order.

    Of keys that no two places share, so that the fastest sort gives the same order everywhere.
    """
    bits = np.negative(values).view(np.int32)
    rising = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    keys = (rising << 32) | np.arange(len(values))
    return (np.sort(keys) & 0xFFFFFFFF).astype(np.int32)
