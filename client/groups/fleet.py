"""Cells, nodes and offers."""

from collections.abc import Iterator
from typing import Any

from ..pages import iterate
from ..parsing import parse
from ..resources import Cell, Node, Offer
from ..transport import Transport


class Cells:
    """The places that have a market of their own."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> Iterator[Cell]:
        return iterate(self._transport, "/v1/cells", Cell, limit=limit)

    def get(self, cell_id: str) -> Cell:
        return parse(Cell, self._transport.get(f"/v1/cells/{cell_id}"))

    def create(self, name: str, **details: Any) -> Cell:
        """Make a cell; ``details`` as in the API: level, parent_id, latitude, longitude, …"""
        given = {key: value for key, value in details.items() if value is not None}
        return parse(Cell, self._transport.create("/v1/cells", {"name": name, **given}))


class Nodes:
    """The devices."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        cell_id: str | None = None,
        state: str | None = None,
        owner_id: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Node]:
        return iterate(
            self._transport,
            "/v1/nodes",
            Node,
            limit=limit,
            cell_id=cell_id,
            state=state,
            owner_id=owner_id,
        )

    def get(self, node_id: str) -> Node:
        return parse(Node, self._transport.get(f"/v1/nodes/{node_id}"))

    def drain(self, node_id: str, *, draining: bool = True) -> Node:
        """Stop selling this node's capacity (or go on again); what runs there may finish."""
        return parse(
            Node,
            self._transport.json("PATCH", f"/v1/nodes/{node_id}", body={"draining": draining}),
        )

    def revoke(self, node_id: str) -> Any:
        """Withdraw the node's certificate: it is cut off at once and for good."""
        return self._transport.json("POST", f"/v1/nodes/{node_id}/revoke")


class Offers:
    """What owners sell."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        cell_id: str | None = None,
        node_id: str | None = None,
        state: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Offer]:
        return iterate(
            self._transport,
            "/v1/offers",
            Offer,
            limit=limit,
            cell_id=cell_id,
            node_id=node_id,
            state=state,
        )

    def get(self, offer_id: str) -> Offer:
        return parse(Offer, self._transport.get(f"/v1/offers/{offer_id}"))
