"""The one call for the dashboard's first paint."""

from typing import Self

from api.schemas.base import View
from api.schemas.jobs import JobView
from api.schemas.ledger import BalanceRow, InvariantsView
from api.schemas.market import PriceView
from api.schemas.topology import CellView, NodeView
from api.version import VERSION
from broker.services.overview import Overview


class JobsOverview(View):
    """Counts by state, and the newest jobs."""

    by_state: dict[str, int]
    recent: list[JobView]


class StartView(View):
    """Percentiles in milliseconds; null without a job."""

    p50: float | None
    p99: float | None
    count: int


class LatencyView(View):
    """Of the last hour."""

    submit_to_start_ms: StartView


class ControlView(View):
    """The control plane."""

    version: str
    mechanism: str


class OverviewView(View):
    """What one may see of everything."""

    cells: list[CellView]
    nodes: list[NodeView]
    jobs: JobsOverview
    balances: list[BalanceRow]
    invariants: InvariantsView
    prices: list[PriceView]
    latency: LatencyView
    control: ControlView

    @classmethod
    def of(cls, seen: Overview) -> Self:
        return cls.model_construct(
            cells=[CellView.of(record) for record in seen.cells],
            nodes=[NodeView.of(record) for record in seen.nodes],
            jobs=JobsOverview.model_construct(
                by_state=seen.jobs_by_state,
                recent=[JobView.of(record) for record in seen.jobs_recent],
            ),
            balances=[BalanceRow.model_validate(balance) for balance in seen.balances],
            invariants=InvariantsView.model_validate(seen.invariants),
            prices=[PriceView.of(price) for price in seen.prices],
            latency=LatencyView(submit_to_start_ms=StartView.model_validate(seen.latency)),
            control=ControlView(version=VERSION, mechanism=seen.mechanism),
        )
