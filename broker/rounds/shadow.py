"""A shadow policy clears the rounds that the live one has cleared; its plans are never applied.

It runs when the live plan is in force and everybody has been told, so no job waits for it. It takes
at most ``TIME_SHARE`` of a worker child's time: rounds that come in the meantime are left out.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from broker.services.snapshots import shadow_policy
from db import events
from db.control import rounds
from db.engine import SessionFactory
from db.errors import run_in_transaction
from db.events import NewEvent
from market import mechanisms, score
from market.measures import by_bound_of, measures
from market.plan import Plan
from market.snapshot import Policy, Snapshot

EVENT = "round.shadow"
TIME_SHARE = 0.2
LOOK_AGAIN_AFTER_S = 2.0  # for a shadow policy that an operator has set

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """A round that has been applied."""

    snapshot: Snapshot
    plan: Plan
    budget_ms: int


@dataclass(slots=True, kw_only=True)
class Shadows:
    """Runs the shadow policy, if one is set and there is time."""

    sessions: SessionFactory
    clock: Callable[[], datetime]
    mechanism: str
    monotonic: Callable[[], float] = time.monotonic
    _policy: Policy | None = None
    _look_at: float = 0.0
    _free_at: float = 0.0

    def run(self, cleared: Cleared) -> bool:
        """Clear the round again under the shadow policy and record both; False: left out."""
        policy = self._current()
        if policy is None or self.monotonic() < self._free_at:
            return False
        began = self.monotonic()
        try:
            live, shadow = compare(cleared, policy)
        except ValueError as error:  # a mechanism or payment rule that this version does not have
            log.warning("the shadow policy cannot clear", policy=policy.id, reason=str(error))
            return False
        finally:
            took = self.monotonic() - began
            self._free_at = self.monotonic() + took * (1.0 / TIME_SHARE - 1.0)
        now = self.clock()
        run_in_transaction(
            self.sessions,
            lambda session: record(session, cleared.snapshot, policy, live, shadow, now=now),
        )
        return True

    def _current(self) -> Policy | None:
        if self.monotonic() >= self._look_at:
            with self.sessions() as session:
                self._policy = shadow_policy(session, mechanism=self.mechanism)
            self._look_at = self.monotonic() + LOOK_AGAIN_AFTER_S
        return self._policy


def record(
    session: Session,
    snapshot: Snapshot,
    policy: Policy,
    live: dict[str, float],
    shadow: dict[str, float],
    *,
    now: datetime,
) -> None:
    """Write both plans' figures, and tell operators and viewers what the shadow would be worth."""
    round_id = snapshot.round_id
    if not rounds.insert_shadow(
        session, round_id=round_id, policy_id=policy.id, live=live, shadow=shadow, now=now
    ):
        return
    told = {
        "round_id": round_id,
        "cell_id": snapshot.cell,
        "policy_id": policy.id,
        "welfare": live["welfare"],
        "welfare_shadow": shadow["welfare"],
    }
    events.append(session, [NewEvent(kind=EVENT, subject_id=snapshot.cell, data=told)], now=now)


def compare(cleared: Cleared, policy: Policy) -> tuple[dict[str, float], dict[str, float]]:
    """Figures of the live plan and of the shadow's, both under the live policy's score."""
    snapshot, common = cleared.snapshot, cleared.snapshot.policy
    began = time.perf_counter()
    beside = replace(snapshot, policy=policy)
    plan = mechanisms.get(policy.mechanism).clear(beside, budget_ms=cleared.budget_ms)
    took_ms = (time.perf_counter() - began) * 1e3
    live = measures(snapshot, cleared.plan, common=common)
    live["clear_ms"] = cleared.plan.timings_ms.get("clear", 0.0)
    shadow = measures(beside, plan, common=common)
    if not score.same(policy, common):
        shadow = by_bound_of(live, shadow)
    return live, {**shadow, "clear_ms": took_ms}
