"""What the last rounds of a cell say of a bid that was not in them: would it have won, how dear?

The plain way is to look at what stands in the cell now; but whom a bid will meet is not there yet.
So each recorded round is asked what would have become of the bid in it. On each of its candidates
it could have had the slots that the plan left room for, and those for which others would have made
room: n slots of a winner that are together worth less than one slot of the bid, with n the fewest
that with the room left free enough. It would have won if that is as many slots as it needs at
least.

The test is local, and a round is not: some that lost pass it all the same, the more the scarcer the
room is. So it is tried on (a sample of) the losers of each round, and a round in which the bid
passes counts as won by t, the share of winners among all who pass; one in which it fails as lost.

Rounds are weighted by age, w = 2^(−age / half-life), and the prediction from the present state,
p₀, counts as ``PRIOR_ROUNDS`` rounds (the mean of a beta posterior):

    chance = (Σ w · t · passes + k·t₀·p₀) / (Σ w + k)        t₀ the mean of the rounds' t by w
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from market import feasible, score
from market.plan import Plan
from market.pricing import taken
from market.snapshot import Floats, Indices, Ints, Snapshot

HALF_LIFE_ROUNDS = 6.0
LOSERS_TRIED = 24  # of each round
PRIOR_ROUNDS = 2.5  # k: better than 1 at every load measured
PRICE_QUANTILES = (0.1, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One cleared round, as far as a bid that was not in it can learn from it."""

    node: dict[str, int]  # id of each ask → its row
    left: Ints  # (m, R) what the plan left free
    offered: Ints  # (R,) by all asks together
    ask: Indices  # (k,) of each match
    demand: Ints  # (k, R) of one slot of it
    count: Ints  # (k,)
    value: Floats  # (k,) of one slot
    standing: dict[str, Floats]  # cell → (R,) prices that were paid, micros per priced unit
    trust: float = 1.0  # t

    @classmethod
    def of(cls, snapshot: Snapshot, plan: Plan) -> Self:
        """What ``plan`` made of ``snapshot``; only its matches are read."""
        used = taken(snapshot, plan.bid, plan.ask, plan.count)
        found = cls(
            node={id: j for j, id in enumerate(snapshot.asks.ids)},
            left=snapshot.asks.capacity - used,
            offered=snapshot.asks.total.sum(axis=0),
            ask=plan.ask,
            demand=snapshot.bids.demand[plan.bid],
            count=plan.count,
            value=score.values(snapshot, plan.bid, plan.ask),
            standing=dict(zip(snapshot.cells, snapshot.standing_price, strict=True)),
        )
        return replace(found, trust=found._trust(snapshot, plan))

    def passes(self, snapshot: Snapshot, bid: int, asks: Indices) -> bool:
        """Whether ``bid`` of any ``snapshot``, with candidates ``asks``, could have had its least.

        Nodes are known by their ids; those that were not in the round had nothing to give.
        """
        bids = snapshot.bids
        density = score.densities(snapshot, np.full(len(asks), bid, dtype=np.int32), asks)
        nodes = [snapshot.asks.ids[ask] for ask in asks.tolist()]
        least = max(1, min(int(bids.count_min[bid]), int(bids.count[bid])))
        return self.would_serve(nodes, density, bids.demand[bid]) >= least

    def _trust(self, snapshot: Snapshot, plan: Plan) -> float:
        """t, with one winner more than there were: a round without any says nothing."""
        won = np.bincount(plan.bid, plan.count, minlength=len(snapshot.bids)) > 0
        losers = np.flatnonzero(~won)
        tried = losers[:: max(1, -(-len(losers) // LOSERS_TRIED))].tolist()
        passing = sum(
            self.passes(snapshot, bid, asks)
            for bid in tried
            if len(asks := feasible.candidates(snapshot, bid))
        )
        expected = passing * len(losers) / max(1, len(tried))
        winners = int(won.sum()) + 1
        return winners / (winners + expected)

    def would_serve(self, nodes: Sequence[str], density: Floats, demand: Ints) -> int:
        """Slots of ``demand`` (R,) that a bid worth ``density`` (k,) on ``nodes`` (k) could get."""
        known = [k for k, node in enumerate(nodes) if node in self.node]
        row = np.array([self.node[nodes[k]] for k in known], dtype=np.int64)
        share = demand / np.where(self.offered > 0, self.offered, np.inf)
        worth = np.full(len(self.left), -np.inf)
        worth[row] = density[known] * share.max(initial=0.0)
        free = int(feasible.slots_that_fit(self.left[row], demand).sum())
        lacking = np.maximum(demand - self.left[self.ask], 0)
        wanted = lacking > 0
        fewest = np.zeros(lacking.shape)
        np.divide(lacking, self.demand, out=fewest, where=wanted & (self.demand > 0))
        fewest = np.where(wanted & (self.demand == 0), np.inf, fewest)
        slots = np.maximum(np.ceil(fewest.max(axis=1, initial=1.0)), 1.0)
        gives_way = (slots <= self.count) & (slots * self.value < worth[self.ask])
        return free + int((self.count[gives_way] // slots[gives_way]).sum())


def chance(
    snapshot: Snapshot, bid: int, asks: Indices, past: Sequence[Past], *, prior: float
) -> float:
    """The chance of ``bid`` in the next round; ``past`` the newest first, ``asks`` its candidates.

    ``prior`` is what the present state alone would say.
    """
    weight = 0.5 ** (np.arange(len(past)) / HALF_LIFE_ROUNDS)
    trust = np.array([each.trust for each in past])
    passed = np.array([each.passes(snapshot, bid, asks) for each in past])
    usual = float(weight @ trust) / float(weight.sum())
    found = float(weight @ (trust * passed)) + PRIOR_ROUNDS * usual * prior
    return found / (float(weight.sum()) + PRIOR_ROUNDS)


def rates(snapshot: Snapshot, bid: int, asks: Indices, past: Sequence[Past]) -> Floats:
    """(h · k,) micros per slot and hour that a slot of ``bid`` came to on each of ``asks`` (k,).

    At the prices of each of the h rounds and of now, at least the owner's reserve.
    """
    row = np.full(len(asks), bid, dtype=np.int32)
    reserve = feasible.reserve_rates(snapshot, row, asks).astype(np.float64)
    demand = snapshot.bids.demand[bid] / snapshot.priced_units
    home = snapshot.asks.cell[asks]
    found = [np.maximum(reserve, snapshot.standing_price[home] @ demand)]
    for each in past:
        price = {cell: each.standing.get(cell) for cell in snapshot.cells}
        known = [price[snapshot.cells[cell]] for cell in home.tolist()]
        found += [
            np.array([max(least, float(demand @ unit))])
            for least, unit in zip(reserve.tolist(), known, strict=True)
            if unit is not None
        ]
    return np.concatenate(found)
