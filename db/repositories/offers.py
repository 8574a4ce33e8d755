"""Offers: made by agents, changed by their owners."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.repositories.paging import Page, Place, cut, newest_first
from db.tables import Offer


def get(session: Session, offer_id: str, *, owner_id: str | None) -> Offer | None:
    """One offer; with ``owner_id`` only if it is theirs."""
    statement = select(Offer).where(Offer.id == offer_id)
    if owner_id is not None:
        statement = statement.where(Offer.owner_id == owner_id)
    return session.scalar(statement)


def locked(session: Session, offer_id: str, *, owner_id: str | None) -> Offer | None:
    """As ``get``, locked against other writers."""
    statement = select(Offer).where(Offer.id == offer_id).with_for_update()
    if owner_id is not None:
        statement = statement.where(Offer.owner_id == owner_id)
    return session.scalar(statement)


def page(
    session: Session,
    *,
    owner_id: str | None,
    chosen: dict[str, str],
    after: Place | None,
    limit: int,
) -> Page[Offer]:
    """Offers, newest first; ``chosen`` maps columns to the value wanted."""
    statement: Any = select(Offer)
    if owner_id is not None:
        statement = statement.where(Offer.owner_id == owner_id)
    for column, value in chosen.items():
        statement = statement.where(getattr(Offer, column) == value)
    statement = newest_first(statement, at=Offer.created_at, id=Offer.id, after=after, limit=limit)
    offers = session.scalars(statement).all()
    return cut(offers, limit=limit, place=lambda o: Place(at=o.created_at, id=o.id))
