"""Prices, rounds and the book; transfers, balances and invariants; policies."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..pages import items_of, iterate
from ..parsing import parse
from ..resources import (
    Balance,
    Book,
    Invariants,
    Policy,
    Price,
    Round,
    ShadowComparison,
    Statistic,
    Transfer,
    UpperRound,
)
from ..transport import Transport


class Market:
    """What the market asks and how it cleared."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def prices(self, *, cell_id: str | None = None) -> list[Price]:
        path = "/v1/market/prices"
        page = self._transport.get(path, cell_id=cell_id)
        return [parse(Price, item) for item in items_of(page, path)]

    def price_history(
        self, *, cell_id: str, resource: str = "", since: str | None = None
    ) -> list[Price]:
        """Prices since an RFC 3339 time (by default an hour ago), oldest first."""
        path = "/v1/market/prices/history"
        filters = {"cell_id": cell_id, "resource": resource, "from": since}
        page = self._transport.get(path, **filters)
        return [parse(Price, item) for item in items_of(page, path)]

    def rounds(
        self, *, cell_id: str | None = None, with_bids: bool = False, limit: int | None = None
    ) -> Iterator[Round]:
        """Rounds, newest first; ``with_bids``: only those in which somebody bid."""
        filters = {"cell_id": cell_id, "with_bids": "true" if with_bids else None}
        return iterate(self._transport, "/v1/market/rounds", Round, limit=limit, **filters)

    def round(self, round_id: str) -> Mapping[str, Any]:
        """One round with its outcomes, as the API gives it."""
        document: Mapping[str, Any] = self._transport.get(f"/v1/market/rounds/{round_id}")
        return document

    def upper_rounds(
        self, *, place: str | None = None, limit: int | None = None
    ) -> Iterator[UpperRound]:
        """Rounds of the regions and the root; ``place``: a region's id or name, or "root"."""
        path = "/v1/market/upper-rounds"
        return iterate(self._transport, path, UpperRound, limit=limit, place=place)

    def upper_round(self, round_id: str) -> UpperRound:
        return parse(UpperRound, self._transport.get(f"/v1/market/upper-rounds/{round_id}"))

    def snapshot(self, round_id: str, *, form: str = "npz") -> bytes:
        """What a round saw, as an instance file in ``json`` or ``npz`` (operators)."""
        path = f"/v1/market/rounds/{round_id}/snapshot"
        content: bytes = self._transport.send("GET", path, params={"form": form}).content
        return content

    def statistics(
        self, *, cell_id: str | None = None, since: str | None = None, step_s: int = 300
    ) -> list[Statistic]:
        """Market data by cell, resource and step since an RFC 3339 time (by default an hour)."""
        path = "/v1/market/statistics"
        filters = {"cell_id": cell_id, "from": since, "step_s": step_s}
        page = self._transport.get(path, **filters)
        return [parse(Statistic, item) for item in items_of(page, path)]

    def book(self, *, cell_id: str) -> Book:
        """Asks and open bids of a cell: depth per resource and price."""
        return parse(Book, self._transport.get("/v1/market/book", cell_id=cell_id))


class Ledger:
    """Who paid whom, and whether the books agree."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def transfers(
        self,
        *,
        account_id: str | None = None,
        job_id: str | None = None,
        kind: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Transfer]:
        return iterate(
            self._transport,
            "/v1/ledger/transfers",
            Transfer,
            limit=limit,
            account_id=account_id,
            job_id=job_id,
            kind=kind,
        )

    def balances(self) -> list[Balance]:
        path = "/v1/ledger/balances"
        return [parse(Balance, item) for item in items_of(self._transport.get(path), path)]

    def invariants(self) -> Invariants:
        return parse(Invariants, self._transport.get("/v1/ledger/invariants"))


class Policies:
    """What the operator wants of the market."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> Iterator[Policy]:
        return iterate(self._transport, "/v1/policies", Policy, limit=limit)

    def create(self, name: str, *, body: Mapping[str, Any], activate: bool = False) -> Policy:
        """A new version; what ``body`` leaves out has its default."""
        document = {"name": name, "body": dict(body), "activate": activate}
        return parse(Policy, self._transport.create("/v1/policies", document))

    def activate(self, policy_id: str) -> Policy:
        return parse(Policy, self._transport.json("POST", f"/v1/policies/{policy_id}/activate"))

    def get(self, policy_id: str) -> Policy:
        return parse(Policy, self._transport.get(f"/v1/policies/{policy_id}"))

    def shadow(self, policy_id: str) -> Policy:
        """Let a version clear the rounds beside the one in force; it is never applied."""
        return parse(Policy, self._transport.json("POST", f"/v1/policies/{policy_id}/shadow"))

    def end_shadow(self, policy_id: str) -> None:
        self._transport.json("DELETE", f"/v1/policies/{policy_id}/shadow")

    def compare(self, policy_id: str, *, since: str | None = None) -> ShadowComparison:
        """What a shadow has shown since an RFC 3339 time (by default a day)."""
        path = f"/v1/policies/{policy_id}/shadow"
        return parse(ShadowComparison, self._transport.get(path, **{"from": since}))
