"""The price that would have won: the least limit with which a losing bid would have been served.

The plain way is a formula on the plan's shadow prices; it is an estimate, for a dearer bid changes
who else is served and where. So in small rounds the round is cleared again and again with another
limit of this bid alone, halving the interval to one micro: the answer wins, and one micro less
loses, on the same snapshot. Where the mechanism is not monotone in the limit (``hierarchical``
searches) there may be several such points; this is one at or below the first limit tried that wins.
"""

from dataclasses import dataclass, replace
from typing import Literal

from market.explain import winning_limit
from market.mechanisms import declared, get, greedy
from market.plan import Plan
from market.repeating import unhurried
from market.snapshot import Snapshot

PAIRS_MAX = 20_000
DOUBLINGS_MAX = 40
LIMIT_MAX = 10**15
Method = Literal["bisected", "marginal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceToWin:
    """Micros per slot and hour, None where no limit would do; and how that is known."""

    micros: int | None
    method: Method


def price_to_win(snapshot: Snapshot, plan: Plan, bid: int, *, budget_ms: int) -> PriceToWin:
    """The price with which losing bid ``bid`` (an index) would have won under ``snapshot``.

    Bisected by the policy's mechanism in small rounds, else by the marginal price of ``plan``.
    """
    estimate = winning_limit(snapshot, plan, bid)
    small = len(snapshot.bids) * len(snapshot.asks) <= PAIRS_MAX
    if not small or declared(snapshot.policy.mechanism).solver:
        return PriceToWin(micros=estimate, method="marginal")
    low = int(snapshot.bids.limit[bid])
    if wins(snapshot, bid, limit=low, budget_ms=budget_ms):  # what it lost by is gone
        return PriceToWin(micros=estimate, method="marginal")
    high = _winning(snapshot, bid, above=low, estimate=estimate, budget_ms=budget_ms)
    if high is None:
        return PriceToWin(micros=None, method="bisected")
    while high - low > 1:
        middle = (low + high) // 2
        if wins(snapshot, bid, limit=middle, budget_ms=budget_ms):
            high = middle
        else:
            low = middle
    return PriceToWin(micros=high, method="bisected")


def wins(snapshot: Snapshot, bid: int, *, limit: int, budget_ms: int) -> bool:
    """Whether ``bid`` with ``limit`` is served at least its least count, the clock kept out."""
    limits = snapshot.bids.limit.copy()
    limits[bid] = limit
    changed = replace(snapshot, bids=replace(snapshot.bids, limit=limits))
    least = max(1, min(int(snapshot.bids.count_min[bid]), int(snapshot.bids.count[bid])))
    return served(changed, bid, budget_ms=budget_ms) >= least


def served(snapshot: Snapshot, bid: int, *, budget_ms: int) -> int:
    """Slots that the policy's mechanism gives to ``bid``."""
    if snapshot.policy.mechanism == "greedy":  # without prices and reasons: nothing to compile
        pairs = greedy.candidates(snapshot)
        return greedy.served_slots(snapshot, pairs, greedy.ranking(snapshot, pairs), bid)
    mechanism = get(snapshot.policy.mechanism)
    repeatable = snapshot if "price_looks" in snapshot.policy.parameters else unhurried(snapshot)
    plan = mechanism.clear(repeatable, budget_ms=budget_ms)
    return int(plan.count[plan.bid == bid].sum())


def _winning(
    snapshot: Snapshot, bid: int, *, above: int, estimate: int | None, budget_ms: int
) -> int | None:
    """Some limit above ``above`` that wins, looked for upwards from the estimate; None: none."""
    limit = max(above + 1, estimate or 0)
    for _ in range(DOUBLINGS_MAX):
        if wins(snapshot, bid, limit=limit, budget_ms=budget_ms):
            return limit
        if limit >= LIMIT_MAX:
            return None
        limit = min(2 * limit, LIMIT_MAX)
    return None
