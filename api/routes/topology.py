"""Cells, nodes and offers."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.orm import Session

from api.answers import Answer, Paging, once, page, paging, reply, tagged
from api.caller import Call, Reader, allow
from api.routing import JsonRoute
from api.schemas.base import Key, Label, Moment
from api.schemas.topology import (
    CellChange,
    CellCreate,
    CellPage,
    CellView,
    NodeChange,
    NodePage,
    NodeView,
    OfferChange,
    OfferPage,
    OfferView,
    ReadingsView,
    ReadingView,
)
from broker.services import cells, nodes, offers
from broker.services.principals import ADMIN, WRITE
from db.repositories import cells as cell_rows
from db.repositories import offers as offer_rows
from db.repositories.nodes import NodeFilter
from db.tables import Role
from market.lifecycle import NodeState

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["topology"])
Operator = Annotated[Call, Depends(allow(ADMIN, Role.OPERATOR))]
Owner = Annotated[Call, Depends(allow(WRITE, Role.OPERATOR, Role.OWNER))]
Pages = Annotated[Paging, Depends(paging)]


@router.get("/cells", response_model=CellPage)
def list_cells(call: Reader, at: Pages) -> Response:
    """All cells with their nodes, capacity and prices."""
    found = call.transaction(
        lambda session: cell_rows.page(session, after=at.after, limit=at.limit)
    )
    return page(CellPage, found, CellView.of)


@router.post("/cells", status_code=201, response_model=CellView)
def create_cell(call: Operator, body: CellCreate) -> Response:
    """Add a place; without a parent it hangs below the root."""
    new = cells.NewCell(
        name=body.name,
        level=body.level,
        parent=body.parent_id,
        latitude=body.latitude,
        longitude=body.longitude,
        carbon_g_per_kwh=body.carbon_g_per_kwh,
    )

    def work(session: Session) -> Answer:
        record = cells.create(session, new, principal=call.principal, now=call.now)
        headers = {"Location": f"/v1/cells/{record.cell.id}", "ETag": '"1"'}
        return Answer(model=CellView.of(record), headers=headers)

    return once(call, work)


@router.get("/cells/{cell_id}", response_model=CellView)
def get_cell(call: Reader, cell_id: Key) -> Response:
    """A cell by id or name."""
    record = call.transaction(lambda session: cells.show(session, cell_id))
    return tagged(CellView.of(record), record.cell.version)


@router.patch("/cells/{cell_id}", response_model=CellView)
def update_cell(call: Operator, cell_id: Key, body: CellChange) -> Response:
    """Name, place or carbon intensity."""
    values = body.model_dump(exclude_unset=True)
    if values.get("name", "") is None:
        del values["name"]
    version = call.if_match()
    record = call.transaction(
        lambda session: cells.change(
            session, cell_id, values, version=version, principal=call.principal, now=call.now
        )
    )
    return tagged(CellView.of(record), record.cell.version)


@router.get("/nodes", response_model=NodePage)
def list_nodes(
    call: Reader,
    at: Pages,
    cell_id: Key | None = None,
    state: NodeState | None = None,
    owner_id: Key | None = None,
) -> Response:
    """Owners: their own nodes. Operators and viewers: all."""
    chosen = NodeFilter(cell_id=cell_id, state=state, owner_id=owner_id)
    found = call.transaction(
        lambda session: nodes.listing(
            session, chosen, principal=call.principal, after=at.after, limit=at.limit
        )
    )
    return page(NodePage, found, NodeView.of)


@router.get("/nodes/{node_id}", response_model=NodeView)
def get_node(call: Reader, node_id: Key) -> Response:
    """One node."""
    record = call.transaction(
        lambda session: nodes.show(session, node_id, principal=call.principal)
    )
    return tagged(NodeView.of(record), record.node.version)


@router.patch("/nodes/{node_id}", response_model=NodeView)
def update_node(call: Owner, node_id: Key, body: NodeChange) -> Response:
    """Drain or undrain a node, or move it to another cell."""
    wanted = nodes.NodeChange(draining=body.draining, cell_id=body.cell_id)
    version = call.if_match()
    record = call.transaction(
        lambda session: nodes.change(
            session, node_id, wanted, version=version, principal=call.principal, now=call.now
        )
    )
    return tagged(NodeView.of(record), record.node.version)


@router.post("/nodes/{node_id}/revoke", response_model=NodeView)
def revoke_node(call: Owner, node_id: Key) -> Response:
    """Shut a node out for good, at once."""
    record = call.transaction(
        lambda session: nodes.revoke(session, node_id, principal=call.principal, now=call.now)
    )
    return tagged(NodeView.of(record), record.node.version)


@router.get("/nodes/{node_id}/telemetry", response_model=ReadingsView)
def get_telemetry(
    call: Reader,
    node_id: Key,
    key: Label = "",
    starts_at: Annotated[Moment | None, Query(alias="from")] = None,
    ends_at: Annotated[Moment | None, Query(alias="to")] = None,
) -> Response:
    """Readings of one key or of all in `[from, to)`, the last hour by default."""
    found = call.transaction(
        lambda session: nodes.readings(
            session,
            node_id,
            key=key,
            starts_at=starts_at,
            ends_at=ends_at,
            principal=call.principal,
            now=call.now,
        )
    )
    return reply(ReadingsView(items=[ReadingView.of(point) for point in found]))


@router.get("/offers", response_model=OfferPage)
def list_offers(
    call: Reader,
    at: Pages,
    cell_id: Key | None = None,
    node_id: Key | None = None,
    state: Literal["open", "withdrawn"] | None = None,
) -> Response:
    """Owners: their own offers. Operators and viewers: all."""
    asked = {"cell_id": cell_id, "node_id": node_id, "state": state}
    chosen = {name: value for name, value in asked.items() if value is not None}
    found = call.transaction(
        lambda session: offer_rows.page(
            session,
            owner_id=call.principal.view,
            chosen=chosen,
            after=at.after,
            limit=at.limit,
        )
    )
    return page(OfferPage, found, OfferView.model_validate)


@router.get("/offers/{offer_id}", response_model=OfferView)
def get_offer(call: Reader, offer_id: Key) -> Response:
    """One offer."""
    offer = call.transaction(
        lambda session: offers.show(session, offer_id, principal=call.principal)
    )
    return tagged(OfferView.model_validate(offer), offer.version)


@router.patch("/offers/{offer_id}", response_model=OfferView)
def update_offer(call: Owner, offer_id: Key, body: OfferChange) -> Response:
    """Reserve prices, whom to serve, or the end; leases that exist keep their rate."""
    values = body.model_dump(exclude_unset=True)
    values = {
        name: value for name, value in values.items() if value is not None or name == "closes_at"
    }
    version = call.if_match()
    offer = call.transaction(
        lambda session: offers.change(
            session, offer_id, values, version=version, principal=call.principal, now=call.now
        )
    )
    return tagged(OfferView.model_validate(offer), offer.version)


@router.delete("/offers/{offer_id}", status_code=204, response_class=Response)
def delete_offer(call: Owner, offer_id: Key) -> Response:
    """Withdraw an offer: nothing more is sold until the agent offers again."""
    call.transaction(
        lambda session: offers.withdraw(session, offer_id, principal=call.principal, now=call.now)
    )
    return Response(status_code=204)
