"""Join tokens: what an owner hands to a device so that it may enrol."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from broker.services.auth import make_secret
from broker.services.principals import Principal
from broker.services.refusals import Forbidden, Invalid, NotFound
from db import audit
from db.ids import new_id
from db.repositories import accounts, cells, tokens
from db.tables import JoinToken, Role

TOKEN_MARK = "souk_join"  # noqa: S105
TTL_S_MAX = 30 * 86_400
USES_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """For whose devices, into which cell (id or name), how often and for how long."""

    cell: str
    owner_id: str | None = None
    uses: int = 1
    ttl_s: int = 3_600


def create(
    session: Session,
    new: NewToken,
    *,
    ca_fingerprint: str,
    principal: Principal,
    now: datetime,
) -> tuple[JoinToken, str]:
    """A token and its text, ``souk_join_<prefix>_<secret>.<fingerprint of the CA>``.

    The fingerprint lets the device know the platform before it has ever seen it.
    """
    owner_id = _owner(session, new, principal)
    cell = cells.get(session, new.cell)
    if cell is None:
        raise NotFound("cell", new.cell)
    if cell.level != "cell":
        raise Invalid(f"Devices join cells; {cell.name!r} is a {cell.level}.", pointer="/cell")
    secret = make_secret(TOKEN_MARK)
    token = JoinToken(
        id=new_id("token", now),
        prefix=secret.prefix,
        secret_hash=secret.secret_hash,
        owner_id=owner_id,
        cell_id=cell.id,
        uses_left=new.uses,
        created_by=principal.account_id,
        created_at=now,
        expires_at=now + timedelta(seconds=new.ttl_s),
    )
    session.add(token)
    session.flush()
    audit.record(
        session,
        account_id=principal.account_id,
        action="token.create",
        subject_id=token.id,
        after={"owner_id": owner_id, "cell_id": cell.id, "uses": new.uses, "ttl_s": new.ttl_s},
        address=principal.address,
        now=now,
    )
    return token, f"{secret.presented}.{ca_fingerprint}"


def revoke(session: Session, token_id: str, *, principal: Principal, now: datetime) -> None:
    """End a token; devices that enrolled with it stay."""
    whose = None if principal.is_operator else principal.account_id
    if not tokens.revoke(session, token_id, owner_id=whose, now=now):
        raise NotFound("token", token_id)
    audit.record(
        session,
        account_id=principal.account_id,
        action="token.revoke",
        subject_id=token_id,
        address=principal.address,
        now=now,
    )


def _owner(session: Session, new: NewToken, principal: Principal) -> str:
    owner_id = new.owner_id or principal.account_id
    if owner_id == principal.account_id:
        return owner_id
    if not principal.is_operator:
        raise Forbidden("Only an operator makes join tokens for other owners.")
    record = accounts.get(session, owner_id)
    if record is None:
        raise NotFound("account", owner_id)
    if record.account.role not in (Role.OWNER, Role.OPERATOR):
        raise Invalid(
            f"{record.account.name!r} is a {record.account.role}, not an owner.",
            pointer="/owner_id",
        )
    return owner_id
