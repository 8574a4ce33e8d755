"""API keys: made for oneself (by an operator for anybody), shown once, revoked for good."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from broker.services.auth import make_secret
from broker.services.principals import SCOPES_OF, Principal
from broker.services.refusals import Forbidden, Invalid, NotFound
from db import audit
from db.ids import new_id
from db.repositories import accounts, keys
from db.tables import ApiKey, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What is asked of a key; no ``scopes`` means all that the role may have."""

    name: str = ""
    scopes: Sequence[str] = ()
    expires_at: datetime | None = None
    account_id: str | None = None


def create(
    session: Session, new: NewKey, *, principal: Principal, now: datetime
) -> tuple[ApiKey, str]:
    """A key and the text to present, which is never shown again."""
    owner_id = new.account_id or principal.account_id
    if owner_id != principal.account_id and not principal.is_operator:
        raise Forbidden("Only an operator makes keys for other accounts.")
    record = accounts.get(session, owner_id)
    if record is None or record.account.role == Role.SYSTEM:
        raise NotFound("account", owner_id)
    if new.expires_at is not None and new.expires_at <= now:
        raise Invalid("The key would be expired already.", pointer="/expires_at")
    allowed = SCOPES_OF[Role(record.account.role)]
    if owner_id == principal.account_id:
        allowed &= principal.scopes  # a key cannot make a mightier one
    scopes = frozenset(new.scopes or allowed)
    if not scopes <= allowed:
        raise Invalid(
            f"The scopes that can be given are {', '.join(sorted(allowed))}.", pointer="/scopes"
        )
    return issue(session, owner_id, new, scopes=scopes, by=principal, now=now)


def issue(
    session: Session,
    account_id: str,
    new: NewKey,
    *,
    scopes: frozenset[str],
    by: Principal | None,
    now: datetime,
) -> tuple[ApiKey, str]:
    """Write the key down, without asking whether it may be made."""
    secret = make_secret()
    key = ApiKey(
        id=new_id("key", now),
        account_id=account_id,
        name=new.name,
        prefix=secret.prefix,
        secret_hash=secret.secret_hash,
        scopes=sorted(scopes),
        created_at=now,
        expires_at=new.expires_at,
    )
    session.add(key)
    session.flush()
    audit.record(
        session,
        account_id=account_id if by is None else by.account_id,
        action="key.create",
        subject_id=key.id,
        after={"account_id": account_id, "name": new.name, "scopes": key.scopes},
        address="" if by is None else by.address,
        now=now,
    )
    return key, secret.presented


def revoke(session: Session, key_id: str, *, principal: Principal, now: datetime) -> ApiKey:
    """End a key of one's own; an operator ends anybody's. Doing it again changes nothing."""
    whose = None if principal.is_operator else principal.account_id
    key = keys.revoke(session, key_id, account_id=whose, now=now)
    if key is None:
        raise NotFound("key", key_id)
    audit.record(
        session,
        account_id=principal.account_id,
        action="key.revoke",
        subject_id=key.id,
        address=principal.address,
        now=now,
    )
    return key
