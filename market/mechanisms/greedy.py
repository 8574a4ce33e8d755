"""Plain greedy: bids in order of their best value for each unit of size, each on its best asks.

Raising a limit only ever moves a bid forward, so the allocation is monotone and ``critical``
payments are well defined. Under ``critical`` a bid takes the cheapest asks that fit instead of the
dearest-scored: only then can a higher limit never lead to a dearer owner, which would push the
payment above the critical one and make an honest limit a losing move.

In large rounds bids look for their asks one at a time, so memory does not grow with the pairs. They
are listed in small ones, where nothing need be compiled, and under ``critical``, which goes through
them again for every winner. The plan is the same.
"""

from dataclasses import dataclass

import numpy as np

from market import feasible, score
from market.outcome import complete
from market.payments import Step
from market.plan import Plan
from market.snapshot import Bools, Floats, Indices, Ints, Snapshot

PAYMENTS = ("critical",)
LISTED_PAIRS_MAX = 50_000


@dataclass(frozen=True, slots=True)
class Candidates:
    """Feasible pairs in rows by bid: row i is ``[start[i], start[i + 1])``."""

    start: Ints  # (n + 1,)
    ask: Indices  # (k,)
    density: Floats  # (k,)
    reserve_rate: Ints  # (k,)

    def keep(self, good: Bools) -> "Candidates":
        """The same pairs, only those that ``good`` (k,) marks."""
        before = np.concatenate([[0], np.cumsum(good)])
        return Candidates(
            before[self.start], self.ask[good], self.density[good], self.reserve_rate[good]
        )


class Greedy:
    """The greedy mechanism."""

    name = "greedy"

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """One pass over the bids; the budget is not needed."""
        small = len(snapshot.bids) * len(snapshot.asks) <= LISTED_PAIRS_MAX
        if snapshot.policy.payment != "critical" and not small:
            return scanned(snapshot)
        pairs = candidates(snapshot)
        rank = ranking(snapshot, pairs)
        bid, ask, count = allocate(snapshot, pairs, rank)
        return complete(
            snapshot,
            mechanism=self.name,
            bid=bid,
            ask=ask,
            count=count,
            bound=simple_bound(snapshot, pairs),
            steps=lambda: critical_steps(snapshot, pairs, rank, (bid, ask, count)),
        )


def create() -> Greedy:
    """The greedy mechanism."""
    return Greedy()


def scanned(snapshot: Snapshot) -> Plan:
    """The plan of a round of any size, pairs not listed; not for ``critical`` payments."""
    from market.mechanisms._scanning import BY_SCORE, Scan, bound_of  # loads the compiler

    scan = Scan.of(snapshot)
    best = scan.best()
    turns = np.argsort(-best, kind="stable").astype(np.int32)
    bid, ask, count = scan.by_turns(BY_SCORE, turns[: int(np.isfinite(best).sum())])
    bound = bound_of(snapshot, best)
    return complete(snapshot, mechanism=Greedy.name, bid=bid, ask=ask, count=count, bound=bound)


def critical_steps(
    snapshot: Snapshot, pairs: Candidates, rank: Floats, matches: tuple[Indices, Indices, Ints]
) -> dict[int, tuple[Step, ...]]:
    """What every winner must bid at least, slot by slot."""
    from market.mechanisms._critical import Critical  # which needs this module

    return Critical(snapshot, pairs, rank, matches).steps()


def candidates(snapshot: Snapshot) -> Candidates:
    """Every feasible pair with its density and reserve."""
    bid, ask = feasible.feasible_pairs(snapshot)
    return Candidates(
        np.searchsorted(bid, np.arange(len(snapshot.bids) + 1)),
        ask,
        score.densities(snapshot, bid, ask),
        feasible.reserve_rates(snapshot, bid, ask),
    )


def ranking(snapshot: Snapshot, pairs: Candidates) -> Floats:
    """(n,) the best density of each bid, −inf without a feasible ask."""
    best = np.full(len(snapshot.bids), -np.inf)
    rows = np.flatnonzero(np.diff(pairs.start))
    if len(rows):
        best[rows] = np.maximum.reduceat(pairs.density, pairs.start[rows])
    return best


def allocate(
    snapshot: Snapshot, pairs: Candidates, rank: Floats, *, until: int | None = None
) -> tuple[Indices, Indices, Ints]:
    """Matches ``(bid, ask, count)`` of the pass; stops after bid ``until`` where given."""
    bids = snapshot.bids
    free = snapshot.asks.capacity.copy()
    cheapest_first = snapshot.policy.payment == "critical"
    matches: list[tuple[int, int, int]] = []
    for bid in np.argsort(-rank, kind="stable").tolist():
        if rank[bid] == -np.inf:
            break
        row = slice(int(pairs.start[bid]), int(pairs.start[bid + 1]))
        key = pairs.reserve_rate[row] if cheapest_first else -pairs.density[row]
        found = fill(
            free,
            pairs.ask[row][np.argsort(key, kind="stable")],
            bids.demand[bid],
            int(bids.count[bid]),
        )
        if found and sum(count for _, count in found) >= bids.count_min[bid]:
            for ask, count in found:
                free[ask] -= bids.demand[bid] * count
                matches.append((bid, ask, count))
        if bid == until:
            break
    table = np.array(matches, dtype=np.int64).reshape(-1, 3)
    return table[:, 0].astype(np.int32), table[:, 1].astype(np.int32), table[:, 2]


def fill(free: Ints, asks: Indices, demand: Ints, wanted: int) -> list[tuple[int, int]]:
    """(ask, slots) that serve up to ``wanted`` slots from ``asks`` in the order given."""
    found: list[tuple[int, int]] = []
    room = feasible.slots_that_fit(free[asks], demand)
    for position in np.flatnonzero(room > 0).tolist():
        count = min(wanted, int(room[position]))
        found.append((int(asks[position]), count))
        wanted -= count
        if wanted == 0:
            break
    return found


def served_slots(snapshot: Snapshot, pairs: Candidates, rank: Floats, bid: int) -> int:
    """Slots that ``bid`` gets in a pass that ends with it."""
    found, _, count = allocate(snapshot, pairs, rank, until=bid)
    return int(count[found == bid].sum())


def simple_bound(snapshot: Snapshot, pairs: Candidates) -> float:
    """Welfare if every bid had its best ask for itself: a bound without any computation."""
    best = ranking(snapshot, pairs)
    worth = np.where(np.isfinite(best), best, 0.0) * score.sizes(snapshot)
    return float(np.maximum(worth, 0.0) @ snapshot.bids.count)
