"""What a plan predicts and what an explanation says."""

from datetime import datetime
from typing import Self

from pydantic import Field

from api.schemas.base import View
from api.schemas.jobs import DemandView
from api.schemas.ledger import LeaseView
from broker.services.explain import JobExplanation
from broker.services.plan import JobPlan, Range
from market.explain import Candidate
from market.winning import Method


class RuledOutView(View):
    """Nodes that one constraint rules out."""

    constraint: str
    count: int
    detail: str


class RangeView(View):
    """From the best case to the worst, in micros."""

    low: int
    likely: int
    high: int


class StartTimes(View):
    """Milliseconds from submit to start; null if nobody could serve it now."""

    p50: float | None
    p90: float | None


class PlanView(View):
    """What submitting would come to; nothing is written and nothing promised."""

    serviceable: bool
    reasons: list[RuledOutView]
    candidates: int
    price_micros_per_hour: RangeView | None = Field(
        description="Of one slot; null where no price up to the limit can win."
    )
    cost_micros: RangeView | None = Field(description="Of the whole job; null as the price.")
    no_price: str = Field(description="Why no price can win; empty where one can.")
    hold_micros: int
    chance: float
    start_ms: StartTimes
    cell_id: str | None

    @classmethod
    def of(cls, plan: JobPlan) -> Self:
        return cls(
            serviceable=plan.serviceable,
            reasons=[RuledOutView.model_validate(reason) for reason in plan.reasons],
            candidates=plan.candidates,
            price_micros_per_hour=_range(plan.price_micros_per_hour),
            cost_micros=_range(plan.cost_micros),
            no_price=plan.no_price,
            hold_micros=plan.hold_micros,
            chance=plan.chance,
            start_ms=StartTimes(p50=plan.start_ms_p50, p90=plan.start_ms_p90),
            cell_id=plan.cell_id,
        )


def _range(found: Range | None) -> RangeView | None:
    return None if found is None else RangeView.model_validate(found)


class JobRoundView(View):
    """One round that the job's demand stood in."""

    round_id: str
    created_at: datetime
    mechanism: str
    slots_asked: int
    slots_won: int
    loss: str | None
    detail: str


class TermsView(View):
    """The four terms of the score, each in [0, 1]."""

    cost: float
    qos: float
    energy: float
    fairness: float


class CandidateView(View):
    """A node that could serve the job, and how the market sees the pair."""

    node_id: str
    node_name: str
    terms: TermsView
    score: float
    rate_micros_per_hour: int
    slots_free: int
    slots_won: int

    @classmethod
    def of(cls, candidate: Candidate, *, node_name: str) -> Self:
        return cls(
            node_id=candidate.node,
            node_name=node_name,
            terms=TermsView.model_validate(candidate),
            score=candidate.value,
            rate_micros_per_hour=candidate.reserve_rate,
            slots_free=candidate.slots_free,
            slots_won=candidate.slots_won,
        )


class ExplanationView(View):
    """Why the job is where it is.

    `price_to_win_method` says how the price is known: `bisected` by clearing its last round again
    with other limits (it would have won, one micro less would have lost), or `marginal`, estimated
    from what the winners were worth.
    """

    job_id: str
    state: str
    summary: str
    demand: DemandView
    rounds: list[JobRoundView]
    ruled_out: list[RuledOutView]
    candidates: list[CandidateView]
    price_to_win_micros_per_hour: int | None
    price_to_win_method: Method | None
    leases: list[LeaseView]

    @classmethod
    def of(cls, found: JobExplanation) -> Self:
        names = found.node_names
        return cls(
            job_id=found.job.job.id,
            state=found.job.job.state,
            summary=found.summary,
            demand=DemandView.model_validate(found.job.demand),
            rounds=[JobRoundView.model_validate(each) for each in found.rounds],
            ruled_out=[
                RuledOutView(constraint=constraint, count=count, detail=detail)
                for constraint, count, detail in found.ruled_out
            ],
            candidates=[
                CandidateView.of(each, node_name=names.get(each.node, ""))
                for each in found.candidates
            ],
            price_to_win_micros_per_hour=found.price_to_win_micros_per_hour,
            price_to_win_method=found.price_to_win.method if found.price_to_win else None,
            leases=[LeaseView.of(lease) for lease in found.leases],
        )
