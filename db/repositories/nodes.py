"""Nodes with owner, cell, offer and what is leased of them; telemetry readings."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from db.repositories.paging import Page, Place, cut, newest_first
from db.tables import Account, Cell, Lease, Node, Offer
from market.lifecycle import LeaseState
from market.resources import RESOURCE_NAMES


@dataclass(slots=True, kw_only=True)
class NodeRecord:
    """A node as its owner and the operator see it; ``leased`` in base units."""

    node: Node
    owner_name: str
    cell_name: str
    offer: Offer | None
    leased: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFilter:
    """Which nodes to list; None means any."""

    cell_id: str | None = None
    state: str | None = None
    owner_id: str | None = None


def get(session: Session, node_id: str, *, owner_id: str | None) -> NodeRecord | None:
    """One node; with ``owner_id`` only if it is theirs."""
    statement = _visible(owner_id).where(Node.id == node_id)
    return next(iter(_with_leases(session, statement)), None)


def locked(session: Session, node_id: str, *, owner_id: str | None) -> Node | None:
    """The node, locked against other writers until the transaction ends."""
    statement = select(Node).where(Node.id == node_id).with_for_update()
    if owner_id is not None:
        statement = statement.where(Node.owner_id == owner_id)
    return session.scalar(statement)


def by_key(session: Session, public_key_sha256: str) -> Node | None:
    """The node that enrolled with this key, locked."""
    return session.scalar(
        select(Node).where(Node.public_key_sha256 == public_key_sha256).with_for_update()
    )


def page(
    session: Session,
    *,
    owner_id: str | None,
    chosen: NodeFilter,
    after: Place | None,
    limit: int,
) -> Page[NodeRecord]:
    """Nodes, newest first."""
    statement = _visible(owner_id)
    if chosen.cell_id is not None:
        statement = statement.where(Node.cell_id == chosen.cell_id)
    if chosen.state is not None:
        statement = statement.where(Node.state == chosen.state)
    if chosen.owner_id is not None:
        statement = statement.where(Node.owner_id == chosen.owner_id)
    statement = newest_first(statement, at=Node.enrolled_at, id=Node.id, after=after, limit=limit)
    records = _with_leases(session, statement)
    return cut(records, limit=limit, place=lambda r: Place(at=r.node.enrolled_at, id=r.node.id))


def withdraw_offers(session: Session, node_id: str, now: datetime) -> None:
    """Take every open offer of the node off the market."""
    session.execute(
        update(Offer)
        .where(Offer.node_id == node_id, Offer.state == "open")
        .values(state="withdrawn", updated_at=now, version=Offer.version + 1)
    )


def move_offers(session: Session, node_id: str, *, cell_id: str, now: datetime) -> None:
    """The node's open offer follows it into another cell."""
    session.execute(
        update(Offer)
        .where(Offer.node_id == node_id, Offer.state == "open")
        .values(cell_id=cell_id, updated_at=now, version=Offer.version + 1)
    )


def _visible(owner_id: str | None) -> Select[*tuple[Any, ...]]:
    statement = (
        select(Node, Account.name, Cell.name, Offer)
        .join(Account, Account.id == Node.owner_id)
        .join(Cell, Cell.id == Node.cell_id)
        .outerjoin(Offer, (Offer.node_id == Node.id) & (Offer.state == "open"))
    )
    return statement if owner_id is None else statement.where(Node.owner_id == owner_id)


def _with_leases(session: Session, statement: Select[*tuple[Any, ...]]) -> list[NodeRecord]:
    records = {
        node.id: NodeRecord(node=node, owner_name=owner, cell_name=cell, offer=offer)
        for node, owner, cell, offer in session.execute(statement)
    }
    sums = [func.sum(Lease.slots * getattr(Lease, name)) for name in RESOURCE_NAMES]
    taken = (
        select(Lease.node_id, *sums)
        .where(Lease.state == LeaseState.ACTIVE, Lease.node_id.in_(records))
        .group_by(Lease.node_id)
    )
    for node_id, *amounts in session.execute(taken):
        named = zip(RESOURCE_NAMES, amounts, strict=True)
        records[node_id].leased = {name: int(amount) for name, amount in named if amount}
    return list(records.values())
