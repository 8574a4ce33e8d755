"""One round of one cell: snapshot, clear, apply; each step short, none under another's lock.

Read in one REPEATABLE READ transaction, decided outside any, applied in a third. Whatever dies in
between leaves nothing behind, and the round is simply run again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from broker.plan_apply import Applied, apply_plan
from broker.rounds.budget import round_budget_ms
from broker.rounds.shadow import Cleared, Shadows
from broker.rounds.single_flight import SingleFlight
from broker.rounds.supply import send_up
from broker.services.shares import Shares
from broker.services.snapshot_store import pack
from broker.services.snapshots import build_snapshot, current_policy, paced, read_rows
from db.control import rounds
from db.engine import SessionFactory
from db.errors import run_in_transaction
from db.ids import new_id
from market import mechanisms
from market.plan import Plan
from market.snapshot import Floats, Snapshot
from market.warming import warm
from sim.generators import random_snapshot

T = TypeVar("T")
log = structlog.get_logger(__name__)

AGAIN_MAX = 3  # rounds in a row for what plan_apply refused
_SEED_HEX_DIGITS = 15  # of the round's id: its random end, within 60 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """What one call of ``clear_cell`` did."""

    cell: str
    ran: bool  # False: another round of the cell was waiting already
    bids: int = 0
    slots_applied: int = 0
    slots_refused: int = 0
    sent_up: int = 0  # demands that it could not serve and that may leave
    timings_ms: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Rounds:
    """Clears cells; keeps between rounds only what can be read again."""

    sessions: SessionFactory
    flight: SingleFlight
    clock: Callable[[], datetime]
    mechanism: str
    budget_ms: int
    interval_s: float
    shares: Shares = field(default_factory=Shares)
    send_up: Callable[..., int] = send_up
    shadows: Shadows = field(init=False)
    _cleared: Cleared | None = None
    _carried: dict[str, dict[str, Floats]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shadows = Shadows(sessions=self.sessions, clock=self.clock, mechanism=self.mechanism)

    def clear_cell(
        self, cell: str, *, timed: bool = False, over: Callable[[], None] = lambda: None
    ) -> RoundReport:
        """Clear ``cell`` until nothing of the plan is refused. ``timed``: called by the timer.

        ``over`` is called when the turn is over, whatever came of it. Only then is sent up what the
        cell cannot serve: be that slow or failing, the cell goes on clearing its own bids.
        """
        self._cleared = None
        try:
            with self.flight.turn(cell) as mine:
                if not mine:
                    return RoundReport(cell=cell, ran=False)
                for _ in range(AGAIN_MAX):
                    report = self._round(cell, timed=timed)
                    if not report.slots_refused:
                        break
        finally:
            over()
        return replace(report, sent_up=self._send_up(cell, timed=timed)) if report.ran else report

    def shadow(self) -> bool:
        """Let the shadow policy clear the round that was cleared last; whether it did."""
        cleared, self._cleared = self._cleared, None
        return cleared is not None and self.shadows.run(cleared)

    def _round(self, cell: str, *, timed: bool) -> RoundReport:
        started = time.perf_counter()
        snapshot = self.snapshot(cell)
        if not len(snapshot.bids) and not timed:
            return RoundReport(cell=cell, ran=True)
        read = time.perf_counter()
        mechanism = mechanisms.get(snapshot.policy.mechanism)
        budget_ms = round_budget_ms(snapshot, most_ms=self.budget_ms, timed=timed)
        plan = mechanism.clear(snapshot, budget_ms=budget_ms)
        cleared = time.perf_counter()
        timings = {
            **plan.timings_ms,
            "snapshot": (read - started) * 1000,
            "clear": (cleared - read) * 1000,
        }
        packed = pack(snapshot) if len(snapshot.bids) else None
        stored = time.perf_counter()
        timings["pack"] = (stored - cleared) * 1000
        plan = replace(plan, timings_ms=timings)
        applied = self._apply(snapshot, plan, packed, timed=timed, budget_ms=budget_ms)
        timings["apply"] = (time.perf_counter() - stored) * 1000
        self.carry(cell, snapshot, plan)
        if len(snapshot.bids):
            self._cleared = Cleared(snapshot=snapshot, plan=plan, budget_ms=budget_ms)
        return RoundReport(
            cell=cell,
            ran=True,
            bids=len(snapshot.bids),
            slots_applied=applied.slots_applied,
            slots_refused=applied.slots_refused,
            timings_ms=timings,
        )

    def _send_up(self, cell: str, *, timed: bool) -> int:
        """Demands that now wait for the level above; 0 where telling it failed or took too long."""
        try:
            return self._in_transaction(
                lambda session: self.send_up(session, cell, now=self.clock(), timed=timed)
            )
        except DBAPIError as error:
            log.warning("nothing could be sent up", cell=cell, reason=str(error.orig))
            return 0

    def warm_up(self) -> None:
        """Connect, and run the mechanism in force on a small market, so that all is compiled."""
        warm(self.snapshot("").policy, random_snapshot)
        with self.flight.turn("warm-up"):
            pass

    def snapshot(self, cell: str) -> Snapshot:
        """What a round of ``cell`` would see at this moment."""
        now = self.clock()
        round_id = new_id("round", now)
        with self.sessions() as session:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            policy = current_policy(session, mechanism=self.mechanism)
            rows = read_rows(
                session,
                cells=[cell],
                bids=rounds.read_bids(session, cell),
                policy=policy,
                shares=self.shares,
                now=now,
            )
        return build_snapshot(
            rows,
            round_id=round_id,
            cell=cell,
            policy=paced(policy, rows, cell=cell, now=now, interval_s=self.interval_s),
            now=now,
            seed=int(round_id[-_SEED_HEX_DIGITS:], 16),
            carried=self._carried.get(cell),
        )

    def _apply(
        self, snapshot: Snapshot, plan: Plan, packed: bytes | None, *, timed: bool, budget_ms: int
    ) -> Applied:
        return self._in_transaction(
            lambda session: apply_plan(
                session,
                snapshot,
                plan,
                now=self.clock(),
                packed=packed,
                every_loser=timed,
                budget_ms=budget_ms,
            )
        )

    def _in_transaction(self, work: Callable[[Session], T]) -> T:
        return run_in_transaction(self.sessions, work)

    def carry(self, cell: str, snapshot: Snapshot, plan: Plan) -> None:
        """Keep the shadow prices: the next round starts from them."""
        if plan.node_price.any():
            self._carried[cell] = dict(zip(snapshot.asks.ids, plan.node_price, strict=True))
