"""Transfers and balances as their parties see them."""

from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from db.repositories.paging import Page, Place, cut, newest_first
from db.tables import Account, Balance, Role, Transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRecord:
    """What an account has; available is posted less held."""

    account_id: str
    name: str
    role: str
    posted_micros: int
    held_micros: int


def transfers(
    session: Session,
    *,
    view: str | None,
    account_id: str = "",
    job_id: str = "",
    kind: str = "",
    after: Place | None = None,
    limit: int,
) -> Page[Transfer]:
    """Transfers that ``view`` is a side of (None: all), newest first; the rest narrows them."""
    statement = select(Transfer)
    for side in (view, account_id):
        if side:
            statement = statement.where(or_(Transfer.debit_id == side, Transfer.credit_id == side))
    if job_id:
        statement = statement.where(Transfer.job_id == job_id)
    if kind:
        statement = statement.where(Transfer.kind == kind)
    statement = newest_first(
        statement, at=Transfer.created_at, id=Transfer.id, after=after, limit=limit
    )
    rows = session.scalars(statement).all()
    return cut(rows, limit=limit, place=lambda each: Place(at=each.created_at, id=each.id))


def balances(session: Session, *, view: str | None, limit: int = 500) -> list[BalanceRecord]:
    """The balance of ``view``, or all of them (None): the platform's own first, then by name."""
    statement = select(
        Account.id, Account.name, Account.role, Balance.posted_micros, Balance.held_micros
    ).join(Balance, Balance.account_id == Account.id)
    if view is not None:
        statement = statement.where(Account.id == view)
    rows = session.execute(
        statement.order_by(Account.role != Role.SYSTEM, Account.name, Account.id).limit(limit)
    )
    return [
        BalanceRecord(
            account_id=row[0], name=row[1], role=row[2], posted_micros=row[3], held_micros=row[4]
        )
        for row in rows
    ]
