"""Attempt reports: what nodes say of their work, made true once and only while their fence holds.

A batch of reports of many nodes is one handful of statements. Repeats change nothing, so a node
may send until it is acknowledged; a report under an old fence is answered with ``stale``.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from broker.services import leases
from broker.services.giving_up import all_ended
from broker.services.refusals import Refusal
from broker.services.report_steps import (
    NODE_CAUSES,
    History,
    attempt_step,
    by_time,
    end_reason,
    holds,
    inline_result,
    judge,
    refused_result,
    task_step,
)
from broker.services.settlement import JobEnd, settle_jobs
from db import events, notify
from db.control import healing, reports
from db.control.reports import AttemptMove, AttemptRow, JobCounts, JobMove, TaskMove
from db.events import NewEvent
from db.ledger import NewTransfer, post_transfers
from edge_agent.wire import AttemptReport
from market.lifecycle import AttemptState, EndReason, LeaseState, TaskState


class ResultStore(Protocol):
    """Where results go before they are on record (``broker.services.artifact_store``)."""

    def store(self, data: bytes, *, digest: str = "", durable: bool = True) -> str:
        """Keep ``data``; raises ``Invalid`` if its digest is another one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """A report and the node whose certificate it came under."""

    node_id: str
    report: AttemptReport


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a batch of reports did."""

    stale: dict[str, set[str]] = field(default_factory=dict)  # attempts by node
    ended_jobs: list[str] = field(default_factory=list)
    owed: list[NewTransfer] = field(default_factory=list)  # of their settlement
    moved: int = 0
    repeated: int = 0
    good: Counter[str] = field(default_factory=Counter)  # ended attempts by node: delivered
    bad: Counter[str] = field(default_factory=Counter)  # and failed by the node's doing


@dataclass(slots=True, kw_only=True)
class _Moves:
    """The writes of a batch, gathered."""

    attempts: list[AttemptMove] = field(default_factory=list)
    tasks: list[TaskMove] = field(default_factory=list)
    results: list[tuple[str, int, str]] = field(default_factory=list)  # digest, bytes, account
    started: dict[str, datetime] = field(default_factory=dict)  # by job
    succeeded: Counter[str] = field(default_factory=Counter)  # tasks by job
    failed: Counter[str] = field(default_factory=Counter)
    freed: set[str] = field(default_factory=set)  # jobs with a slot free or a task to place
    unfit: dict[str, EndReason] = field(default_factory=dict)  # leases whose node failed them


def apply_reports(
    session: Session,
    batch: Iterable[NodeReport],
    *,
    store: ResultStore,
    fee_basis_points: int,
    now: datetime,
) -> Outcome:
    """Move attempts, tasks and jobs by ``batch`` (in the order of arrival); settle what ends."""
    outcome = move_by_reports(
        session, batch, store=store, fee_basis_points=fee_basis_points, now=now
    )
    post_transfers(session, outcome.owed, now=now)
    return outcome


def move_by_reports(
    session: Session,
    batch: Iterable[NodeReport],
    *,
    store: ResultStore,
    fee_basis_points: int,
    now: datetime,
) -> Outcome:
    """As ``apply_reports``, but for what is owed, which the caller posts last.

    Results that travel inline are stored before anything is written. Locks the jobs in id order,
    then attempts and tasks, then what ``settlement.settle_jobs`` locks.
    """
    outcome = Outcome()
    batch = list(batch)
    rows = reports.read_attempts(session, {each.report.attempt for each in batch})
    news = _sift(rows, _histories(batch, rows, outcome), outcome)
    if not news:
        return outcome
    reports.lock_jobs(session, {rows[attempt].job_id for attempt in news})
    rows = reports.read_attempts(session, news.keys())  # as they are under the lock
    news = _sift(rows, news, outcome)
    moves = _steps(session, rows, _checked_results(session, rows, news, store), outcome, now=now)
    reports.move_attempts(session, moves.attempts)
    reports.move_tasks(session, moves.tasks)
    reports.add_results(session, moves.results, now=now)
    counts = reports.move_jobs(session, _job_moves(moves))
    _tell_started(session, counts, now=now)
    ended = settle_jobs(session, _finished(counts), fee_basis_points=fee_basis_points, now=now)
    outcome.ended_jobs, outcome.owed = ended.jobs, ended.owed
    _free(session, moves, set(outcome.ended_jobs), now=now)
    outcome.moved = len(moves.attempts)
    return outcome


def _histories(
    batch: Iterable[NodeReport], rows: Mapping[str, AttemptRow], outcome: Outcome
) -> dict[str, History]:
    """One history an attempt, of the reports of whoever holds it; what others say is stale."""
    found: dict[str, History] = {}
    for each in batch:
        report = each.report
        if not holds(rows.get(report.attempt), each.node_id, report):
            outcome.stale.setdefault(each.node_id, set()).add(report.attempt)
        elif (known := found.get(report.attempt)) is None:
            found[report.attempt] = History.of(each.node_id, report)
        else:
            found[report.attempt] = known.then(report)
    return found


def _sift(
    rows: Mapping[str, AttemptRow], histories: Mapping[str, History], outcome: Outcome
) -> dict[str, History]:
    news = {}
    for attempt, history in histories.items():
        verdict = judge(rows.get(attempt), history)
        if verdict == "news":
            news[attempt] = history
        elif verdict == "stale":
            outcome.stale.setdefault(history.node_id, set()).add(attempt)
        else:
            outcome.repeated += 1
    return news


def _checked_results(
    session: Session,
    rows: Mapping[str, AttemptRow],
    news: Mapping[str, History],
    store: ResultStore,
) -> dict[str, History]:
    """``news`` with each success whose result is missing, too large or wrong made a failure."""
    uploaded = {
        history.last.result_digest
        for history in news.values()
        if history.last.result_digest and not history.last.result_base64
    }
    accounts = {rows[attempt].account_id for attempt in news}
    sizes = reports.stored_artifacts(session, uploaded, accounts)
    return {
        attempt: _check_result(history, rows[attempt], sizes, store)
        for attempt, history in news.items()
    }


def _check_result(
    history: History,
    row: AttemptRow,
    sizes: Mapping[tuple[str, str], int],
    store: ResultStore,
) -> History:
    report = history.last
    if report.state != "succeeded":
        return history
    try:
        data = inline_result(report)
        if data is not None:
            _check_size(len(data), row)
            digest = store.store(data, digest=report.result_digest, durable=False)
            size = len(data)
        elif report.result_digest:
            digest = report.result_digest
            # Whoever uploads under a job's grant makes it the tenant's. Any other artifact, were it
            # there, is not the node's to give away.
            found = sizes.get((digest, row.account_id))
            if found is None:
                raise ValueError(f"the result {digest[:80]} was never uploaded")
            _check_size(found, row)
            size = found
        else:
            digest, size = store.store(b"", durable=False), 0
    except (ValueError, Refusal) as error:
        return History.of(history.node_id, refused_result(report, str(error)))
    checked = _with_result(report, digest, size)
    return History(
        node_id=history.node_id,
        last=checked,
        accepted=history.accepted,
        started=history.started,
        log_tail=history.log_tail,
    )


def _check_size(size_bytes: int, row: AttemptRow) -> None:
    if size_bytes > max(row.output_bytes_max, 0):
        raise ValueError(f"the result has {size_bytes} bytes, over the job's limit")


def _with_result(report: AttemptReport, digest: str, size: int) -> AttemptReport:
    return AttemptReport(
        attempt=report.attempt,
        fence=report.fence,
        state=report.state,
        at=report.at,
        exit_code=report.exit_code,
        usage=report.usage,
        detail=report.detail,
        log_tail=report.log_tail,
        result_digest=digest,
        result_bytes=size,
    )


def _steps(
    session: Session,
    rows: Mapping[str, AttemptRow],
    news: Mapping[str, History],
    outcome: Outcome,
    *,
    now: datetime,
) -> _Moves:
    moves = _Moves()
    for attempt, history in news.items():
        row, report = rows[attempt], history.last
        reason = by_time(row, end_reason(report), now=now)
        move = attempt_step(row, history, reason=reason, now=now)
        moves.attempts.append(move)
        if move.started_at is not None:
            before = moves.started.get(row.job_id, move.started_at)
            moves.started[row.job_id] = min(before, move.started_at)
        if move.ended_at is not None:
            _end_step(moves, outcome, row, report, reason, now=now)
    return moves


def _end_step(
    moves: _Moves,
    outcome: Outcome,
    row: AttemptRow,
    report: AttemptReport,
    reason: EndReason,
    *,
    now: datetime,
) -> None:
    """What follows from an attempt's end for its task, its job and its node's record."""
    task = task_step(row, report, reason=reason, now=now)
    moves.tasks.append(task)
    moves.freed.add(row.job_id)
    if task.state == TaskState.SUCCEEDED:
        moves.succeeded[row.job_id] += 1
        moves.results.append((report.result_digest, report.result_bytes, row.account_id))
    elif task.state == TaskState.FAILED:
        moves.failed[row.job_id] += 1
    if AttemptState(report.state) is AttemptState.FAILED and reason in NODE_CAUSES:
        outcome.bad[row.node_id] += 1
        if reason is not EndReason.AGENT_RESTARTED:
            moves.unfit[row.lease_id] = reason
    elif AttemptState(report.state) is not AttemptState.CANCELLED:
        outcome.good[row.node_id] += 1


def _job_moves(moves: _Moves) -> list[JobMove]:
    touched = moves.started.keys() | moves.succeeded.keys() | moves.failed.keys()
    return [
        JobMove(
            id=job,
            succeeded=moves.succeeded[job],
            failed=moves.failed[job],
            started_at=moves.started.get(job),
        )
        for job in sorted(touched)
    ]


def _tell_started(session: Session, counts: Sequence[JobCounts], *, now: datetime) -> None:
    events.append(
        session,
        [
            NewEvent(
                kind="job.running",
                subject_id=job.id,
                account_id=job.account_id,
                data={"state": "running"},
            )
            for job in counts
            if job.began
        ],
        now=now,
    )


def _finished(counts: Sequence[JobCounts]) -> list[JobEnd]:
    """The end of each job whose tasks have all ended."""
    return [
        all_ended(job.id, failed=job.failed, tasks=job.task_count)
        for job in counts
        if job.succeeded + job.failed >= job.task_count
    ]


def _free(session: Session, moves: _Moves, ended: set[str], *, now: datetime) -> None:
    """Give up leases whose node failed them, and wake dispatch where there is a task to place."""
    by_reason: dict[EndReason, set[str]] = defaultdict(set)
    for lease, reason in moves.unfit.items():
        by_reason[reason].add(lease)
    for reason, unfit in by_reason.items():
        idle = reports.idle_leases(session, unfit)
        leases.end_leases(session, idle, LeaseState.REVOKED, reason=str(reason), now=now)
    waiting = reports.jobs_with_waiting_tasks(session, moves.freed - ended)
    if by_reason:
        healing.reopen_demands(session, waiting, now=now)
    notify.notify_all(session, [(notify.LEASE, job) for job in waiting])
