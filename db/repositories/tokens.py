"""Join tokens."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.repositories.paging import Page, Place, cut, newest_first
from db.tables import JoinToken


def by_prefix(session: Session, prefix: str) -> JoinToken | None:
    """The token with this public prefix."""
    return session.scalar(select(JoinToken).where(JoinToken.prefix == prefix))


def take_use(session: Session, token_id: str, now: datetime) -> bool:
    """Use the token once; False if it is used up, revoked or expired by now.

    The row is locked until the transaction ends, so two devices cannot share the last use.
    """
    used = session.execute(
        update(JoinToken)
        .where(
            JoinToken.id == token_id,
            JoinToken.uses_left > 0,
            JoinToken.revoked_at.is_(None),
            JoinToken.expires_at > now,
        )
        .values(uses_left=JoinToken.uses_left - 1)
        .returning(JoinToken.id),
        execution_options={"synchronize_session": False},
    )
    return used.first() is not None


def page(
    session: Session, *, owner_id: str | None, after: Place | None, limit: int
) -> Page[JoinToken]:
    """Tokens for one owner's devices; all with None."""
    statement = select(JoinToken)
    if owner_id is not None:
        statement = statement.where(JoinToken.owner_id == owner_id)
    statement = newest_first(
        statement, at=JoinToken.created_at, id=JoinToken.id, after=after, limit=limit
    )
    tokens = session.scalars(statement).all()
    return cut(tokens, limit=limit, place=lambda t: Place(at=t.created_at, id=t.id))


def revoke(session: Session, token_id: str, *, owner_id: str | None, now: datetime) -> bool:
    """End the token; False if it is not there (or not of ``owner_id``)."""
    statement = select(JoinToken).where(JoinToken.id == token_id).with_for_update()
    if owner_id is not None:
        statement = statement.where(JoinToken.owner_id == owner_id)
    token = session.scalar(statement)
    if token is None:
        return False
    token.revoked_at = token.revoked_at or now
    session.flush()
    return True
