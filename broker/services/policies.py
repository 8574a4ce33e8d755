"""The operator's policy: versions are added and activated, never changed."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from broker.services.principals import Principal
from broker.services.refusals import Invalid, NotFound
from db import audit
from db.ids import new_id
from db.repositories import policies
from db.tables import PolicyRow


def create(
    session: Session,
    *,
    name: str,
    body: dict[str, Any],
    activate_now: bool,
    principal: Principal,
    now: datetime,
) -> PolicyRow:
    """Add a version; in force from the next round on if it is activated.

    Raises ``Invalid`` for weights that are all zero or a floor above the cap.
    """
    _check(body)
    policy = PolicyRow(
        id=new_id("policy", now),
        name=name,
        body=body,
        created_by=principal.account_id,
        created_at=now,
        activated_at=now if activate_now else None,
        shadow=False,
    )
    policies.add(session, policy)
    _record(session, "policy.create", policy, principal, now, after=body)
    return policy


def activate(session: Session, policy_id: str, *, principal: Principal, now: datetime) -> PolicyRow:
    """Put a version in force from the next round on; an older one rolls back."""
    before = policies.in_force(session)
    before_id = None if before is None else before.id
    policy = policies.activate(session, policy_id, now=now)
    if policy is None:
        raise NotFound("policy", policy_id)
    _record(session, "policy.activate", policy, principal, now, before={"in_force": before_id})
    return policy


def _check(body: dict[str, Any]) -> None:
    weights = [value for name, value in body.items() if name.startswith("weight_")]
    if weights and not any(weights):
        raise Invalid("At least one weight must be above zero.", pointer="/body/weight_cost")
    if body.get("price_floor_micros", 0) > body.get("price_cap_micros", 2**62):
        raise Invalid("The floor is above the cap.", pointer="/body/price_floor_micros")


def _record(
    session: Session,
    action: str,
    policy: PolicyRow,
    principal: Principal,
    now: datetime,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    audit.record(
        session,
        account_id=principal.account_id,
        action=action,
        subject_id=policy.id,
        before=before,
        after=after,
        address=principal.address,
        now=now,
    )
