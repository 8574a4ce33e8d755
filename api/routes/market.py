"""The market: prices, rounds and their snapshots, statistics, the book, leases."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.orm import Session

from api.answers import Paging, page, paging, reply
from api.caller import Call, Reader, allow
from api.routing import JsonRoute
from api.schemas.base import Key, Moment
from api.schemas.ledger import LeasePage, LeaseView
from api.schemas.market import (
    BookView,
    LevelView,
    OutcomeView,
    PricesView,
    PriceView,
    RoundDetail,
    RoundPage,
    RoundView,
    StatisticsView,
    StatisticView,
    UpperRoundPage,
    UpperRoundView,
)
from api.schemas.policies import ShadowView
from broker.services import replays
from broker.services.principals import ADMIN
from broker.services.refusals import Invalid, NotFound
from broker.services.replays import Form
from db.repositories import cells, leases, policies, rounds, statistics, upper_rounds
from db.tables import Cell, Role
from market.lifecycle import LeaseState
from market.resources import RESOURCE_NAMES

HISTORY_WINDOW = timedelta(hours=1)
JSON, NPZ = "application/json", "application/octet-stream"

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
def list_rounds(
    call: Reader,
    at: Pages,
    cell_id: Key | None = None,
    with_bids: Annotated[bool, Query(description="Only those in which somebody bid.")] = False,
) -> Response:
    """Rounds, newest first."""
    found = call.transaction(
        lambda session: rounds.page(
            session,
            cell_id=_cell_id(session, cell_id),
            with_bids=with_bids,
            after=at.after,
            limit=at.limit,
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
        beside = policies.shadow_of(session, round_id)
        return RoundDetail.with_outcomes(
            row,
            [OutcomeView.of(each) for each in found],
            None if beside is None else ShadowView.model_validate(beside),
        )

    return reply(call.transaction(work))


@router.get(
    "/market/rounds/{round_id}/snapshot",
    response_class=Response,
    responses={200: {"content": {JSON: {"schema": {}}, NPZ: {"schema": {}}}}},
)
def get_round_snapshot(call: Operator, round_id: Key, form: Form = "json") -> Response:
    """What a round saw, as an instance file (docs/instances.md) in JSON or as a NumPy archive.

    Everybody's bids are in it, so it is for operators. Its policy's parameters are set so that the
    mechanism makes the same plan again, given the round's `budget_ms`.
    """
    data = call.transaction(lambda session: replays.instance(session, round_id, form=form))
    return Response(data, media_type=JSON if form == "json" else NPZ)


@router.get("/market/upper-rounds", response_model=UpperRoundPage)
def list_upper_rounds(
    call: Reader,
    at: Pages,
    place: Annotated[
        Key | None, Query(description="A region's id or name, or `root`; all by default.")
    ] = None,
) -> Response:
    """Rounds of the regions and the root, newest first: what cells sent up, what came down."""
    found = call.transaction(
        lambda session: upper_rounds.page(
            session, place=_place(session, place), after=at.after, limit=at.limit
        )
    )
    return page(UpperRoundPage, found, UpperRoundView.of)


@router.get("/market/upper-rounds/{round_id}", response_model=UpperRoundView)
def get_upper_round(call: Reader, round_id: Key) -> Response:
    """One round of a region or the root."""
    found = call.transaction(lambda session: upper_rounds.get(session, round_id))
    if found is None:
        raise NotFound("round", round_id)
    return reply(UpperRoundView.of(found))


@router.get("/market/statistics", response_model=StatisticsView)
def list_statistics(
    call: Reader,
    cell_id: Key | None = None,
    starts_at: Annotated[Moment | None, Query(alias="from")] = None,
    step_s: Annotated[int, Query(ge=1, le=31 * 86_400, description="Seconds of a step.")] = 300,
) -> Response:
    """Prices, fill rate, depth and forwarding by cell, resource and step of time since `from`."""
    since = starts_at or call.now - HISTORY_WINDOW
    if (call.now - since).total_seconds() > statistics.STEPS_MAX * step_s:
        raise Invalid(
            f"There would be more than {statistics.STEPS_MAX} steps: make them longer.",
            pointer="query:step_s",
        )
    found = call.transaction(
        lambda session: statistics.read(
            session, cell_id=_cell_id(session, cell_id), since=since, step_s=step_s
        )
    )
    items = [StatisticView.model_validate(each) for each in found]
    return reply(StatisticsView(step_s=step_s, items=items))


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


def _cell_id(session: Session, key: str | None) -> str:
    """Id of the cell with this id or name; "" for all."""
    return "" if key is None else _cell(session, key).id


def _place(session: Session, key: str | None) -> str:
    """Where rounds above the cells are cleared: a region's id, "root", or "" for all."""
    if key is None or key == upper_rounds.ROOT:
        return key or ""
    cell = _cell(session, key)
    return upper_rounds.ROOT if cell.level == upper_rounds.ROOT else cell.id


def _cell(session: Session, key: str) -> Cell:
    cell = cells.get(session, key)
    if cell is None:
        raise NotFound("cell", key)
    return cell
