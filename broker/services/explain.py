"""Why a job is where it is: its rounds, its candidates with each term, what would have won.

The last round of its demand is explained from the round's own snapshot and from the leases that it
made; a job that has not been in a round yet is held against the present state of its cell.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from sqlalchemy.orm import Session

from broker.services import jobs
from broker.services.shares import Shares
from broker.services.snapshot_store import SnapshotCorrupt, unpack
from broker.services.snapshots import build_snapshot, current_policy, read_rows
from db.control import explaining
from db.control import rounds as round_rows
from db.repositories import leases, rounds
from db.repositories.jobs import JobRecord
from db.repositories.rounds import DemandRound
from db.tables import Lease
from market import feasible, sentences
from market.explain import Candidate, Explanation, explain
from market.money import format_credits
from market.plan import Loss, Plan
from market.repeating import repeated
from market.snapshot import Snapshot
from market.winning import PriceToWin, price_to_win

ROUNDS_SHOWN = 20
BUDGET_MS = 20  # of one clearing, where the round did not note its own
KEPT_MAX = 256  # explanations of rounds that are past: a page asks for one every few seconds
_SENTENCES: Mapping[Loss, str] = {
    Loss.CONSTRAINT: "lack a label, an architecture or a runtime that the job requires",
    Loss.NOT_ADMITTED: "belong to owners who do not serve this account",
    Loss.TOO_LARGE: "could not hold one slot even when empty",
    Loss.LATENCY: "are too far away",
    Loss.RELIABILITY: "are less reliable than the job asks for",
    Loss.SPEED: "are slower than the job asks for",
    Loss.DEADLINE: "are too slow for what is left until the deadline",
    Loss.LIMIT_BELOW_RESERVE: "ask more than the job's limit price",
}
_NO_LIMIT = " No limit would have won then: what could serve it is taken, or worth more to others."


@dataclass(frozen=True, slots=True, kw_only=True)
class JobExplanation:
    """Everything that is known of why; ``market`` None: nothing could be reconstructed."""

    job: JobRecord
    summary: str
    rounds: list[DemandRound]
    market: Explanation | None
    ruled_out: list[tuple[str, int, str]]  # constraint, nodes, sentence
    node_names: Mapping[str, str]
    leases: list[Lease]
    price_to_win: PriceToWin | None

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return () if self.market is None else self.market.candidates

    @property
    def price_to_win_micros_per_hour(self) -> int | None:
        return None if self.price_to_win is None else self.price_to_win.micros


def explain_job(
    session: Session,
    job_id: str,
    *,
    account_id: str | None,
    now: datetime,
    mechanism: str = "greedy",
) -> JobExplanation:
    """Explain a job as ``account_id`` (None: anybody's reader) may see it. Raises ``NotFound``."""
    record = jobs.show(session, job_id, account_id=account_id)
    found = _stored(session, record) or _present(session, record, now=now, mechanism=mechanism)
    market, ruled_out, price = found if found else (None, [], None)
    names = [candidate.node for candidate in market.candidates] if market else []
    return JobExplanation(
        job=record,
        summary=summary(record, market, price),
        rounds=rounds.of_demand(session, record.demand.id, limit=ROUNDS_SHOWN),
        market=market,
        ruled_out=ruled_out,
        node_names=explaining.node_names(session, names),
        leases=leases.of_job(session, job_id),
        price_to_win=price,
    )


def summary(record: JobRecord, market: Explanation | None, price: PriceToWin | None = None) -> str:
    """One sentence for people."""
    job, demand = record.job, record.demand
    if job.ended_at is not None:
        why = f": {job.end_detail}" if job.end_detail else ""
        return f"The job has {job.state} ({job.end_reason or 'ok'}){why}."
    if job.state != "queued":
        tasks = record.tasks
        return (
            f"The job is {job.state}: {tasks.succeeded} of {job.task_count} tasks are done, "
            f"{tasks.placed} are placed, {tasks.queued} wait."
        )
    loss = demand.last_loss or (market.loss if market else None)
    detail = demand.last_loss_detail or (market.detail if market else "")
    if loss is None:
        return "The job waits for the next round of its cell."
    waits = sentences.of_waiting(Loss(loss), detail)
    return f"{waits}.{_lowered(record)}{_advice(price, Loss(loss))}"


def _lowered(record: JobRecord) -> str:
    """Why it bids less than its limit price, where it does."""
    bids, limit = record.demand.limit_micros_per_hour, record.job.limit_micros_per_hour
    if bids >= limit:
        return ""
    return (
        f" It bids {format_credits(bids)} and not its limit price of {format_credits(limit)}: since"
        " its work has moved, what is left of the budget must pay all open tasks."
    )


def _advice(price: PriceToWin | None, loss: Loss) -> str:
    if price is None:
        return ""
    if price.micros is None:
        of_money = loss in (Loss.LIMIT_BELOW_RESERVE, Loss.OUTBID)
        return _NO_LIMIT if of_money and price.method == "bisected" else ""
    about = "" if price.method == "bisected" else "about "
    return f" A limit of {about}{format_credits(price.micros)} credits an hour would have won."


Found = tuple[Explanation, list[tuple[str, int, str]], PriceToWin | None]


def _ruled_out(found: Explanation, reason: Loss) -> str:
    """How many nodes it rules out; where it has figures, what is needed and what there is."""
    said = f"{found.ruled_out[reason]} {_SENTENCES[reason]}"
    figured = reason not in (Loss.CONSTRAINT, Loss.NOT_ADMITTED)
    figures = found.figures[reason].replace("fitting node", "of them")  # others may well fit
    return f"{said} ({figures})" if figured else said


class _Kept:
    """What was found of bids in past rounds, of which nothing changes; the oldest go first."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str | None, ...], Found] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str | None, ...]) -> Found | None:
        with self._lock:
            return self._found.get(key)

    def put(self, key: tuple[str | None, ...], found: Found) -> None:
        with self._lock:
            self._found[key] = found
            while len(self._found) > KEPT_MAX:
                self._found.popitem(last=False)


_kept = _Kept()


def _stored(session: Session, record: JobRecord) -> Found | None:
    """From the snapshot of the last round that the demand stood in."""
    seen = explaining.last_round(session, record.demand.id)
    if seen is None or seen.snapshot is None:
        return None
    demand = record.demand
    key = (seen.id, demand.id, demand.last_loss, demand.last_loss_detail)
    found = _kept.get(key) or _of_round(session, seen, seen.snapshot, record)
    if found is not None:
        _kept.put(key, found)
    return found


def _of_round(
    session: Session, seen: explaining.RoundSeen, packed: bytes, record: JobRecord
) -> Found | None:
    try:
        snapshot = unpack(packed)
    except SnapshotCorrupt:
        return None  # of a version that is gone
    if record.demand.id not in snapshot.bids.ids:
        return None
    plan = plan_of(snapshot, explaining.won_in(session, seen))
    again = repeated(snapshot, seen.effort)
    return _explain(again, plan, record, budget_ms=seen.budget_ms or BUDGET_MS)


def _present(session: Session, record: JobRecord, *, now: datetime, mechanism: str) -> Found | None:
    """From what the demand's cell is now, for a demand that still asks for something."""
    demand = record.demand
    if demand.state != "open":
        return None
    policy = current_policy(session, mechanism=mechanism)
    rows = read_rows(
        session,
        cells=[demand.cell_id],
        bids=round_rows.read_bids_by_id(session, [demand.id]),
        policy=policy,
        shares=Shares(),
        now=now,
    )
    snapshot = build_snapshot(
        rows, round_id="round_present", cell=demand.cell_id, policy=policy, now=now, seed=0
    )
    return _explain(snapshot, plan_of(snapshot, []), record, budget_ms=BUDGET_MS)


def plan_of(snapshot: Snapshot, won: list[explaining.Won]) -> Plan:
    """The plan as it was applied: its matches are the leases that the round made."""
    bid_index = {id: i for i, id in enumerate(snapshot.bids.ids)}
    ask_index = {id: j for j, id in enumerate(snapshot.asks.ids)}
    known = [each for each in won if each.demand_id in bid_index and each.node_id in ask_index]
    bid = np.array([bid_index[each.demand_id] for each in known], dtype=np.int32)
    count = np.array([each.slots for each in known], dtype=np.int64)
    return Plan(
        mechanism="applied",
        bid=bid,
        ask=np.array([ask_index[each.node_id] for each in known], dtype=np.int32),
        count=count,
        rate=np.array([each.rate for each in known], dtype=np.int64),
        reserve_rate=np.array([each.reserve for each in known], dtype=np.int64),
        score=np.zeros(len(known)),
        loss=(None,) * len(snapshot.bids),
        loss_detail=("",) * len(snapshot.bids),
        welfare=0.0,
        bound=0.0,
        node_price=np.zeros(snapshot.asks.capacity.shape),
        standing_price=snapshot.standing_price,
    )


def _explain(snapshot: Snapshot, plan: Plan, record: JobRecord, *, budget_ms: int) -> Found:
    """Explain one bid; why it lost was noted with its round."""
    bid = snapshot.bids.ids.index(record.demand.id)
    won = int(plan.count[plan.bid == bid].sum())
    if won < int(snapshot.bids.count[bid]):
        losses: list[Loss | None] = list(plan.loss)
        details = list(plan.loss_detail)
        losses[bid] = Loss(record.demand.last_loss or Loss.NO_CAPACITY)
        details[bid] = record.demand.last_loss_detail
        plan = replace(plan, loss=tuple(losses), loss_detail=tuple(details))
    found = explain(snapshot, plan, bid)
    price = None
    if found.loss is not None:
        price = price_to_win(snapshot, plan, bid, budget_ms=budget_ms)
    ruled_out = [
        (str(reason), found.ruled_out[reason], _ruled_out(found, reason))
        for reason in feasible.CONSTRAINTS
        if reason in found.ruled_out
    ]
    return found, ruled_out, price
