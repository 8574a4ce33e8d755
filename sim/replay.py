"""Recorded rounds cleared again: as they were, to the byte, and as another policy would have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from market import score
from market.measures import by_bound_of, measures
from market.mechanisms import get, payments
from market.outcome import PaymentUnavailable
from market.plan import Plan
from market.repeating import unhurried
from market.snapshot import PaymentRule, Policy, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One round: its instance, and what the platform noted of it."""

    snapshot: Snapshot
    budget_ms: int
    digest: str = ""  # of its plan; "" where none was noted


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """What is to be different; None: as recorded."""

    mechanism: str | None = None
    weights: Mapping[str, float] | None = None  # by name; those absent are 0
    payment: PaymentRule | None = None
    budget_ms: int | None = None

    def policy(self, recorded: Policy) -> Policy:
        """The policy to replay under."""
        changed: dict[str, Any] = {}
        if self.mechanism is not None:
            changed["mechanism"] = self.mechanism
        if self.payment is not None:
            changed["payment"] = self.payment
        if self.weights is not None:
            for name in ("cost", "qos", "energy", "fairness"):
                changed[f"weight_{name}"] = float(self.weights.get(name, 0.0))
        return replace(recorded, **changed)

    def changes(self, recorded: Policy) -> bool:
        """Whether anything is different at all."""
        return self.budget_ms is not None or self.policy(recorded) != recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The figures of one round, both by the score of its recorded policy."""

    round_id: str
    cell: str
    at_ms: int
    same_plan: bool | None  # the repetition against the record; None: no digest was noted
    recorded: dict[str, float]
    replayed: dict[str, float]


def replay(recorded: Recorded, other: Other) -> Replayed:
    """Repeat a round, then clear it as ``other`` says. Raises what the mechanism refuses."""
    snapshot = recorded.snapshot
    plan = get(snapshot.policy.mechanism).clear(snapshot, budget_ms=recorded.budget_ms)
    again = _otherwise(recorded, other) if other.changes(snapshot.policy) else plan
    common = snapshot.policy
    before, after = (measures(snapshot, each, common=common) for each in (plan, again))
    if not score.same(other.policy(common), common):
        after = by_bound_of(before, after)
    return Replayed(
        round_id=snapshot.round_id,
        cell=snapshot.cell,
        at_ms=snapshot.now_ms,
        same_plan=plan.digest() == recorded.digest if recorded.digest else None,
        recorded=before,
        replayed=after,
    )


def _otherwise(recorded: Recorded, other: Other) -> Plan:
    changed = replace(recorded.snapshot, policy=other.policy(recorded.snapshot.policy))
    budget_ms = recorded.budget_ms if other.budget_ms is None else other.budget_ms
    mechanism = get(changed.policy.mechanism)
    if changed.policy.payment not in payments(mechanism.name):
        raise PaymentUnavailable(payment=changed.policy.payment, mechanism=mechanism.name)
    return mechanism.clear(unhurried(changed), budget_ms=budget_ms)


def means(rounds: Sequence[Replayed]) -> list[dict[str, Any]]:
    """One row a figure: mean as recorded, mean as replayed, the change as a share."""
    if not rounds:
        return []
    rows = []
    for name in rounds[0].recorded:
        before = sum(each.recorded[name] for each in rounds) / len(rounds)
        after = sum(each.replayed[name] for each in rounds) / len(rounds)
        change = after / before - 1.0 if before else None
        rows.append({"figure": name, "recorded": before, "replayed": after, "change": change})
    return rows
