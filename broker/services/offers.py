"""Offers: agents make them, owners change their terms or take them off the market."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from broker.services.principals import Principal
from broker.services.refusals import Conflict, Invalid, NotFound, Stale
from db import audit
from db.repositories import offers
from db.tables import Offer
from market.resources import RESOURCE_NAMES


def show(session: Session, offer_id: str, *, principal: Principal) -> Offer:
    """An offer of the asker's, or any for who sees all."""
    offer = offers.get(session, offer_id, owner_id=principal.view)
    if offer is None:
        raise NotFound("offer", offer_id)
    return offer


def change(
    session: Session,
    offer_id: str,
    values: dict[str, Any],
    *,
    version: int | None,
    principal: Principal,
    now: datetime,
) -> Offer:
    """Set reserve prices, whom to serve, or the end; ``values`` holds only what changes.

    Leases that exist keep their rate: only rounds from now on see the change.
    """
    offer = _locked(session, offer_id, principal)
    if version is not None and version != offer.version:
        raise Stale("The offer was changed meanwhile; read it again.")
    if offer.state != "open":
        raise Conflict("The offer was withdrawn; the agent makes a new one.", code="offer_state")
    before = {name: _plain(getattr(offer, name)) for name in values}
    if "reserve" in values:
        values = values | {"reserve": dict(offer.reserve) | _checked(values["reserve"])}
    for name, value in values.items():
        setattr(offer, name, value)
    _touch(session, offer, now)
    after = {name: _plain(value) for name, value in values.items()}
    _record(session, offer, "offer.change", principal, now, before=before, after=after)
    return offer


def withdraw(session: Session, offer_id: str, *, principal: Principal, now: datetime) -> None:
    """Sell nothing more of the node until its agent offers again; doing it twice is fine."""
    offer = _locked(session, offer_id, principal)
    if offer.state == "withdrawn":
        return
    offer.state = "withdrawn"
    _touch(session, offer, now)
    _record(session, offer, "offer.withdraw", principal, now, before={"state": "open"}, after={})


def _locked(session: Session, offer_id: str, principal: Principal) -> Offer:
    whose = None if principal.is_operator else principal.account_id
    offer = offers.locked(session, offer_id, owner_id=whose)
    if offer is None:
        raise NotFound("offer", offer_id)
    return offer


def _checked(reserve: dict[str, int]) -> dict[str, int]:
    for name in reserve:
        if name not in RESOURCE_NAMES:
            raise Invalid(f"{name!r} is not a resource that is sold.", pointer=f"/reserve/{name}")
    return reserve


def _touch(session: Session, offer: Offer, now: datetime) -> None:
    offer.version += 1
    offer.updated_at = now
    session.flush()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _record(
    session: Session,
    offer: Offer,
    action: str,
    principal: Principal,
    now: datetime,
    *,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    audit.record(
        session,
        account_id=principal.account_id,
        action=action,
        subject_id=offer.id,
        before=before,
        after=after,
        address=principal.address,
        now=now,
    )
