"""Prices, rounds, the book and policies."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field

from api.answers import PageOf
from api.schemas.base import Document, Flag, Micros, Name, Request, View
from db.repositories.rounds import BookLevel, OutcomeRecord, PriceRecord
from db.tables import RoundRow

Weight = Annotated[float, Field(strict=True, ge=0, le=1_000)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]


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
    """One clearing of a cell; ``gap`` is the share of the bound that it may have missed."""

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
    welfare: float
    bound: float
    gap: float
    timings_ms: Document
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

    @classmethod
    def with_outcomes(cls, row: RoundRow, outcomes: list[OutcomeView]) -> Self:
        return cls(**_round(row), outcomes=outcomes)


def _round(row: RoundRow) -> Document:
    own = {name: getattr(row, name) for name in RoundView.model_fields if name != "gap"}
    gap = 0.0 if row.bound <= 0 else max(0.0, 1.0 - row.welfare / row.bound)
    return own | {"gap": gap}


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


class PolicyBody(Request):
    """What the operator decides for every round; what is absent has its default."""

    mechanism: Name | None = None
    weight_cost: Weight = 0.3
    weight_qos: Weight = 0.3
    weight_energy: Weight = 0.2
    weight_fairness: Weight = 0.2
    payment: Literal["pay_as_bid", "uniform", "critical", "vcg"] = "uniform"
    price_step: Share = 0.1
    utilisation_target: Share = 0.8
    price_floor_micros: Micros = 1
    price_cap_micros: Micros = 1_000_000_000
    fairness_half_life_s: Annotated[int, Field(strict=True, ge=1, le=31_536_000)] = 3_600


class PolicyCreate(Request):
    """A new version of the policy; it counts once it is activated."""

    name: Name
    body: PolicyBody = PolicyBody()
    activate: Flag = False


class PolicyView(View):
    """A version of the policy; the newest activated one is in force."""

    id: str
    name: str
    body: Document
    created_by: str
    created_at: datetime
    activated_at: datetime | None


RoundPage = PageOf[RoundView]
PolicyPage = PageOf[PolicyView]
