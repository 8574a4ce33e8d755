"""Prices, rounds, statistics and the book."""

from datetime import datetime
from typing import Self

from api.answers import PageOf
from api.schemas.base import Document, View
from api.schemas.policies import ShadowView
from db.repositories.rounds import BookLevel, OutcomeRecord, PriceRecord
from db.repositories.upper_rounds import UpperRecord
from db.tables import RoundRow


class PriceView(View):
    """Micros per priced unit and hour; utilisation in [0, 1]."""

    cell_id: str
    cell_name: str
    resource: str
    price_micros: int
    utilisation: float
    at: datetime

    @classmethod
    def of(cls, record: PriceRecord) -> Self:
        return cls(
            cell_id=record.cell_id,
            cell_name=record.cell_name,
            resource=record.resource,
            price_micros=round(record.price_micros),
            utilisation=record.utilisation,
            at=record.at,
        )


class PricesView(View):
    """Prices, by cell and resource or by time."""

    items: list[PriceView]


class RoundView(View):
    """One clearing of a cell; ``gap`` is the share of the bound that it may have missed.

    ``seed``, ``budget_ms`` and ``effort`` repeat it to the byte, which ``digest`` shows; ``depth``
    is base units free, asked for and taken, by resource. ``slots_sent_up`` of those asked for were
    not served and went to the level above.
    """

    id: str
    cell_id: str
    policy_id: str
    mechanism: str
    seed: int
    bid_count: int
    ask_count: int
    slots_asked: int
    slots_matched: int
    slots_applied: int
    slots_refused: int
    slots_sent_up: int
    welfare: float
    bound: float
    gap: float
    timings_ms: Document
    budget_ms: int
    effort: Document
    digest: str
    depth: dict[str, list[int]]
    created_at: datetime

    @classmethod
    def of(cls, row: RoundRow) -> Self:
        return cls(**_round(row))


class OutcomeView(View):
    """What became of one bid, with the reason if it lost."""

    demand_id: str
    job_id: str
    slots_asked: int
    slots_won: int
    loss: str | None
    detail: str

    @classmethod
    def of(cls, record: OutcomeRecord) -> Self:
        outcome = record.outcome
        return cls(
            demand_id=outcome.demand_id,
            job_id=record.job_id,
            slots_asked=outcome.slots_asked,
            slots_won=outcome.slots_won,
            loss=outcome.loss,
            detail=outcome.detail,
        )


class RoundDetail(RoundView):
    """A round with the outcomes of one's own bids; of all for operators and viewers."""

    outcomes: list[OutcomeView]
    shadow: ShadowView | None

    @classmethod
    def with_outcomes(
        cls, row: RoundRow, outcomes: list[OutcomeView], shadow: ShadowView | None
    ) -> Self:
        return cls(**_round(row), outcomes=outcomes, shadow=shadow)


def _round(row: RoundRow) -> Document:
    own = {name: getattr(row, name) for name in RoundView.model_fields if name != "gap"}
    gap = 0.0 if row.bound <= 0 else max(0.0, 1.0 - row.welfare / row.bound)
    return own | {"gap": gap}


class UpperRoundView(View):
    """One clearing of a region or the root: which cell takes what the others could not serve.

    ``place`` is the region's id, or `root`. Of ``bid_count`` demands sent up, ``bids_handed_down``
    now stand in the round of another cell. ``slots_asked`` and ``slots_handed_down`` count slots;
    the latter those for which the curves of the taking cells showed room. Seen were ``step_count``
    steps on the supply curves of ``cell_count`` cells, ``bytes_up`` bytes in all.
    """

    id: str
    place: str
    place_name: str
    bid_count: int
    bids_handed_down: int
    slots_asked: int
    slots_handed_down: int
    cell_count: int
    step_count: int
    bytes_up: int
    timings_ms: Document
    created_at: datetime

    @classmethod
    def of(cls, record: UpperRecord) -> Self:
        own = {n: getattr(record.row, n) for n in cls.model_fields if n != "place_name"}
        return cls(**own, place_name=record.place_name)


class LevelView(View):
    """Orders of one resource at one price; units in base units."""

    cell_id: str
    resource: str
    price_micros: int
    units: int
    orders: int

    @classmethod
    def of(cls, level: BookLevel, *, cell_id: str) -> Self:
        return cls(
            cell_id=cell_id,
            resource=level.resource,
            price_micros=level.price_micros,
            units=level.units,
            orders=level.orders,
        )


class BookView(View):
    """Asks by reserve price per priced unit, bids by limit price per slot, both for an hour."""

    asks: list[LevelView]
    bids: list[LevelView]


class StatisticView(View):
    """One cell, resource and step of time; null where there was nothing to measure.

    Prices are micros per priced unit and hour. ``fill_rate`` is what was taken over what was asked
    for; ``depth_free`` and ``depth_asked`` are base units, means over the step's rounds;
    ``share_forwarded`` is of the demands that came to the cell those now in another.
    """

    cell_id: str
    cell_name: str
    resource: str
    at: datetime
    rounds: int
    price_p10_micros: float | None
    price_p50_micros: float | None
    price_p90_micros: float | None
    fill_rate: float | None
    depth_free: float | None
    depth_asked: float | None
    demands: int
    share_forwarded: float | None


class StatisticsView(View):
    """Market data over time, oldest first."""

    step_s: int
    items: list[StatisticView]


RoundPage = PageOf[RoundView]
UpperRoundPage = PageOf[UpperRoundView]
