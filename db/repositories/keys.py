"""API keys and browser sessions: by what is presented, and by whose they are."""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from db.repositories.paging import Page, Place, cut, newest_first
from db.tables import Account, ApiKey, BrowserSession


def by_prefix(session: Session, prefix: str) -> tuple[ApiKey, Account] | None:
    """The key with this public prefix and its account."""
    row = session.execute(
        select(ApiKey, Account)
        .join(Account, Account.id == ApiKey.account_id)
        .where(ApiKey.prefix == prefix)
    ).first()
    return None if row is None else (row[0], row[1])


def touch(session: Session, key_id: str, now: datetime) -> None:
    """Record that the key was used."""
    session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=now))


def page(
    session: Session, *, account_id: str | None, after: Place | None, limit: int
) -> Page[ApiKey]:
    """Keys of one account; of all with None."""
    statement = select(ApiKey)
    if account_id is not None:
        statement = statement.where(ApiKey.account_id == account_id)
    statement = newest_first(
        statement, at=ApiKey.created_at, id=ApiKey.id, after=after, limit=limit
    )
    keys = session.scalars(statement).all()
    return cut(keys, limit=limit, place=lambda k: Place(at=k.created_at, id=k.id))


def revoke(
    session: Session, key_id: str, *, account_id: str | None, now: datetime
) -> ApiKey | None:
    """End the key for good; None if it is not there (or not of ``account_id``)."""
    statement = update(ApiKey).where(ApiKey.id == key_id)
    if account_id is not None:
        statement = statement.where(ApiKey.account_id == account_id)
    key = session.scalar(
        statement.values(revoked_at=now).where(ApiKey.revoked_at.is_(None)).returning(ApiKey)
    )
    return key or _revoked_before(session, key_id, account_id)


def _revoked_before(session: Session, key_id: str, account_id: str | None) -> ApiKey | None:
    statement = select(ApiKey).where(ApiKey.id == key_id)
    if account_id is not None:
        statement = statement.where(ApiKey.account_id == account_id)
    return session.scalar(statement)


def session_by_hash(session: Session, secret_hash: bytes) -> tuple[BrowserSession, Account] | None:
    """The browser session whose cookie has this hash, and its account."""
    row = session.execute(
        select(BrowserSession, Account)
        .join(Account, Account.id == BrowserSession.account_id)
        .where(BrowserSession.secret_hash == secret_hash)
    ).first()
    return None if row is None else (row[0], row[1])


def end_session(session: Session, session_id: str) -> None:
    """Sign out one browser."""
    session.execute(delete(BrowserSession).where(BrowserSession.id == session_id))


def end_sessions_of(session: Session, account_id: str) -> None:
    """Sign out every browser of an account."""
    session.execute(delete(BrowserSession).where(BrowserSession.account_id == account_id))


def end_expired_sessions(session: Session, now: datetime) -> None:
    """Forget sessions that are over."""
    session.execute(delete(BrowserSession).where(BrowserSession.expires_at <= now))
