"""Rounds with the outcomes of their bids, prices now and before, and the depth of the book."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session, defer

from db.repositories.paging import Page, Place, cut, newest_first
from db.tables import BidOutcome, Demand, RoundRow

HISTORY_MAX = 5_000
OUTCOMES_MAX = 500
BOOK_MAX = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRecord:
    """What became of a bid of ``job_id`` in a round."""

    outcome: BidOutcome
    job_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandRound:
    """One round that a demand stood in."""

    round_id: str
    created_at: dt.datetime
    mechanism: str
    slots_asked: int
    slots_won: int
    loss: str | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRecord:
    """A price of a resource in a cell: micros per priced unit and hour."""

    cell_id: str
    cell_name: str
    resource: str
    price_micros: float
    utilisation: float
    at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLevel:
    """Units of a resource on one side at one price.

    Of an ask ``price_micros`` is the reserve per priced unit and hour, ``orders`` counts nodes; of
    a bid it is the limit per slot and hour, ``orders`` counts demands.
    """

    side: str  # "ask" or "bid"
    resource: str
    price_micros: int
    units: int
    orders: int


def page(
    session: Session,
    *,
    cell_id: str = "",
    with_bids: bool = False,
    after: Place | None = None,
    limit: int,
) -> Page[RoundRow]:
    """Rounds (``with_bids``: in which somebody bid), newest first, without their snapshots."""
    statement = select(RoundRow).options(defer(RoundRow.snapshot))
    if cell_id:
        statement = statement.where(RoundRow.cell_id == cell_id)
    if with_bids:
        statement = statement.where(RoundRow.bid_count > 0)
    statement = newest_first(
        statement, at=RoundRow.created_at, id=RoundRow.id, after=after, limit=limit
    )
    rows = session.scalars(statement).all()
    return cut(rows, limit=limit, place=lambda each: Place(at=each.created_at, id=each.id))


def get(session: Session, round_id: str) -> RoundRow | None:
    """The round, without its snapshot."""
    return session.scalar(
        select(RoundRow).options(defer(RoundRow.snapshot)).where(RoundRow.id == round_id)
    )


def with_snapshot(session: Session, round_id: str) -> RoundRow | None:
    """The round, its snapshot as well if that is still kept."""
    return session.get(RoundRow, round_id)


def outcomes(
    session: Session, round_id: str, *, account_id: str | None, limit: int = OUTCOMES_MAX
) -> list[OutcomeRecord]:
    """Outcomes of the bids of ``account_id`` (None: of all) in a round, winners first."""
    statement = (
        select(BidOutcome, Demand.job_id)
        .join(Demand, Demand.id == BidOutcome.demand_id)
        .where(BidOutcome.round_id == round_id)
    )
    if account_id is not None:
        statement = statement.where(Demand.account_id == account_id)
    ordered = statement.order_by(BidOutcome.slots_won.desc(), BidOutcome.demand_id).limit(limit)
    return [OutcomeRecord(outcome=row[0], job_id=row[1]) for row in session.execute(ordered)]


def of_demand(session: Session, demand_id: str, *, limit: int = 50) -> list[DemandRound]:
    """The newest rounds in which the demand's outcome was noted."""
    rows = session.execute(
        select(
            RoundRow.id,
            RoundRow.created_at,
            RoundRow.mechanism,
            BidOutcome.slots_asked,
            BidOutcome.slots_won,
            BidOutcome.loss,
            BidOutcome.detail,
        )
        .join(RoundRow, RoundRow.id == BidOutcome.round_id)
        .where(BidOutcome.demand_id == demand_id)
        .order_by(RoundRow.created_at.desc(), RoundRow.id.desc())
        .limit(limit)
    )
    return [
        DemandRound(
            round_id=row[0],
            created_at=row[1],
            mechanism=row[2],
            slots_asked=row[3],
            slots_won=row[4],
            loss=row[5],
            detail=row[6],
        )
        for row in rows
    ]


_STANDING = text("""
    SELECT p.cell_id, c.name AS cell_name, p.resource, p.price_micros, p.utilisation, p.at
    FROM standing_prices p JOIN cells c ON c.id = p.cell_id
    WHERE :cell_id = '' OR p.cell_id = :cell_id
    ORDER BY c.name, p.resource
""")
_HISTORY = text("""
    SELECT p.cell_id, c.name AS cell_name, p.resource, p.price_micros, p.utilisation, p.at
    FROM prices p JOIN cells c ON c.id = p.cell_id
    WHERE p.cell_id = :cell_id AND (:resource = '' OR p.resource = :resource) AND p.at >= :since
    ORDER BY p.at DESC LIMIT :most
""")
_BOOK = text("""
    WITH leased AS (
        SELECT node_id, sum(slots * cpu_millis) AS cpu_millis,
            sum(slots * memory_bytes) AS memory_bytes,
            sum(slots * accelerator_millis) AS accelerator_millis,
            sum(slots * bandwidth_kbps) AS bandwidth_kbps
        FROM leases WHERE state = 'active' AND cell_id = :cell_id GROUP BY node_id
    )
    SELECT 'ask' AS side, u.key AS resource,
        coalesce((o.reserve->>u.key)::bigint, 0) AS price_micros,
        sum(greatest(0, u.value::bigint - coalesce((to_jsonb(l)->>u.key)::numeric, 0)))::bigint
            AS units,
        count(*) AS orders
    FROM nodes n JOIN offers o ON o.node_id = n.id AND o.state = 'open'
    CROSS JOIN jsonb_each_text(o.capacity) u LEFT JOIN leased l ON l.node_id = n.id
    WHERE n.cell_id = :cell_id AND n.state = 'online'
    GROUP BY 2, 3
    UNION ALL
    SELECT 'bid', u.key, d.limit_micros_per_hour, sum(u.value::bigint * d.count_open)::bigint,
        count(*)
    FROM demands d CROSS JOIN jsonb_each_text(d.resources) u
    WHERE d.cell_id = :cell_id AND d.state = 'open' AND u.value::bigint > 0
    GROUP BY 2, 3
    ORDER BY 1, 2, 3 LIMIT :most
""")


def standing_prices(session: Session, *, cell_id: str = "") -> list[PriceRecord]:
    """Prices in force, of one cell or of all."""
    return [_price(row) for row in session.execute(_STANDING, {"cell_id": cell_id})]


def price_history(
    session: Session,
    *,
    cell_id: str,
    resource: str = "",
    since: dt.datetime,
    limit: int = HISTORY_MAX,
) -> list[PriceRecord]:
    """Prices after each round that moved them, oldest first; the newest ``limit``."""
    values = {"cell_id": cell_id, "resource": resource, "since": since, "most": limit}
    return [_price(row) for row in session.execute(_HISTORY, values)][::-1]


def book(session: Session, *, cell_id: str) -> list[BookLevel]:
    """What stands in a cell's market now, by side, resource and price."""
    rows: Any = session.execute(_BOOK, {"cell_id": cell_id, "most": BOOK_MAX})
    return [
        BookLevel(
            side=row.side,
            resource=row.resource,
            price_micros=row.price_micros,
            units=row.units,
            orders=row.orders,
        )
        for row in rows
    ]


def _price(row: Any) -> PriceRecord:
    return PriceRecord(
        cell_id=row.cell_id,
        cell_name=row.cell_name,
        resource=row.resource,
        price_micros=row.price_micros,
        utilisation=row.utilisation,
        at=row.at,
    )
