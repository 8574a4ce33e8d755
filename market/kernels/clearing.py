"""One problem cleared in a budget: prices, lists, insertion, search, and the certified bound.

How much each stage does is planned from the sizes and the budget alone (``schedule.py``), so that
the same problem and budget give the same plan; only when the machine is slower than planned does
the wall clock cut the search short (``cut_short`` in the timings).
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from market.kernels import schedule
from market.kernels.auction import Auction
from market.kernels.pace import Pace
from market.kernels.placement import Lists, Placement
from market.kernels.problem import Problem
from market.kernels.schedule import Stage
from market.snapshot import Floats, Indices, Ints

THREADS = max(1, min(2, os.cpu_count() or 1))
PRICES_GUARD = 0.5  # of the budget by the clock: after it the prices are left as they are
SEARCH_GUARD = 0.97  # of the budget by the clock: after it the search ends


@dataclass(slots=True, kw_only=True)
class Solution:
    """Matches in the caller's indices, by bid and then ask, and what certifies them."""

    bid: Indices  # (k,)
    ask: Indices  # (k,)
    count: Ints  # (k,)
    welfare: float  # in single precision values; callers score again
    bound: float
    price: Floats  # (m, R) shadow prices in the caller's node order: those of the bound
    timings_ms: dict[str, float] = field(default_factory=dict)
    effort: dict[str, float] = field(default_factory=dict)  # see ``Pace``: repeats this very run


def clear(
    problem: Problem,
    *,
    count_min: Ints,
    budget_ms: int,
    seed: int,
    carried: Floats | None = None,
    threads: int = THREADS,
    repeatable: bool = False,
    effort: Mapping[str, float] | None = None,
) -> Solution:
    """The best plan found in about ``budget_ms``; ``carried`` (m, R) in the caller's node order.

    With ``repeatable`` the clock is never looked at, so that a slow machine takes longer instead of
    ending earlier; with the ``effort`` of an earlier solution that very run is repeated.
    """
    started = time.perf_counter()
    if not problem.bids or not problem.nodes:
        none = np.zeros(0, np.int32)
        price = np.zeros(problem.capacity.shape)
        return Solution(
            bid=none, ask=none, count=none.astype(np.int64), welfare=0.0, bound=0.0, price=price
        )
    pace = Pace(threads=threads) if effort is None else Pace.repeating(effort)
    if effort is None and not repeatable:
        pace.prices_until = started + PRICES_GUARD * budget_ms / 1e3
        pace.search_until = started + SEARCH_GUARD * budget_ms / 1e3
    auction = Auction(problem, seed=seed, pace=pace)
    return _Course(auction, budget_ms, started).run(count_min, carried)


class _Course:
    """One run through the stages; ``planned`` is the nominal time of what was decided so far."""

    def __init__(self, auction: Auction, budget_ms: int, started: float) -> None:
        self.auction, self.schedule, self.budget_ms = auction, auction.schedule, budget_ms
        self.width = self.schedule.list_width(budget_ms)
        self.hurried = self.schedule.hurried_ms(self.width) >= budget_ms
        # What is done at any rate: the final lists give a bound too.
        self.planned = self.schedule.prepare_ms() + self.schedule.pass_ms(self.width)
        self.staged = self.settled = False  # a stage moved prices; one that looked at all nodes
        self.timings: dict[str, float] = {}
        self.started = self.since = started

    def run(self, count_min: Ints, carried: Floats | None) -> Solution:
        """All stages in their order."""
        self._lap("prepare_ms")
        self._prices(carried)
        self._lap("prices_ms")
        lists = self._lists()
        self._lap("lists_ms")
        certify = self._last_steps(lists)
        self._lap("prices_ms")
        end = self.auction.begin_bound() if certify else None
        placement = Placement(self.auction, lists)
        self._insert(placement, certify=certify)
        if end:
            end()
        self._lap("greedy_ms")
        self._search(placement)
        placement.settle(count_min)
        self._lap("search_ms")
        return self._solution(placement)

    def _lap(self, name: str) -> None:
        now = time.perf_counter()
        self.timings[name] = self.timings.get(name, 0.0) + (now - self.since) * 1e3
        self.since = now

    def _prices(self, carried: Floats | None) -> None:
        """Prices from the last round's or from nothing, and as many stages as fit."""
        auction, room = self.auction, self.budget_ms - self.planned
        if carried is not None:
            auction.price = np.maximum(carried[auction.problem.node], 0.0)
            stages, room = schedule.STAGES[schedule.CARRIED_FROM :], schedule.CARRIED_SHARE * room
        else:
            stages, room = schedule.STAGES, schedule.PRICES_SHARE * room
            draft = self.schedule.draft(room)
            auction.first_prices(draft)
            self.planned += self.schedule.draft_ms(draft)
            room -= self.schedule.draft_ms(draft)
        before = self.planned
        if self.schedule.least_ms(stages[: schedule.STAGES_LEAST], room) > room:
            stages = ()  # steps on the final lists alone do more
        for number, stage in enumerate(stages):
            cost = self._stage(stage, room - (self.planned - before), seed=number + 1)
            if not cost:
                break
            self.planned += cost

    def _stage(self, stage: Stage, room: float, *, seed: int) -> float:
        """One stage, with as many of its steps as ``room`` allows; its cost, nought if left out."""
        auction = self.auction
        every = self.schedule.thinness(stage, room)
        steps = self.schedule.steps(stage, room, every=every)
        if not steps or auction.pace.prices_late():
            return 0.0
        lists = auction.lists(
            width=stage.listed, heat=stage.spread, every=every, drawn=stage.drawn, seed=seed
        )
        if not auction.move_prices(lists, stage, steps):
            return 0.0
        self.staged, self.settled = True, self.settled or every == 1
        return self.schedule.stage_ms(stage, steps, every=every)

    def _lists(self) -> Lists:
        """The final lists; where no stage moved prices, spread, or all would list the same few."""
        heat, drawn = 0.0, 0
        if not self.staged:
            heat, drawn = schedule.LIST_HEAT, self.schedule.drawn(self.budget_ms)
            self.planned += self.schedule.drawn_ms(drawn)
        lists = self.auction.lists(width=self.width, heat=heat, drawn=drawn)
        self.width += drawn
        return lists

    def _last_steps(self, lists: Lists) -> bool:
        """Steps on the final lists; whether they may give a better bound, to be looked for."""
        again = self.planned + self.schedule.insert_ms(certify=True)
        affordable = not self.staged or again < self.budget_ms
        certify = not self.settled and affordable and self.schedule.worth_certifying(self.width)
        room = self.budget_ms - self.planned - self.schedule.insert_ms(certify=certify)
        if certify:
            stage = self.schedule.last_steps(room, self.width)
        else:
            stage = schedule.WARM_STEPS
            room *= schedule.WARM_SHARE if self.settled else 1.0
        steps = self.schedule.steps(stage, room, width=self.width)
        if not self.settled and not self.hurried:
            steps = max(steps, schedule.LAST_STEPS_MIN)
        if not steps:
            return False
        apart = not self.staged and self.schedule.apart(self.width)
        move = self.auction.move_prices_apart if apart else self.auction.move_prices
        move(lists, stage, steps)
        self.planned += self.schedule.stage_ms(stage, steps, width=self.width)
        return certify

    def _insert(self, placement: Placement, *, certify: bool) -> None:
        """Greedy insertion; then a look at all nodes where there is time or much is left free."""
        placement.fill()
        self.planned += self.schedule.insert_ms(certify=certify)
        affordable = self.planned + self.schedule.look_ms() < self.budget_ms
        # Where much is free although some are left over, few nodes were listed: all must be seen.
        if affordable or placement.free_share() > schedule.MUCH_FREE:
            placement.fill_anywhere()
            self.planned += self.schedule.look_ms()

    def _search(self, placement: Placement) -> None:
        moves = self.schedule.moves(self.budget_ms - self.planned)
        if moves:
            placement.anneal(moves=moves)
            cut = self.auction.pace.cut_short(schedule.PHASES)
            self.timings |= {"cut_short": float(cut), "moves": float(moves)}

    def _solution(self, placement: Placement) -> Solution:
        auction = self.auction
        bid, ask, count = placement.matches()
        price = np.zeros_like(auction.price)
        price[auction.problem.node] = auction.certified
        self.timings["total_ms"] = (time.perf_counter() - self.started) * 1e3
        return Solution(
            bid=bid,
            ask=ask,
            count=count,
            welfare=float(placement.worth.sum()),
            bound=auction.bound,
            price=price,
            timings_ms=self.timings,
            effort=auction.pace.effort,
        )
