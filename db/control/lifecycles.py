"""Set-based moves of states: each moves those rows that its lifecycle lets move, in id order.

Every statement locks before it writes, in the order of the ids, and returns what it moved: what
was asked for and does not come back had been moved by somebody else before.
"""

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session


class Moved(NamedTuple):
    """A row that moved; ``account_id`` is whom it concerns."""

    id: str
    account_id: str


class EndedLease(NamedTuple):
    """A lease that ended now."""

    id: str
    job_id: str
    node_id: str
    cell_id: str
    tenant_id: str


_JOBS = text("""
    UPDATE jobs j SET state = CAST(:to AS text), version = j.version + 1,
        matched_at = CASE WHEN CAST(:to AS text) = 'matched' THEN coalesce(j.matched_at, :now)
            ELSE j.matched_at END,
        started_at = CASE WHEN CAST(:to AS text) = 'running' THEN coalesce(j.started_at, :now)
            ELSE j.started_at END
    FROM (
        SELECT id FROM jobs WHERE id = ANY(:ids) AND state = ANY(:before)
        ORDER BY id FOR NO KEY UPDATE
    ) m WHERE j.id = m.id
    RETURNING j.id, j.account_id
""")
_NODES = text("""
    UPDATE nodes n SET state = CAST(:to AS text), state_reason = :reason, version = n.version + 1,
        silent_since = CASE WHEN CAST(:to AS text) = 'offline' THEN :now ELSE NULL END
    FROM (
        SELECT id FROM nodes WHERE id = ANY(:ids) AND state = ANY(:before)
        ORDER BY id FOR NO KEY UPDATE
    ) m WHERE n.id = m.id
    RETURNING n.id, n.owner_id
""")
_LEASES = text("""
    UPDATE leases l SET state = CAST(:to AS text), state_reason = :reason, ended_at = :now
    FROM (
        SELECT id FROM leases WHERE id = ANY(:ids) AND state = ANY(:before)
        ORDER BY id FOR NO KEY UPDATE
    ) m WHERE l.id = m.id
    RETURNING l.id, l.job_id, l.node_id, l.cell_id, l.tenant_id
""")
# What the ended leases delivered, at most the slot time that they had; the charge is rounded up
# once a lease, as in market.money.
_ACCRUE = text("""
    WITH used AS (
        SELECT l.id, l.job_id,
            ceil(l.rate_micros_per_hour * least(coalesce(sum(a.chargeable_ms), 0),
                l.slots * greatest(0, floor(extract(epoch FROM l.ended_at - l.starts_at) * 1000)))
                / 3600000)::bigint AS charge
        FROM leases l LEFT JOIN attempts a ON a.lease_id = l.id
        WHERE l.id = ANY(:ids) GROUP BY l.id
    ), noted AS (
        UPDATE leases l SET charge_micros = u.charge FROM used u WHERE l.id = u.id
    )
    UPDATE jobs j SET accrued_micros = j.accrued_micros + u.charge
    FROM (SELECT job_id, sum(charge)::bigint AS charge FROM used GROUP BY job_id) u
    WHERE j.id = u.job_id AND u.charge > 0
""")
_LOCK_JOBS_OF_LEASES = text("""
    SELECT 1 FROM jobs WHERE id IN (SELECT job_id FROM leases WHERE id = ANY(:ids))
    ORDER BY id FOR NO KEY UPDATE
""")
_WAKE = text("""
    SELECT pg_notify('souk_demand', c.id) FROM unnest(CAST(:cells AS text[])) AS c (id)
    WHERE EXISTS (SELECT FROM demands d WHERE d.state = 'open' AND d.cell_id = c.id)
""")


def move_jobs(
    session: Session, ids: Collection[str], *, to: str, before: Sequence[str], now: dt.datetime
) -> list[Moved]:
    """Jobs that live on in another state; their ends are ``broker.services.settlement``'s."""
    return [Moved._make(row) for row in _run(session, _JOBS, ids, to=to, before=before, now=now)]


def move_nodes(
    session: Session,
    ids: Collection[str],
    *,
    to: str,
    before: Sequence[str],
    reason: str,
    now: dt.datetime,
) -> list[Moved]:
    """Nodes; ``account_id`` of each is its owner."""
    rows = _run(session, _NODES, ids, to=to, before=before, reason=reason, now=now)
    return [Moved._make(row) for row in rows]


def end_leases(
    session: Session,
    ids: Collection[str],
    *,
    to: str,
    before: Sequence[str],
    reason: str,
    now: dt.datetime,
) -> list[EndedLease]:
    """End leases, note what each has come to so far, and wake the markets that wait for room."""
    if not ids:
        return []
    session.execute(_LOCK_JOBS_OF_LEASES, {"ids": sorted(ids)})
    rows = _run(session, _LEASES, ids, to=to, before=before, reason=reason, now=now)
    ended = [EndedLease._make(row) for row in rows]
    if ended:
        session.execute(_ACCRUE, {"ids": [lease.id for lease in ended]})
        wake_markets(session, {lease.cell_id for lease in ended})
    return ended


def wake_markets(session: Session, cells: Collection[str]) -> None:
    """Tell that there is room in ``cells``, where somebody waits for it."""
    if cells:
        session.execute(_WAKE, {"cells": sorted(cells)})


def _run(
    session: Session, statement: Any, ids: Collection[str], *, before: Sequence[str], **values: Any
) -> list[Any]:
    if not ids:
        return []
    return list(session.execute(statement, {"ids": sorted(ids), "before": [*before], **values}))
