"""The operator's policy: versions are added and activated, never changed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from broker.services.principals import Principal
from broker.services.refusals import Conflict, Invalid, NotFound
from db import audit
from db.ids import new_id
from db.repositories import policies
from db.tables import PolicyRow
from market import mechanisms
from market.mechanisms import SIMPLE_PAYMENTS, UnknownMechanism

PARAMETERS = {  # of all mechanisms, least and most
    "repeatable": (0.0, 1.0),
    "fairness_steepness": (0.1, 1_000.0),
    "price_pull": (0.0, 1.0),
    "moving": (0.0, 1.0),
}


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

    Raises ``Invalid`` for weights that are all zero, a floor above the cap, a mechanism that is not
    known, a payment rule that does not go with it, or a parameter out of its range.
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
    found = show(session, policy_id)
    _check(found.body)
    before = policies.in_force(session)
    before_id = None if before is None else before.id
    policy = policies.activate(session, policy_id, now=now)
    assert policy is not None
    _record(session, "policy.activate", policy, principal, now, before={"in_force": before_id})
    return policy


def run_as_shadow(
    session: Session, policy_id: str, *, principal: Principal, now: datetime
) -> PolicyRow:
    """Let a version clear the rounds beside the one in force; it takes the place of another shadow.

    Raises ``Conflict`` for the version in force: it would be compared with itself.
    """
    found = show(session, policy_id)
    _check(found.body)
    live = policies.in_force(session)
    if live is not None and live.id == policy_id:
        raise Conflict("This version is in force: a shadow is another one, to compare it with.")
    ended = policies.end_shadows(session)
    policy = policies.activate(session, policy_id, shadow=True, now=now)
    assert policy is not None
    _record(session, "policy.shadow", policy, principal, now, before={"shadows": ended})
    return policy


def end_shadow(session: Session, policy_id: str, *, principal: Principal, now: datetime) -> None:
    """Stop running a version as a shadow; what it has shown is kept with its rounds."""
    policy = show(session, policy_id)
    if not policy.shadow:
        raise Conflict("This version does not run as a shadow.")
    policies.end_shadows(session)
    _record(session, "policy.shadow_end", policy, principal, now)


def show(session: Session, policy_id: str) -> PolicyRow:
    """One version. Raises ``NotFound``."""
    policy = policies.get(session, policy_id)
    if policy is None:
        raise NotFound("policy", policy_id)
    return policy


def _check(body: dict[str, Any]) -> None:
    """Raise ``Invalid`` with a sentence for the first rule that ``body`` breaks."""
    weights = [value for name, value in body.items() if name.startswith("weight_")]
    if weights and not any(weights):
        raise Invalid("At least one weight must be above zero.", pointer="/body/weight_cost")
    if any(weight < 0 for weight in weights):
        raise Invalid("No weight may be below zero.", pointer="/body/weight_cost")
    if body.get("price_floor_micros", 0) > body.get("price_cap_micros", 2**62):
        raise Invalid("The floor is above the cap.", pointer="/body/price_floor_micros")
    _check_mechanism(body.get("mechanism"), body.get("payment", "uniform"))
    _check_parameters(body.get("parameters", {}))


def _check_parameters(given: Mapping[str, float]) -> None:
    known = PARAMETERS | mechanisms.parameters()
    for name, value in given.items():
        if name not in known:
            raise Invalid(
                f"There is no parameter {name!r}: there are {', '.join(sorted(known))}.",
                pointer="/body/parameters",
            )
        least, most = known[name]
        if not least <= value <= most:
            raise Invalid(
                f"The parameter {name!r} must be between {least:g} and {most:g}.",
                pointer=f"/body/parameters/{name}",
            )


def _check_mechanism(mechanism: str | None, payment: str) -> None:
    """``mechanism`` None: that of the settings, with which every simple payment rule goes."""
    try:
        offered = SIMPLE_PAYMENTS if mechanism is None else mechanisms.payments(mechanism)
    except UnknownMechanism as unknown:
        raise Invalid(
            f"There is no mechanism {unknown.name!r}: there are {', '.join(mechanisms.names())}.",
            pointer="/body/mechanism",
        ) from unknown
    if payment not in offered:
        whose = f"the mechanism {mechanism!r}" if mechanism else "a policy without a mechanism"
        raise Invalid(
            f"The payment rule {payment!r} does not go with {whose}: "
            f"choose one of {', '.join(offered)}.",
            pointer="/body/payment",
        )


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
