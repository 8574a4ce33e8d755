"""Versions of the operator's policy: rows are only added and activated, never changed."""

import datetime as dt

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.repositories.paging import Page, Place, cut, newest_first
from db.tables import PolicyRow


def get(session: Session, policy_id: str) -> PolicyRow | None:
    """The policy."""
    return session.get(PolicyRow, policy_id)


def in_force(session: Session) -> PolicyRow | None:
    """The newest activated one that is no shadow."""
    return session.scalar(
        select(PolicyRow)
        .where(PolicyRow.activated_at.is_not(None), PolicyRow.shadow.is_(False))
        .order_by(PolicyRow.activated_at.desc(), PolicyRow.id.desc())
        .limit(1)
    )


def page(session: Session, *, after: Place | None = None, limit: int) -> Page[PolicyRow]:
    """All of them, newest first."""
    statement = newest_first(
        select(PolicyRow), at=PolicyRow.created_at, id=PolicyRow.id, after=after, limit=limit
    )
    rows = session.scalars(statement).all()
    return cut(rows, limit=limit, place=lambda each: Place(at=each.created_at, id=each.id))


def add(session: Session, policy: PolicyRow) -> None:
    """Insert a version."""
    session.add(policy)
    session.flush()


def activate(
    session: Session, policy_id: str, *, shadow: bool = False, now: dt.datetime
) -> PolicyRow | None:
    """Put it in force from ``now`` on, or beside the live one as a shadow; None: no such policy."""
    return session.scalar(
        update(PolicyRow)
        .where(PolicyRow.id == policy_id)
        .values(activated_at=now, shadow=shadow)
        .returning(PolicyRow),
        execution_options={"populate_existing": True},
    )
