"""What a job may expect before it is submitted: whether, where, for how much, how soon."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from broker.services import job_spec
from broker.services.explain import plan_of
from broker.services.feasibility import Fits, RuledOut, Unserviceable, judge
from broker.services.job_spec import JobSpec
from broker.services.jobs import lease_window_ms
from broker.services.refusals import NotFound
from broker.services.shares import Shares
from broker.services.snapshot_store import SnapshotCorrupt, unpack
from broker.services.snapshots import build_snapshot, current_policy, read_rows
from db.control import explaining, rounds
from db.control.rounds import BidRow
from db.engine import dump_json
from market.money import charge_micros
from market.plan import Loss
from market.predict import Prediction, predict, rounds_until
from market.recent import Past
from market.resources import RESOURCE_NAMES

BIDS_READ_MAX = 2_000  # competing demands that a prediction looks at
RECENT = timedelta(hours=1)
ROUNDS_READ_MAX = 10  # of the cell, to learn from
ROUND_BIDS_MAX = 1_000  # a larger round is left out: its snapshot alone takes long to read
ROUND_ASKS_MAX = 1_000
START_MS = (60.0, 250.0)  # median and 90th percentile where nothing has started of late
HYPOTHETICAL = "demand_planned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """From the best case to the worst."""

    low: int
    likely: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """The answer to a plan; prices are micros of one slot-hour, costs of the whole job.

    Where no price up to the limit can win there is no range, and ``no_price`` says why.
    """

    serviceable: bool
    reasons: tuple[RuledOut, ...]
    candidates: int
    price_micros_per_hour: Range | None
    cost_micros: Range | None
    no_price: str
    hold_micros: int
    chance: float
    start_ms_p50: float | None
    start_ms_p90: float | None
    cell_id: str | None


def plan_job(
    session: Session,
    *,
    account_id: str,
    spec: JobSpec,
    now: datetime,
    mechanism: str = "greedy",
    round_wait_ms: float = 5_000.0,
) -> JobPlan:
    """Predict what would become of ``spec`` if it were submitted now; writes nothing.

    ``round_wait_ms`` is how long a demand that lost waits for the next round. Raises ``NotFound``.
    """
    name = explaining.account_name(session, account_id)
    if name is None:
        raise NotFound("account", account_id)
    verdict = judge(Fits(session), spec, tenant=name, salt="00000000")
    if not verdict.home:
        return _unserviceable(spec, verdict.ruled_out)
    found = _predict(
        session, spec, account_id=account_id, cell=verdict.home, now=now, mechanism=mechanism
    )
    usual = explaining.start_times(session, since=now - RECENT)
    p50, p90 = usual if usual[0] else START_MS
    reasons = verdict.ruled_out
    if not found.servable:
        reasons = (_now(found), *reasons)
    p50 += round_wait_ms * rounds_until(found.chance, share=0.5)
    p90 += round_wait_ms * rounds_until(found.chance, share=0.9)
    return JobPlan(
        serviceable=True,
        reasons=reasons,
        candidates=found.candidates,
        price_micros_per_hour=_prices(found),
        cost_micros=_costs(spec, found) if found.servable else None,
        no_price="" if found.servable else _no_price(found),
        hold_micros=spec.budget_micros,
        chance=found.chance,
        start_ms_p50=p50 if found.servable else None,
        start_ms_p90=p90 if found.servable else None,
        cell_id=verdict.home,
    )


def _predict(
    session: Session,
    spec: JobSpec,
    *,
    account_id: str,
    cell: str,
    now: datetime,
    mechanism: str,
) -> Prediction:
    policy = current_policy(session, mechanism=mechanism)
    bids = rounds.read_bids(session, cell, most=BIDS_READ_MAX)
    bids.append(_bid(spec, account_id=account_id, cell=cell, now=now))
    rows = read_rows(session, cells=[cell], bids=bids, policy=policy, shares=Shares(), now=now)
    snapshot = build_snapshot(
        rows, round_id="round_planned", cell=cell, policy=policy, now=now, seed=0
    )
    return predict(
        snapshot, len(bids) - 1, next_round_ms=0, past=_last_rounds(session, cell, now=now)
    )


def _last_rounds(session: Session, cell: str, *, now: datetime) -> list[Past]:
    """What the cell's last rounds came to, the newest first."""
    seen = explaining.last_rounds(
        session,
        cell,
        since=now - RECENT,
        most=ROUNDS_READ_MAX,
        bids_max=ROUND_BIDS_MAX,
        asks_max=ROUND_ASKS_MAX,
    )
    found = []
    for each in seen:
        try:
            snapshot = unpack(each.snapshot or b"")
        except SnapshotCorrupt:
            continue  # of a version that is gone
        found.append(Past.of(snapshot, plan_of(snapshot, explaining.won_in(session, each))))
    return found


def _bid(spec: JobSpec, *, account_id: str, cell: str, now: datetime) -> BidRow:
    document = job_spec.to_document(spec)
    needs = {name: document[name] for name in ("kind", "constraints", "qos")}
    return BidRow(
        demand=HYPOTHETICAL,
        account=account_id,
        home_cell=cell,
        slots=max(1, min(spec.slots_max, len(spec.tasks))),
        slots_min=1,
        limit_micros_per_hour=spec.limit_micros_per_hour,
        duration_ms=lease_window_ms(spec),
        created_ms=int(now.timestamp() * 1000),
        needs=dump_json(needs),
        resources=tuple(spec.resources.get(name, 0) for name in RESOURCE_NAMES),
    )


def _prices(found: Prediction) -> Range | None:
    if not found.servable:
        return None
    return Range(low=found.price_low, likely=found.price_likely, high=found.price_high)


def _no_price(found: Prediction) -> str:
    """Why no price up to the limit can win at this moment."""
    if found.loss is Loss.LIMIT_BELOW_RESERVE:
        return f"The limit price is too low to win: {found.detail.removeprefix('limit: ')}."
    return f"No price wins at this moment: {found.detail}."


def _costs(spec: JobSpec, found: Prediction) -> Range:
    """Work that the tenant did not estimate may take from a millisecond to its run limit."""
    tasks, longest = len(spec.tasks), spec.limits.max_run_ms
    likely_ms = min(spec.qos.work_ms or longest, longest)
    least_ms = min(spec.qos.work_ms or 1, longest)

    def cost(rate: int, run_ms: int) -> int:
        owed = charge_micros(rate_micros_per_hour=rate, slot_ms=run_ms * tasks)
        return min(owed, spec.budget_micros)

    return Range(
        low=cost(found.price_low, least_ms),
        likely=cost(found.price_likely, likely_ms),
        high=cost(found.price_high, longest),
    )


def _now(found: Prediction) -> RuledOut:
    """Why nobody could serve it at this moment, though somebody known could."""
    return RuledOut(
        constraint=str(found.loss or Loss.NO_ASK), count=found.refused, detail=found.detail
    )


def _unserviceable(spec: JobSpec, reasons: Sequence[RuledOut]) -> JobPlan:
    return JobPlan(
        serviceable=False,
        reasons=tuple(reasons),
        candidates=0,
        price_micros_per_hour=None,
        cost_micros=None,
        no_price=f"No price wins. {Unserviceable(reasons)}",
        hold_micros=spec.budget_micros,
        chance=0.0,
        start_ms_p50=None,
        start_ms_p90=None,
        cell_id=None,
    )
