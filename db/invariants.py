"""What must always be true of the ledger, checked against every row of it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from market.lifecycle import JOB_ENDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """One of them: ``detail`` says the figures, and what breaks it if it is broken."""

    name: str
    ok: bool
    detail: str


# One statement, so that all are checked on the same snapshot; each branch returns (name, how many
# rows break it, a figure for the sentence). Its cost grows with the ledger: callers that show it
# to many people keep the answer for some seconds.
_CHECK = text("""
WITH open_holds AS (
    SELECT h.id, h.debit_id, h.amount_micros, h.job_id
    FROM transfers h
    WHERE h.kind = 'hold' AND NOT EXISTS (SELECT FROM transfers r WHERE r.resolves = h.id)
), by_job AS (
    SELECT job_id,
        count(*) FILTER (WHERE kind IN ('charge', 'release')) AS resolutions,
        coalesce(sum(amount_micros) FILTER (WHERE kind = 'charge'), 0) AS charged,
        coalesce(sum(amount_micros) FILTER (WHERE kind IN ('payout', 'fee')), 0) AS paid_out
    FROM transfers WHERE job_id IS NOT NULL GROUP BY job_id
), moved AS (
    SELECT account_id, sum(amount) AS posted
    FROM (
        SELECT credit_id AS account_id, amount_micros AS amount
        FROM transfers WHERE kind NOT IN ('hold', 'release')
        UNION ALL
        SELECT debit_id, -amount_micros FROM transfers WHERE kind NOT IN ('hold', 'release')
    ) m GROUP BY account_id
), held AS (
    SELECT debit_id AS account_id, sum(amount_micros) AS held FROM open_holds GROUP BY debit_id
)
SELECT 'balances_sum_to_zero' AS name,
    (sum(posted_micros) <> 0)::int AS broken, sum(posted_micros) AS figure FROM balances
UNION ALL
SELECT 'held_equals_open_holds',
    count(*) FILTER (WHERE b.held_micros <> coalesce(h.held, 0)), coalesce(sum(h.held), 0)
FROM balances b LEFT JOIN held h USING (account_id)
UNION ALL
SELECT 'no_hold_of_ended_job_open', count(j.id), count(o.id)
FROM open_holds o LEFT JOIN jobs j ON j.id = o.job_id AND j.state = ANY(:ends)
UNION ALL
SELECT 'each_job_charged_once', count(*) FILTER (WHERE resolutions > 1), count(*) FROM by_job
UNION ALL
SELECT 'job_costs_equal_charges',
    count(*) FILTER (WHERE j.cost_micros <> coalesce(b.charged, 0)), coalesce(sum(j.cost_micros), 0)
FROM jobs j LEFT JOIN by_job b ON b.job_id = j.id
UNION ALL
SELECT 'payouts_and_fees_equal_charges',
    count(*) FILTER (WHERE charged <> paid_out), coalesce(sum(charged), 0) FROM by_job
UNION ALL
SELECT 'balances_agree_with_transfers',
    count(*) FILTER (WHERE b.posted_micros <> coalesce(m.posted, 0)), count(*)
FROM balances b LEFT JOIN moved m USING (account_id)
UNION ALL
SELECT 'nobody_overdrawn',
    count(*) FILTER (WHERE NOT may_overdraw AND posted_micros < held_micros), count(*)
FROM balances
""")

_SENTENCES = {
    "balances_sum_to_zero": "All balances together come to {figure} micros.",
    "held_equals_open_holds": "{figure} micros are held; {broken} accounts hold another sum.",
    "no_hold_of_ended_job_open": "{figure} holds are open, {broken} of them of jobs that ended.",
    "each_job_charged_once": "Of {figure} jobs in the ledger {broken} were settled more than once.",
    "job_costs_equal_charges": "Jobs cost {figure} micros; {broken} say another sum than charged.",
    "payouts_and_fees_equal_charges": "Charged: {figure} micros; {broken} jobs paid another sum.",
    "balances_agree_with_transfers": "Of {figure} balances {broken} differ from their transfers.",
    "nobody_overdrawn": "Of {figure} accounts {broken} have less than they hold.",
}


def invariants(session: Session) -> list[Invariant]:
    """Every invariant with its figures, in one consistent read."""
    rows: Any = session.execute(_CHECK, {"ends": sorted(JOB_ENDS)})
    return [
        Invariant(
            name=row.name,
            ok=row.broken == 0,
            detail=_SENTENCES[row.name].format(figure=int(row.figure or 0), broken=row.broken),
        )
        for row in rows
    ]
