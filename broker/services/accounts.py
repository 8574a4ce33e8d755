"""Accounts: who takes part, what they have, and the money that enters and leaves."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from broker.services.principals import Principal
from broker.services.refusals import Conflict, Forbidden, NotFound, Stale
from db import audit, ledger
from db.errors import constraint_of
from db.ids import new_id
from db.repositories import accounts, keys
from db.repositories.accounts import AccountRecord
from db.tables import ISSUANCE, Account, Role, Transfer, TransferKind


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """What an operator says of a new account; ``password_hash`` is made outside a transaction."""

    name: str
    role: Role
    password_hash: str | None = None
    fair_weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """What may change; None leaves it."""

    disabled: bool | None = None
    fair_weight: float | None = None
    password_hash: str | None = None


def create(session: Session, new: NewAccount, *, by: str, address: str, now: datetime) -> str:
    """Open an account and return its id. Raises ``Conflict`` if the name is taken."""
    account = Account(
        id=new_id("account", now),
        name=new.name,
        role=new.role,
        password_hash=new.password_hash,
        fair_weight=new.fair_weight,
        created_at=now,
    )
    try:
        accounts.add(session, account)
    except IntegrityError as error:
        if constraint_of(error) != "uq_accounts_name":
            raise
        raise Conflict(f"The name {new.name!r} is taken.", code="name_taken") from error
    audit.record(
        session,
        account_id=by,
        action="account.create",
        subject_id=account.id,
        after={"name": new.name, "role": new.role, "fair_weight": new.fair_weight},
        address=address,
        now=now,
    )
    return account.id


def show(session: Session, account_id: str, *, principal: Principal) -> AccountRecord:
    """One's own account, or any for who sees all; ``me`` is one's own."""
    wanted = principal.account_id if account_id == "me" else account_id
    if principal.view not in (None, wanted):
        raise NotFound("account", account_id)
    record = accounts.get(session, wanted)
    if record is None:
        raise NotFound("account", account_id)
    return record


def change(
    session: Session,
    account_id: str,
    wanted: AccountChange,
    *,
    version: int | None,
    principal: Principal,
    now: datetime,
) -> AccountRecord:
    """Change an account: the operator all of it, others their own password.

    A new password or a disabling ends the account's browser sessions.
    """
    before = show(session, account_id, principal=principal).account
    only_password = wanted.disabled is None and wanted.fair_weight is None
    if not principal.is_operator and not only_password:
        raise Forbidden("Only an operator changes weights or disables accounts.")
    values = _values(wanted, before, now)
    if not accounts.change(session, before.id, version=version, values=values):
        raise Stale("The account was changed meanwhile; read it again.")
    if wanted.disabled or wanted.password_hash is not None:
        keys.end_sessions_of(session, before.id)
    audit.record(
        session,
        account_id=principal.account_id,
        action="account.change",
        subject_id=before.id,
        before={"fair_weight": before.fair_weight, "disabled": before.disabled_at is not None},
        after={
            "fair_weight": wanted.fair_weight,
            "disabled": wanted.disabled,
            "password": wanted.password_hash is not None,
        },
        address=principal.address,
        now=now,
    )
    session.expire_all()
    return show(session, before.id, principal=principal)


def _values(wanted: AccountChange, before: Account, now: datetime) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if wanted.disabled is not None:
        values["disabled_at"] = (before.disabled_at or now) if wanted.disabled else None
    if wanted.fair_weight is not None:
        values["fair_weight"] = wanted.fair_weight
    if wanted.password_hash is not None:
        values["password_hash"] = wanted.password_hash
    return values


def move_money(
    session: Session,
    account_id: str,
    *,
    kind: TransferKind,
    amount_micros: int,
    note: str,
    principal: Principal,
    now: datetime,
) -> Transfer:
    """Book a deposit or a withdrawal. Raises ``InsufficientFunds`` for more than is available."""
    show(session, account_id, principal=principal)
    transfer_id = new_id("transfer", now)
    debit, credit = ISSUANCE, account_id
    if kind is TransferKind.WITHDRAWAL:
        debit, credit = account_id, ISSUANCE
    new = ledger.NewTransfer(
        id=transfer_id,
        key=transfer_id,
        kind=kind,
        debit_id=debit,
        credit_id=credit,
        amount_micros=amount_micros,
        note=note,
    )
    ledger.post_transfers(session, [new], now=now)
    audit.record(
        session,
        account_id=principal.account_id,
        action=f"account.{kind}",
        subject_id=account_id,
        after={"amount_micros": amount_micros, "transfer_id": transfer_id, "note": note},
        address=principal.address,
        now=now,
    )
    return session.get_one(Transfer, transfer_id)
