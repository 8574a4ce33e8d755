"""Everything that the first page shows, in some ten statements for any number of rows."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from broker.services.ledger_checks import Checked, LedgerChecks
from broker.services.principals import Principal
from db.repositories import cells, jobs, ledger, nodes, overview, policies, rounds
from db.repositories.cells import CellRecord
from db.repositories.jobs import JobRecord
from db.repositories.ledger import BalanceRecord
from db.repositories.nodes import NodeFilter, NodeRecord
from db.repositories.overview import StartLatency
from db.repositories.rounds import PriceRecord
from market.lifecycle import JobState, NodeState

CELLS_MAX = 500
NODES_MAX = 500
JOBS_MAX = 20
BALANCES_MAX = 200
START_BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What the asker may see of everything."""

    cells: list[CellRecord]
    nodes: list[NodeRecord]
    jobs_by_state: dict[str, int]
    jobs_recent: list[JobRecord]
    balances: list[BalanceRecord]
    invariants: Checked
    prices: list[PriceRecord]
    latency: StartLatency
    mechanism: str


def look(
    session: Session,
    checks: LedgerChecks,
    *,
    principal: Principal,
    mechanism: str,
    now: datetime,
) -> Overview:
    """The overview; ``mechanism`` is in force where the policy names none."""
    view = principal.view
    policy = policies.in_force(session)
    named = None if policy is None else policy.body.get("mechanism")
    return Overview(
        cells=list(cells.page(session, after=None, limit=CELLS_MAX).items),
        nodes=list(
            nodes.page(
                session, owner_id=view, chosen=NodeFilter(), after=None, limit=NODES_MAX
            ).items
        ),
        jobs_by_state=dict.fromkeys(JobState, 0) | jobs.count_by_state(session, account_id=view),
        jobs_recent=list(jobs.page(session, account_id=view, limit=JOBS_MAX).items),
        balances=list(ledger.balances(session, view=view, limit=BALANCES_MAX)),
        invariants=checks.check(session, now=now),
        prices=rounds.standing_prices(session),
        latency=overview.start_latency(session, account_id=view),
        mechanism=named or mechanism,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the metrics say of the platform; buckets are cumulative, in seconds."""

    jobs: dict[str, int]
    nodes: dict[str, int]
    invariants: dict[str, int]
    start_buckets: list[tuple[str, float]]
    start_sum_s: float


def figures(session: Session, checks: LedgerChecks, *, now: datetime) -> Figures:
    """Counts by state, the ledger's invariants as 0 or 1, and the time from submit to start."""
    buckets, total = overview.start_histogram(session, START_BOUNDS_S)
    checked = checks.check(session, now=now)
    return Figures(
        jobs=dict.fromkeys(JobState, 0) | jobs.count_by_state(session, account_id=None),
        nodes=dict.fromkeys(NodeState, 0) | dict(overview.nodes_by_state(session)),
        invariants={item.name: int(item.ok) for item in checked.items},
        start_buckets=[
            ("+Inf" if bound == float("inf") else str(bound), float(count))
            for bound, count in buckets
        ],
        start_sum_s=total,
    )
