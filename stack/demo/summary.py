"""The figures that the demo ends with, gathered from the platform's own API."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from client.client import Client
from client.resources import Job
from stack.demo.cast import Cast
from stack.demo.work import Outcome

TRANSFERS_MAX = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRow:
    """The standing price of one resource in one cell, micros per priced unit and hour."""

    cell: str
    resource: str
    price_micros: int
    utilisation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What a tenant's jobs brought an owner, or the platform as its fee."""

    payer: str
    payee: str
    amount_micros: int
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What came of it all; times in milliseconds, money in micros."""

    jobs_by_state: dict[str, int]
    tasks: int
    results_right: int
    complaints: list[str]
    prices: list[PriceRow]
    payments: list[Payment]
    invariants_ok: bool
    invariants: list[dict[str, Any]]
    submit_to_start_ms: dict[str, float]
    submit_to_end_ms: dict[str, float]
    seconds_to_first_end: float
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether all was as it should be."""
        return self.invariants_ok and not self.complaints

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {"ok": self.ok, **asdict(self)}


def gather(
    souk: Client, cast: Cast, outcomes: Sequence[Outcome], *, first_end_s: float, seconds: float
) -> Summary:
    """Ask the platform for everything that the summary says."""
    jobs = [outcome.job for outcome in outcomes]
    laws = souk.ledger.invariants()
    return Summary(
        jobs_by_state=dict(Counter(job.state for job in jobs)),
        tasks=sum(job.task_count for job in jobs),
        results_right=sum(not outcome.complaint for outcome in outcomes),
        complaints=[
            f"{each.tenant}'s {each.job.name} ({each.job.id}): {each.complaint}"
            for each in outcomes
            if each.complaint
        ],
        prices=_prices(souk, cast),
        payments=_payments(souk, cast, outcomes),
        invariants_ok=laws.ok,
        invariants=[{"name": law.name, "ok": law.ok, "detail": law.detail} for law in laws.items],
        submit_to_start_ms=percentiles([_ms(job, "started_at") for job in jobs]),
        submit_to_end_ms=percentiles([_ms(job, "ended_at") for job in jobs]),
        seconds_to_first_end=round(first_end_s, 2),
        seconds=round(seconds, 2),
    )


def percentiles(values: Sequence[float | None]) -> dict[str, float]:
    """p50 and p99 of the values that are there, and how many those are."""
    known = [value for value in values if value is not None]
    if not known:
        return {"count": 0}
    p50, p99 = np.percentile(known, [50, 99])
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1), "count": len(known)}


def _prices(souk: Client, cast: Cast) -> list[PriceRow]:
    names = {cell.id: cell.name for cell in cast.cells.values()}
    rows = [
        PriceRow(
            cell=names.get(price.cell_id, price.cell_id),
            resource=price.resource,
            price_micros=price.price_micros,
            utilisation=round(price.utilisation, 4),
        )
        for price in souk.market.prices()
    ]
    return sorted(rows, key=lambda row: (row.cell, row.resource))


def _payments(souk: Client, cast: Cast, outcomes: Sequence[Outcome]) -> list[Payment]:
    """Payouts and fees go through escrow; the job of each says whose money it was."""
    payers = {outcome.job.id: outcome.tenant for outcome in outcomes}
    owners = {account.id: name for name, account in cast.owners.items()}
    amounts: dict[tuple[str, str], int] = defaultdict(int)
    jobs: dict[tuple[str, str], set[str]] = defaultdict(set)
    for kind in ("payout", "fee"):
        for transfer in souk.ledger.transfers(kind=kind, limit=TRANSFERS_MAX):
            if transfer.job_id is None or transfer.job_id not in payers:
                continue
            payee = owners.get(transfer.credit_id or "", "the platform (fee)")
            pair = (payers[transfer.job_id], payee)
            amounts[pair] += transfer.amount_micros
            jobs[pair].add(transfer.job_id)
    return [
        Payment(payer=payer, payee=payee, amount_micros=amount, jobs=len(jobs[payer, payee]))
        for (payer, payee), amount in sorted(amounts.items())
    ]


def _ms(job: Job, moment: str) -> float | None:
    at = getattr(job, moment)
    if at is None or job.created_at is None:
        return None
    return float((at - job.created_at).total_seconds() * 1000)
