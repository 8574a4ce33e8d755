"""The market: prices, rounds, the book, leases, and the operator's policy."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.orm import Session

from api.answers import Answer, Paging, once, page, paging, reply
from api.caller import Call, Reader, allow
from api.routing import JsonRoute
from api.schemas.base import Key, Moment
from api.schemas.ledger import LeasePage, LeaseView
from api.schemas.market import (
    BookView,
    LevelView,
    OutcomeView,
    PolicyCreate,
    PolicyPage,
    PolicyView,
    PricesView,
    PriceView,
    RoundDetail,
    RoundPage,
    RoundView,
)
from broker.services import policies
from broker.services.principals import ADMIN
from broker.services.refusals import NotFound
from db.repositories import cells, leases, rounds
from db.repositories import policies as policy_rows
from db.tables import Cell, Role
from market.lifecycle import LeaseState
from market.resources import RESOURCE_NAMES

HISTORY_WINDOW = timedelta(hours=1)

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["market"])
Operator = Annotated[Call, Depends(allow(ADMIN, Role.OPERATOR))]
Pages = Annotated[Paging, Depends(paging)]


@router.get("/market/prices", response_model=PricesView)
def list_prices(call: Reader, cell_id: Key | None = None) -> Response:
    """Prices in force, by cell and resource."""
    found = call.transaction(
        lambda session: rounds.standing_prices(session, cell_id=_cell_id(session, cell_id))
    )
    return reply(PricesView(items=[PriceView.of(price) for price in found]))


@router.get("/market/prices/history", response_model=PricesView)
def list_price_history(
    call: Reader,
    cell_id: Key,
    resource: Annotated[str, Query(pattern=f"^({'|'.join(RESOURCE_NAMES)})?$")] = "",
    starts_at: Annotated[Moment | None, Query(alias="from")] = None,
) -> Response:
    """Prices of one cell since `from` (an hour ago by default), oldest first."""
    since = starts_at or call.now - HISTORY_WINDOW
    found = call.transaction(
        lambda session: rounds.price_history(
            session, cell_id=_cell_id(session, cell_id), resource=resource, since=since
        )
    )
    return reply(PricesView(items=[PriceView.of(price) for price in found]))


@router.get("/market/rounds", response_model=RoundPage)
def list_rounds(call: Reader, at: Pages, cell_id: Key | None = None) -> Response:
    """Rounds, newest first."""
    found = call.transaction(
        lambda session: rounds.page(
            session, cell_id=_cell_id(session, cell_id), after=at.after, limit=at.limit
        )
    )
    return page(RoundPage, found, RoundView.of)


@router.get("/market/rounds/{round_id}", response_model=RoundDetail)
def get_round(call: Reader, round_id: Key) -> Response:
    """A round with what became of one's own bids; of all for operators and viewers."""

    def work(session: Session) -> RoundDetail:
        row = rounds.get(session, round_id)
        if row is None:
            raise NotFound("round", round_id)
        found = rounds.outcomes(session, round_id, account_id=call.principal.view)
        return RoundDetail.with_outcomes(row, [OutcomeView.of(each) for each in found])

    return reply(call.transaction(work))


@router.get("/market/book", response_model=BookView)
def get_book(call: Reader, cell_id: Key) -> Response:
    """What stands in a cell's market now, by resource and price."""

    def work(session: Session) -> BookView:
        cell = _cell(session, cell_id)
        levels = rounds.book(session, cell_id=cell.id)
        sides: dict[str, list[LevelView]] = {"ask": [], "bid": []}
        for level in levels:
            sides[level.side].append(LevelView.of(level, cell_id=cell.id))
        return BookView(asks=sides["ask"], bids=sides["bid"][::-1])

    return reply(call.transaction(work))


@router.get("/leases", response_model=LeasePage)
def list_leases(
    call: Reader,
    at: Pages,
    state: LeaseState | None = None,
    job_id: Key | None = None,
    node_id: Key | None = None,
) -> Response:
    """Leases that one bought or sold; all for operators and viewers."""
    found = call.transaction(
        lambda session: leases.page(
            session,
            account_id=call.principal.view,
            state=state or "",
            job_id=job_id or "",
            node_id=node_id or "",
            after=at.after,
            limit=at.limit,
        )
    )
    return page(LeasePage, found, LeaseView.of)


@router.get("/leases/{lease_id}", response_model=LeaseView)
def get_lease(call: Reader, lease_id: Key) -> Response:
    """One lease."""
    lease = call.transaction(
        lambda session: leases.get(session, lease_id, account_id=call.principal.view)
    )
    if lease is None:
        raise NotFound("lease", lease_id)
    return reply(LeaseView.of(lease))


@router.get("/policies", response_model=PolicyPage, tags=["policies"])
def list_policies(call: Reader, at: Pages) -> Response:
    """Versions of the policy; the newest activated one is in force."""
    found = call.transaction(
        lambda session: policy_rows.page(session, after=at.after, limit=at.limit)
    )
    return page(PolicyPage, found, PolicyView.model_validate)


@router.post("/policies", status_code=201, response_model=PolicyView, tags=["policies"])
def create_policy(call: Operator, body: PolicyCreate) -> Response:
    """Add a version of the policy."""

    def work(session: Session) -> Answer:
        policy = policies.create(
            session,
            name=body.name,
            body=body.body.model_dump(exclude_none=True),
            activate_now=body.activate,
            principal=call.principal,
            now=call.now,
        )
        return Answer(model=PolicyView.model_validate(policy))

    return once(call, work)


@router.post("/policies/{policy_id}/activate", response_model=PolicyView, tags=["policies"])
def activate_policy(call: Operator, policy_id: Key) -> Response:
    """Put a version in force from the next round on."""
    policy = call.transaction(
        lambda session: policies.activate(
            session, policy_id, principal=call.principal, now=call.now
        )
    )
    return reply(PolicyView.model_validate(policy))


def _cell_id(session: Session, key: str | None) -> str:
    """Id of the cell with this id or name; "" for all."""
    return "" if key is None else _cell(session, key).id


def _cell(session: Session, key: str) -> Cell:
    cell = cells.get(session, key)
    if cell is None:
        raise NotFound("cell", key)
    return cell
