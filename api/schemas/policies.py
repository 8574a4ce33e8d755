"""Versions of the operator's policy, and what a shadow shows of one."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field

from api.answers import PageOf
from api.schemas.base import Document, Flag, Micros, Name, Request, View
from db.repositories.policies import ShadowFigure

Weight = Annotated[float, Field(strict=True, ge=0, le=1_000)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Number = Annotated[float, Field(strict=True, ge=-1e9, le=1e9, allow_inf_nan=False)]


class PolicyBody(Request):
    """What the operator decides for every round; what is absent has its default."""

    mechanism: Name | None = None
    weight_cost: Weight = 0.25
    weight_qos: Weight = 0.25
    weight_energy: Weight = 0.1
    weight_fairness: Weight = 0.4
    payment: Literal["pay_as_bid", "uniform", "critical", "vcg"] = "uniform"
    price_step: Share = 0.1
    utilisation_target: Share = 0.8
    price_floor_micros: Micros = 1
    price_cap_micros: Micros = 1_000_000_000
    fairness_half_life_s: Annotated[int, Field(strict=True, ge=1, le=31_536_000)] = 3_600
    parameters: dict[Name, Number] = Field(default_factory=dict, max_length=16)


class PolicyCreate(Request):
    """A new version of the policy; it counts once it is activated."""

    name: Name
    body: PolicyBody = PolicyBody()
    activate: Flag = False


class PolicyView(View):
    """A version of the policy; ``shadow``: it clears rounds beside the one in force."""

    id: str
    name: str
    body: Document
    created_by: str
    created_at: datetime
    activated_at: datetime | None
    shadow: bool


class ShadowView(View):
    """What a shadow policy would have made of a round, both by the score of the one in force."""

    policy_id: str
    live: dict[str, float]
    shadow: dict[str, float]
    created_at: datetime


class FigureView(View):
    """Means over the rounds of one figure."""

    name: str
    live: float
    shadow: float
    change: float | None  # of the mean, as a share of the live one

    @classmethod
    def of(cls, figure: ShadowFigure) -> Self:
        live, shadow = figure.live / figure.rounds, figure.shadow / figure.rounds
        return cls(
            name=figure.name,
            live=live,
            shadow=shadow,
            change=shadow / live - 1.0 if live else None,
        )


class ComparisonView(View):
    """A shadow policy beside the live ones, over the rounds that both cleared since a time."""

    policy_id: str
    since: datetime
    rounds: int
    items: list[FigureView]


PolicyPage = PageOf[PolicyView]
