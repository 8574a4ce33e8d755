"""Ends jobs: stops what still runs, frees their leases, charges, pays out, tells everybody.

All of it is one transaction and a handful of statements for any number of jobs, so a job is either
untouched or wholly settled. Ending a job that has ended changes nothing: the first end stands.
"""

import datetime as dt
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from db import outbox
from db.control import settling
from db.control.settling import JobEnded, LiveJob, StoppedAttempt, UsedLease
from db.ledger import NewTransfer, post_transfers
from db.outbox import NewCommand
from db.tables import ESCROW, PLATFORM, TransferKind
from market.lifecycle import (
    JOB,
    JOB_ENDS,
    EndReason,
    JobState,
    check_transition,
)
from market.settlement import LeaseUsage, Settlement, settle

DETAIL_CHARS_MAX = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """How a job is to end; ``detail`` is a sentence for people."""

    job_id: str
    state: JobState
    reason: EndReason = EndReason.OK
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Jobs that have ended, and the movements that their settlement asks for."""

    jobs: list[str] = field(default_factory=list)
    owed: list[NewTransfer] = field(default_factory=list)


def end_jobs(
    session: Session, ends: Sequence[JobEnd], *, fee_basis_points: int, now: dt.datetime
) -> list[str]:
    """End and settle the jobs of ``ends`` that have not ended; return their ids."""
    ended = settle_jobs(session, ends, fee_basis_points=fee_basis_points, now=now)
    post_transfers(session, ended.owed, now=now)
    return ended.jobs


def settle_jobs(
    session: Session, ends: Sequence[JobEnd], *, fee_basis_points: int, now: dt.datetime
) -> Ended:
    """As ``end_jobs``, but for the money, which the caller posts last in the same transaction.

    Posting locks the balances until the commit, and every submission of their tenants waits.

    Owed is the chargeable time of each lease's attempts at the lease's rate, at most the hold
    (``market.settlement``). Live attempts are cancelled and their nodes told. Locks the jobs in id
    order, then their tasks, attempts, leases and demands, and last the balances.
    Raises ``IllegalTransition`` for an end that the job's state does not allow.
    """
    wanted = {end.job_id: end for end in ends}
    jobs = settling.lock_live(session, list(wanted)) if wanted else {}
    if not jobs:
        return Ended()
    for job in jobs.values():
        assert wanted[job.id].state in JOB_ENDS
        check_transition(JOB, JobState(job.state), wanted[job.id].state, subject=job.id)
    stopped = settling.stop_work(session, _unfinished(jobs.values(), wanted), now=now)
    usage = settling.read_usage(session, list(jobs), now=now)
    settled = {
        job.id: _settle(usage.get(job.id, []), job, fee_basis_points) for job in jobs.values()
    }
    settling.write_ends(
        session,
        [_ended(job, wanted[job.id], settled[job.id]) for job in jobs.values()],
        {lease: micros for each in settled.values() for lease, micros in each.charges.items()},
        freed_cells=_freed(usage),
        now=now,
    )
    outbox.add(session, _cancels(stopped), now=now)
    return Ended(jobs=list(jobs), owed=_transfers(jobs, settled, usage))


def _unfinished(jobs: Iterable[LiveJob], wanted: Mapping[str, JobEnd]) -> dict[str, str]:
    """Reason by job of those that have tasks left, and with them perhaps live attempts."""
    return {job.id: str(wanted[job.id].reason) for job in jobs if job.tasks_open}


def _settle(leases: Sequence[UsedLease], job: LiveJob, fee_basis_points: int) -> Settlement:
    usage = [
        LeaseUsage(
            lease_id=lease.id,
            owner_id=lease.owner_id,
            rate_micros_per_hour=lease.rate_micros_per_hour,
            chargeable_ms=lease.chargeable_ms,
            sold_ms=lease.sold_ms,
        )
        for lease in leases
    ]
    return settle(
        usage,
        tenant_id=job.account_id,
        hold_micros=job.hold_micros,
        fee_basis_points=fee_basis_points,
    )


def _ended(job: LiveJob, end: JobEnd, settled: Settlement) -> JobEnded:
    detail = end.detail[:DETAIL_CHARS_MAX]
    return JobEnded(
        id=job.id,
        account_id=job.account_id,
        state=end.state,
        reason=end.reason,
        detail=detail,
        cost_micros=settled.charge_micros,
        told={
            "state": end.state,
            "name": job.name,
            "reason": end.reason,
            "detail": detail,
            "cost_micros": settled.charge_micros,
        },
    )


def _cancels(stopped: Sequence[StoppedAttempt]) -> list[NewCommand]:
    """One command a node and reason, which names all attempts that are wanted no more."""
    by_node = itertools.groupby(stopped, key=lambda attempt: (attempt.node_id, attempt.reason))
    return [
        NewCommand(
            node_id=node_id,
            type="cancel",
            data={"attempts": [attempt.id for attempt in attempts], "reason": reason},
        )
        for (node_id, reason), attempts in by_node
    ]


def _freed(usage: Mapping[str, Sequence[UsedLease]]) -> set[str]:
    return {lease.cell_id for leases in usage.values() for lease in leases if lease.active}


def _transfers(
    jobs: Mapping[str, LiveJob],
    settled: Mapping[str, Settlement],
    usage: Mapping[str, Sequence[UsedLease]],
) -> list[NewTransfer]:
    transfers: list[NewTransfer] = []
    for job in jobs.values():
        transfers.append(_resolution(job, settled[job.id].charge_micros))
        transfers += _payouts(job.id, settled[job.id], usage.get(job.id, []))
    return transfers


def _resolution(job: LiveJob, charge_micros: int) -> NewTransfer:
    """The hold is charged, or released where nothing is owed; its key makes either happen once."""
    return NewTransfer(
        key=f"settle:{job.id}",
        kind=TransferKind.CHARGE if charge_micros else TransferKind.RELEASE,
        debit_id=job.account_id,
        credit_id=ESCROW,
        amount_micros=charge_micros,
        resolves=job.hold_id,
        job_id=job.id,
    )


def _payouts(job_id: str, settled: Settlement, leases: Sequence[UsedLease]) -> list[NewTransfer]:
    transfers = [
        NewTransfer(
            key=f"payout:{lease.id}",
            kind=TransferKind.PAYOUT,
            debit_id=ESCROW,
            credit_id=lease.owner_id,
            amount_micros=settled.payouts[lease.id],
            job_id=job_id,
            lease_id=lease.id,
        )
        for lease in leases
        if settled.payouts[lease.id]
    ]
    if settled.fee_micros:
        transfers.append(
            NewTransfer(
                key=f"fee:{job_id}",
                kind=TransferKind.FEE,
                debit_id=ESCROW,
                credit_id=PLATFORM,
                amount_micros=settled.fee_micros,
                job_id=job_id,
            )
        )
    return transfers
