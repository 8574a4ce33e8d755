"""From what a request presents to who asks: API keys, browser sessions, sign-in.

A secret has 256 bits of its own, so its SHA-256 is kept and compared in constant time; passwords
are argon2 hashes. All raise ``Unauthenticated`` with one and the same text, whatever was wrong.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from broker.services.passwords import check_password
from broker.services.principals import SCOPES_OF, Principal
from broker.services.refusals import Unauthenticated
from db.ids import new_id
from db.repositories import accounts, keys
from db.tables import Account, BrowserSession, Role

KEY_MARK = "souk"
PREFIX_BYTES = 6
SECRET_BYTES = 32
TOUCH_EVERY = timedelta(minutes=1)
PRESENTED_CHARS_MAX = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A new credential: what is shown once, and what is kept."""

    presented: str
    prefix: str
    secret_hash: bytes


def make_secret(mark: str = KEY_MARK) -> Secret:
    """``<mark>_<prefix>_<secret>``; the prefix finds the row, the secret is kept as a hash."""
    prefix, secret = secrets.token_hex(PREFIX_BYTES), secrets.token_hex(SECRET_BYTES)
    return Secret(
        presented=f"{mark}_{prefix}_{secret}", prefix=prefix, secret_hash=secret_hash(secret)
    )


def secret_hash(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def split_secret(presented: str, mark: str = KEY_MARK) -> tuple[str, str]:
    """``(prefix, secret)``; raises ``Unauthenticated`` for anything of another form."""
    parts = presented[:PRESENTED_CHARS_MAX].removeprefix(f"{mark}_").split("_")
    if not presented.startswith(f"{mark}_") or len(parts) != 2 or not all(parts):
        raise _unknown()
    if not presented.isascii() or not presented.isprintable():
        raise _unknown()
    return parts[0], parts[1]


def by_key(session: Session, presented: str, *, now: datetime) -> Principal:
    """Who holds this API key."""
    prefix, secret = split_secret(presented)
    found = keys.by_prefix(session, prefix)
    if found is None or not hmac.compare_digest(found[0].secret_hash, secret_hash(secret)):
        raise _unknown()
    key, account = found
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        raise _unknown()
    if key.last_used_at is None or now - key.last_used_at > TOUCH_EVERY:
        keys.touch(session, key.id, now)
    return _principal(account, scopes=frozenset(key.scopes), key_id=key.id)


def by_cookie(session: Session, cookie: str, *, now: datetime) -> Principal:
    """Who signed in with this browser."""
    found = keys.session_by_hash(session, secret_hash(cookie[:PRESENTED_CHARS_MAX]))
    if found is None or found[0].expires_at <= now:
        raise _unknown()
    browser, account = found
    return _principal(account, session_id=browser.id, csrf_token=browser.csrf_token)


def check_sign_in(account: Account | None, password: str) -> Account:
    """The account, if ``password`` is its own. Call it outside a transaction: it takes 25 ms."""
    kept = None if account is None else account.password_hash
    if not check_password(kept, password) or account is None:
        raise Unauthenticated("The name or the password is wrong.", code="wrong_credentials")
    if account.disabled_at is not None:
        raise Unauthenticated("This account is disabled.", code="account_disabled")
    return account


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A new browser session; ``cookie`` is shown once."""

    cookie: str
    principal: Principal


def open_session(session: Session, account_id: str, *, now: datetime, ttl_s: int) -> SignedIn:
    """Sign a browser in as ``account_id``."""
    record = accounts.get(session, account_id)
    if record is None:
        raise _unknown()
    keys.end_expired_sessions(session, now)
    cookie = secrets.token_urlsafe(SECRET_BYTES)
    browser = BrowserSession(
        id=new_id("session", now),
        account_id=account_id,
        secret_hash=secret_hash(cookie),
        csrf_token=secrets.token_urlsafe(24),
        created_at=now,
        expires_at=now + timedelta(seconds=ttl_s),
    )
    session.add(browser)
    session.flush()
    principal = _principal(record.account, session_id=browser.id, csrf_token=browser.csrf_token)
    return SignedIn(cookie=cookie, principal=principal)


def _principal(
    account: Account,
    *,
    scopes: frozenset[str] | None = None,
    key_id: str = "",
    session_id: str = "",
    csrf_token: str = "",
) -> Principal:
    if account.disabled_at is not None:
        raise Unauthenticated("This account is disabled.", code="account_disabled")
    role = Role(account.role)
    allowed = SCOPES_OF[role]
    return Principal(
        account_id=account.id,
        account_name=account.name,
        role=role,
        scopes=allowed if scopes is None else scopes & allowed,
        key_id=key_id,
        session_id=session_id,
        csrf_token=csrf_token,
    )


def _unknown() -> Unauthenticated:
    return Unauthenticated("The key or session is unknown, revoked or expired; sign in again.")
