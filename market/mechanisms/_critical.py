"""What each winner of the greedy pass must bid at least, slot by slot: its critical limits.

The plain way is to run the pass again for every guess at a limit: a round of 1,000 bids takes
minutes. But a guess changes only where the bid stands in the order and which asks it can pay; the
others, without it, do the same for every guess. So the others' pass goes on once without the bid,
from its place in the order until nothing is left for it, and what was free for it after each of
them is noted: what any limit would have won is then looked up. Others that meet only nodes which
are as they were with the bid do what they did, and are not filled again.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np

from market import feasible, score
from market.mechanisms.greedy import Candidates, fill
from market.payments import Step
from market.snapshot import Floats, Indices, Ints, Snapshot

Won = list[tuple[int, int]]  # (ask, slots)


@dataclass(slots=True)
class _Walk:
    """What was free for one bid as the others' pass went on without it."""

    bid: int
    reserve: Ints  # (k,) of its asks, the cheapest first
    density: Floats  # (k,) at its own limit
    expense: Floats  # (k,) micros per slot and hour that the cost term goes by
    place: int  # how many others stand before it
    end: int = 0  # places beyond it leave too little
    at: list[int] = field(default_factory=list)  # places from which ``room`` holds
    room: list[Ints] = field(default_factory=list)  # (k,) slots free on each ask


class Critical:
    """The steps of all winners of one pass, in the order in which the pass served them."""

    def __init__(
        self,
        snapshot: Snapshot,
        pairs: Candidates,
        rank: Floats,
        matches: tuple[Indices, Indices, Ints],
    ) -> None:
        self.snapshot, self.pairs, self.rank = snapshot, pairs, rank
        able = np.flatnonzero(rank > -np.inf)
        self.order = able[np.argsort(-rank[able], kind="stable")]
        self.won: dict[int, Won] = {}
        for bid, ask, count in zip(*(part.tolist() for part in matches), strict=True):
            self.won.setdefault(bid, []).append((ask, count))
        self.rows: dict[int, tuple[Indices, Ints, Floats]] = {}
        self.alpha = float(score.weights(snapshot)[0])

    def steps(self) -> dict[int, tuple[Step, ...]]:
        """The steps of every winner."""
        free = self.snapshot.asks.capacity.copy()
        found: dict[int, tuple[Step, ...]] = {}
        for place, bid in enumerate(self.order.tolist()):
            if bid in self.won:
                walk = self._walk(bid, place, free)
                found[bid] = self._steps(walk, sum(count for _, count in self.won[bid]))
            self._take(free, bid, self.won.get(bid, []))
        return found

    def _row(self, bid: int) -> tuple[Indices, Ints, Floats]:
        """(asks, reserve rates, densities) of the bid's pairs, the cheapest first."""
        if bid not in self.rows:
            row = slice(int(self.pairs.start[bid]), int(self.pairs.start[bid + 1]))
            reserve = self.pairs.reserve_rate[row]
            by = np.argsort(reserve, kind="stable")
            self.rows[bid] = self.pairs.ask[row][by], reserve[by], self.pairs.density[row][by]
        return self.rows[bid]

    def _take(self, free: Ints, bid: int, won: Won) -> None:
        for ask, count in won:
            free[ask] -= self.snapshot.bids.demand[bid] * count

    def _walk(self, bid: int, place: int, before: Ints) -> _Walk:
        bids = self.snapshot.bids
        asks, reserve, density = self._row(bid)
        demand = bids.demand[bid]
        expense = score.unit_prices(self.snapshot)[asks] @ demand.astype(np.float64)
        walk = _Walk(bid, reserve, density, expense, place)
        alone, beside = before.copy(), before.copy()  # without the bid, and as it was with it
        self._take(beside, bid, self.won[bid])
        differs = np.zeros(len(before), np.bool_)
        differs[[ask for ask, _ in self.won[bid]]] = True
        mine = np.full(len(before), -1)
        mine[asks] = np.arange(len(asks))
        room = feasible.slots_that_fit(alone[asks], demand)
        least = max(1, int(bids.count_min[bid]))
        walk.at.append(place)
        walk.room.append(room)
        for others, other in enumerate(self.order[place + 1 :].tolist(), start=place + 1):
            walk.end = others - 1
            won = self.won.get(other, [])
            here = self._row(other)[0]
            self._take(beside, other, won)
            if differs[here].any():
                again = self._filled(alone, other)
                self._take(alone, other, again)
                touched = [ask for ask, _ in (*won, *again)]
                differs[touched] = (alone[touched] != beside[touched]).any(axis=1)
                won = again
            else:
                self._take(alone, other, won)
            changed = [int(mine[ask]) for ask, _ in won if mine[ask] >= 0]
            if changed:
                room = room.copy()
                room[changed] = feasible.slots_that_fit(alone[asks[changed]], demand)
                walk.at.append(others)
                walk.room.append(room)
                if _capped(room, int(bids.count[bid])) < least:
                    return walk
        walk.end = len(self.order) - 1
        return walk

    def _filled(self, free: Ints, bid: int) -> Won:
        bids = self.snapshot.bids
        found = fill(free, self._row(bid)[0], bids.demand[bid], int(bids.count[bid]))
        served = sum(count for _, count in found)
        return found if served >= bids.count_min[bid] else []

    def _steps(self, walk: _Walk, slots: int) -> tuple[Step, ...]:
        """For each number of slots up to ``slots`` the least limit that wins as many."""
        steps: list[Step] = []
        high = int(self.snapshot.bids.limit[walk.bid])
        while slots > 0:
            low = -1
            while high - low > 1:
                middle = (low + high) // 2
                if self._served(walk, middle) >= slots:
                    high = middle
                else:
                    low = middle
            fewer = self._served(walk, high - 1)
            steps.append(Step(limit=high, slots=slots - fewer))
            slots = fewer
        return tuple(reversed(steps))

    def _served(self, walk: _Walk, limit: int) -> int:
        """Slots that the bid would get with this limit, at most its own."""
        able = int(np.searchsorted(walk.reserve, limit, side="right"))
        if limit < 0 or not able:
            return 0
        bids = self.snapshot.bids
        own = max(int(bids.limit[walk.bid]), 1)
        change = self.alpha * walk.expense[:able] * (1.0 / own - 1.0 / max(limit, 1))
        place = self._place(walk, float((walk.density[:able] + change).max()))
        if place > walk.end:
            return 0
        room = walk.room[bisect_right(walk.at, place) - 1][:able]
        served = _capped(room, int(bids.count[walk.bid]))
        return served if served >= bids.count_min[walk.bid] else 0

    def _place(self, walk: _Walk, rank: float) -> int:
        """How many others stand before the bid with this rank; never fewer than with its own."""
        order = self.order
        place = int(np.searchsorted(-self.rank[order], -rank, side="left"))
        while place < len(order) and self.rank[order[place]] == rank and order[place] < walk.bid:
            place += 1
        return max(walk.place, place - (place > walk.place))


def _capped(room: Ints, count: int) -> int:
    """Slots in ``room`` (k,), at most ``count``: each part is capped, for they may be endless."""
    return min(count, int(np.minimum(room, count).sum()))
