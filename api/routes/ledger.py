"""The ledger: transfers, balances and what must always be true of them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from api.answers import Paging, page, paging, reply
from api.caller import Reader
from api.routing import JsonRoute
from api.schemas.base import Key
from api.schemas.ledger import (
    BalanceRow,
    BalancesView,
    InvariantsView,
    TransferPage,
    TransferView,
)
from db.repositories import ledger
from db.tables import TransferKind

BALANCES_MAX = 10_000

router = APIRouter(route_class=JsonRoute, prefix="/v1/ledger", tags=["ledger"])


@router.get("/transfers", response_model=TransferPage)
def list_transfers(
    call: Reader,
    at: Annotated[Paging, Depends(paging)],
    account_id: Key | None = None,
    job_id: Key | None = None,
    kind: TransferKind | None = None,
) -> Response:
    """Movements from or to one's own account; all for operators and viewers."""
    wanted = call.principal.account_id if account_id == "me" else account_id
    found = call.transaction(
        lambda session: ledger.transfers(
            session,
            view=call.principal.view,
            account_id=wanted or "",
            job_id=job_id or "",
            kind=kind or "",
            after=at.after,
            limit=at.limit,
        )
    )
    return page(TransferPage, found, TransferView.model_validate)


@router.get("/balances", response_model=BalancesView)
def list_balances(call: Reader) -> Response:
    """One's own balance; all for operators and viewers, the platform's own among them."""
    found = call.transaction(
        lambda session: ledger.balances(session, view=call.principal.view, limit=BALANCES_MAX)
    )
    return reply(BalancesView(items=[BalanceRow.model_validate(each) for each in found]))


@router.get("/invariants", response_model=InvariantsView)
def get_invariants(call: Reader) -> Response:
    """What must always be true, checked against every row, now or moments ago."""
    checked = call.transaction(lambda session: call.platform.checks.check(session, now=call.now))
    return reply(InvariantsView.model_validate(checked))
