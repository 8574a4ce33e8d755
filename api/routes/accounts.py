"""Accounts, and the money that enters and leaves them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session

from api.answers import Answer, Paging, once, page, paging, tagged
from api.caller import Call, Reader, allow
from api.routing import JsonRoute
from api.schemas.accounts import (
    AccountChange,
    AccountCreate,
    AccountPage,
    AccountView,
    MoneyRequest,
)
from api.schemas.base import Key
from api.schemas.ledger import TransferView
from broker.services import accounts
from broker.services.passwords import hash_password
from broker.services.principals import ADMIN, READ, WRITE
from db.repositories import accounts as rows
from db.tables import Role, TransferKind

router = APIRouter(route_class=JsonRoute, prefix="/v1/accounts", tags=["accounts"])
Operator = Annotated[Call, Depends(allow(ADMIN, Role.OPERATOR))]


@router.get("", response_model=AccountPage)
def list_accounts(
    call: Annotated[Call, Depends(allow(READ, Role.OPERATOR, Role.VIEWER))],
    at: Annotated[Paging, Depends(paging)],
) -> Response:
    """All accounts; for operators and viewers."""
    found = call.transaction(lambda session: rows.page(session, after=at.after, limit=at.limit))
    return page(AccountPage, found, AccountView.of)


@router.post("", status_code=201, response_model=AccountView)
def create_account(call: Operator, body: AccountCreate) -> Response:
    """Open an account."""
    new = accounts.NewAccount(
        name=body.name,
        role=Role(body.role),
        password_hash=None if body.password is None else hash_password(body.password),
        fair_weight=body.fair_weight,
    )

    def work(session: Session) -> Answer:
        principal = call.principal
        account_id = accounts.create(
            session, new, by=principal.account_id, address=principal.address, now=call.now
        )
        record = accounts.show(session, account_id, principal=principal)
        headers = {"Location": f"/v1/accounts/{account_id}", "ETag": '"1"'}
        return Answer(model=AccountView.of(record), headers=headers)

    return once(call, work)


@router.get("/{account_id}", response_model=AccountView)
def get_account(call: Reader, account_id: Key) -> Response:
    """One's own account (`me` or its id); any for operators and viewers."""
    record = call.transaction(
        lambda session: accounts.show(session, account_id, principal=call.principal)
    )
    return tagged(AccountView.of(record), record.account.version)


@router.patch("/{account_id}", response_model=AccountView)
def update_account(
    call: Annotated[Call, Depends(allow(WRITE))], account_id: Key, body: AccountChange
) -> Response:
    """Disable, weigh or give a new password; others than operators only their own password."""
    wanted = accounts.AccountChange(
        disabled=body.disabled,
        fair_weight=body.fair_weight,
        password_hash=None if body.password is None else hash_password(body.password),
    )
    version = call.if_match()
    record = call.transaction(
        lambda session: accounts.change(
            session, account_id, wanted, version=version, principal=call.principal, now=call.now
        )
    )
    call.platform.keys.forget()
    return tagged(AccountView.of(record), record.account.version)


@router.post("/{account_id}/deposits", status_code=201, response_model=TransferView)
def create_deposit(call: Operator, account_id: Key, body: MoneyRequest) -> Response:
    """Credits enter an account."""
    return _move(call, account_id, body, TransferKind.DEPOSIT)


@router.post("/{account_id}/withdrawals", status_code=201, response_model=TransferView)
def create_withdrawal(call: Operator, account_id: Key, body: MoneyRequest) -> Response:
    """Credits that are not held leave an account."""
    return _move(call, account_id, body, TransferKind.WITHDRAWAL)


def _move(call: Call, account_id: str, body: MoneyRequest, kind: TransferKind) -> Response:
    def work(session: Session) -> Answer:
        transfer = accounts.move_money(
            session,
            account_id,
            kind=kind,
            amount_micros=body.amount_micros,
            note=body.note,
            principal=call.principal,
            now=call.now,
        )
        return Answer(model=TransferView.model_validate(transfer))

    return once(call, work)
