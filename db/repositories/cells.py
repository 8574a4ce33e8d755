"""Cells, with what their nodes sell, what of it is leased, and the standing prices."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import case, func, or_, select, text
from sqlalchemy.orm import Session

from db.repositories.paging import Page, Place, cut, newest_first
from db.repositories.sums import leased_by, sum_of
from db.tables import Cell, Node, Offer, StandingPrice
from market.lifecycle import NodeState
from market.resources import RESOURCE_NAMES

Amounts = dict[str, int]


@dataclass(slots=True, kw_only=True)
class CellRecord:
    """One cell; ``total`` is what nodes that are online offer, ``leased`` what of it is taken."""

    cell: Cell
    online: int = 0
    offline: int = 0
    nodes: int = 0
    total: Amounts = field(default_factory=dict)
    leased: Amounts = field(default_factory=dict)
    prices: list[StandingPrice] = field(default_factory=list)


_PLACE = text("SELECT id, name, level FROM cells WHERE id = :key OR name = :key")


def get(session: Session, key: str) -> Cell | None:
    """The cell with this id or name."""
    return session.scalar(select(Cell).where(or_(Cell.id == key, Cell.name == key)))


def place_of(session: Session, key: str) -> tuple[str, str, str] | None:
    """(id, name, level) of the cell with this id or name; for those who need no more."""
    row = session.execute(_PLACE, {"key": key}).first()
    return None if row is None else (row[0], row[1], row[2])


def any_exists(session: Session) -> bool:
    """Whether there is a cell at all."""
    return session.scalar(select(Cell.id).limit(1)) is not None


def root(session: Session) -> Cell | None:
    """The root of the tree."""
    return session.scalar(select(Cell).where(Cell.level == "root").order_by(Cell.created_at))


def page(session: Session, *, after: Place | None, limit: int) -> Page[CellRecord]:
    """Cells with their figures."""
    statement = newest_first(select(Cell), at=Cell.created_at, id=Cell.id, after=after, limit=limit)
    records = with_figures(session, session.scalars(statement).all())
    return cut(records, limit=limit, place=lambda r: Place(at=r.cell.created_at, id=r.cell.id))


def with_figures(session: Session, cells: Iterable[Cell]) -> list[CellRecord]:
    """The cells with counts, capacity and prices, in three statements for any number of them."""
    records = {cell.id: CellRecord(cell=cell) for cell in cells}
    _count_nodes(session, records)
    _add_capacity(session, records)
    prices = defaultdict(list)
    wanted = select(StandingPrice).where(StandingPrice.cell_id.in_(records))
    for price in session.scalars(wanted.order_by(StandingPrice.resource)):
        prices[price.cell_id].append(price)
    for cell_id, record in records.items():
        record.prices = prices[cell_id]
    return list(records.values())


def _count_nodes(session: Session, records: dict[str, CellRecord]) -> None:
    online = case((Node.state.in_((NodeState.ONLINE, NodeState.DRAINING)), 1))
    counts = (
        select(
            Node.cell_id,
            func.count(online),
            func.count(case((Node.state == NodeState.OFFLINE, 1))),
            func.count(),
        )
        .where(Node.cell_id.in_(records), Node.state != NodeState.REVOKED)
        .group_by(Node.cell_id)
    )
    for cell_id, online_count, offline_count, all_count in session.execute(counts):
        record = records[cell_id]
        record.online, record.offline, record.nodes = online_count, offline_count, all_count


def _add_capacity(session: Session, records: dict[str, CellRecord]) -> None:
    leased = leased_by("node_id")
    statement = (
        select(
            Node.cell_id,
            *(sum_of(Offer.capacity, name) for name in RESOURCE_NAMES),
            *(func.coalesce(func.sum(leased.c[name]), 0) for name in RESOURCE_NAMES),
        )
        .join(Offer, (Offer.node_id == Node.id) & (Offer.state == "open"))
        .outerjoin(leased, leased.c.node_id == Node.id)
        .where(Node.cell_id.in_(records), Node.state == NodeState.ONLINE)
        .group_by(Node.cell_id)
    )
    width = len(RESOURCE_NAMES)
    for cell_id, *amounts in session.execute(statement):
        found = [int(amount) for amount in amounts]
        records[cell_id].total = _named(found[:width])
        records[cell_id].leased = _named(found[width:])


def _named(amounts: list[int]) -> Amounts:
    return {name: amount for name, amount in zip(RESOURCE_NAMES, amounts, strict=True) if amount}
