"""Accounts with their balances."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from db.repositories.paging import Page, Place, cut, newest_first
from db.tables import Account, Balance, Role


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account and what it has, in micros."""

    account: Account
    posted_micros: int
    held_micros: int


def get(session: Session, account_id: str) -> AccountRecord | None:
    """The account, or None."""
    row = session.execute(_records().where(Account.id == account_id)).first()
    return None if row is None else AccountRecord(*row)


def by_name(session: Session, name: str) -> Account | None:
    """The account that signs in with ``name``; never a system account."""
    return session.scalar(select(Account).where(Account.name == name, Account.role != Role.SYSTEM))


def first_with_role(session: Session, role: Role) -> Account | None:
    """The oldest account with ``role``."""
    return session.scalar(
        select(Account).where(Account.role == role).order_by(Account.created_at, Account.id)
    )


def page(session: Session, *, after: Place | None, limit: int) -> Page[AccountRecord]:
    """Everybody's accounts, the platform's own ones left out."""
    statement = newest_first(
        _records().where(Account.role != Role.SYSTEM),
        at=Account.created_at,
        id=Account.id,
        after=after,
        limit=limit,
    )
    records = [AccountRecord(*row) for row in session.execute(statement)]
    return cut(
        records, limit=limit, place=lambda r: Place(at=r.account.created_at, id=r.account.id)
    )


def add(session: Session, account: Account) -> None:
    """Insert the account; a trigger opens its balance."""
    session.add(account)
    session.flush()


def change(
    session: Session, account_id: str, *, version: int | None, values: dict[str, Any]
) -> bool:
    """Set ``values``; False if ``version`` is no longer the current one or nothing is there."""
    statement = update(Account).where(Account.id == account_id, Account.role != Role.SYSTEM)
    if version is not None:
        statement = statement.where(Account.version == version)
    done = session.execute(
        statement.values(**values, version=Account.version + 1).returning(Account.id),
        execution_options={"synchronize_session": False},
    )
    return done.first() is not None


def _records() -> Select[*tuple[Any, ...]]:
    return select(Account, Balance.posted_micros, Balance.held_micros).join(
        Balance, Balance.account_id == Account.id
    )
