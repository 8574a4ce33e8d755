"""The statements of a settlement: lock jobs, stop what still runs, read usage, write the ends."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.control.spending import SOLD_MS
from db.engine import dump_json
from market.lifecycle import ATTEMPT_LIVE
from market.settlement import STOPPED_CAUSES


class LiveJob(NamedTuple):
    """A locked job that has not ended."""

    id: str
    account_id: str
    name: str
    state: str
    hold_id: str
    hold_micros: int
    tasks_open: int  # neither succeeded nor failed


class StoppedAttempt(NamedTuple):
    """An attempt that was live when its job ended: its node must be told."""

    id: str
    node_id: str
    reason: str


class UsedLease(NamedTuple):
    """A lease of a job and the slot time that is owed for it."""

    id: str
    job_id: str
    owner_id: str
    cell_id: str
    rate_micros_per_hour: int
    active: bool
    chargeable_ms: int
    sold_ms: int  # slots times the time that the lease lived


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded:
    """What is written to a job that ends, and told of it."""

    id: str
    account_id: str
    state: str
    reason: str
    detail: str
    cost_micros: int
    told: Mapping[str, Any]  # the data of its event


_LOCK = text("""
    SELECT id, account_id, name, state, hold_id, hold_micros,
        task_count - tasks_succeeded - tasks_failed
    FROM jobs
    WHERE id = ANY(:ids) AND ended_at IS NULL ORDER BY id FOR NO KEY UPDATE
""")
_STOP = text("""
    WITH ends AS (
        SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:reasons AS text[])) AS e (id, reason)
    ), dropped AS (
        UPDATE tasks t SET state = 'cancelled', end_reason = e.reason, ended_at = :now
        FROM ends e WHERE t.job_id = e.id AND t.state IN ('queued', 'placed')
    ), stopped AS (
        UPDATE attempts a SET state = 'cancelled', reason = e.reason, ended_at = :now,
            chargeable_ms = CASE WHEN a.state = 'running' AND e.reason = ANY(:paid)
                THEN greatest(0, least((j.spec->'limits'->>'max_run_ms')::bigint,
                    floor(extract(epoch FROM least(:now, j.cancel_requested_at) - a.started_at)
                        * 1000)::bigint))
                ELSE 0 END
        FROM ends e JOIN jobs j ON j.id = e.id WHERE a.job_id = e.id AND a.state = ANY(:live)
        RETURNING a.id, a.node_id, a.reason
    )
    SELECT id, node_id, reason FROM stopped ORDER BY node_id, reason, id
""")
_USAGE = text(f"""
    SELECT l.id, l.job_id, l.owner_id, l.cell_id, l.rate_micros_per_hour,
        l.state = 'active', coalesce(sum(a.chargeable_ms), 0)::bigint,
        {SOLD_MS}
    FROM leases l LEFT JOIN attempts a ON a.lease_id = l.id AND a.chargeable_ms > 0
    WHERE l.job_id = ANY(:ids) GROUP BY l.id ORDER BY l.job_id, l.id
""")  # noqa: S608 - the only name put into it is that of db.control.spending
_END = text("""
    WITH ends AS (
        SELECT * FROM ROWS FROM (jsonb_to_recordset(CAST(:ends AS jsonb))
                AS (id text, account_id text, state text, reason text, detail text,
                    cost_micros bigint, told jsonb))
            WITH ORDINALITY AS e (id, account_id, state, reason, detail, cost, told, place)
        LIMIT :count
    ), charged AS (
        UPDATE leases l SET charge_micros = c.charge,
            state = CASE l.state WHEN 'active' THEN 'released' ELSE l.state END,
            state_reason = CASE l.state WHEN 'active' THEN 'job_ended' ELSE l.state_reason END,
            ended_at = coalesce(l.ended_at, :now)
        FROM unnest(CAST(:leases AS text[]), CAST(:charges AS bigint[])) AS c (id, charge)
        WHERE l.id = c.id
    ), closed AS (
        UPDATE demands d SET state = 'closed', count_open = 0
        FROM ends e WHERE d.job_id = e.id AND d.state <> 'closed'
    ), ended AS (
        UPDATE jobs j SET state = e.state, end_reason = e.reason, end_detail = e.detail,
            ended_at = :now, cost_micros = e.cost, accrued_micros = e.cost,
            version = j.version + 1
        FROM ends e WHERE j.id = e.id
    ), told AS (
        INSERT INTO events (at, kind, account_id, subject_id, data)
        SELECT :now, 'job.' || e.state, e.account_id, e.id, e.told
        FROM ends e ORDER BY e.place
    )
    SELECT pg_notify('souk_event', '')
    UNION ALL
    SELECT pg_notify('souk_demand', c.id) FROM unnest(CAST(:cells AS text[])) AS c (id)
    WHERE EXISTS (SELECT FROM demands d WHERE d.state = 'open' AND d.cell_id = c.id)
""")


def lock_live(session: Session, ids: Sequence[str]) -> dict[str, LiveJob]:
    """Those of ``ids`` that have not ended, locked in id order."""
    rows = session.execute(_LOCK, {"ids": sorted(ids)})
    return {row[0]: LiveJob._make(row) for row in rows}


def stop_work(
    session: Session, reasons: Mapping[str, str], *, now: dt.datetime
) -> list[StoppedAttempt]:
    """Cancel what has not ended of the jobs in ``reasons`` (reason by job id).

    What runs at an end by the tenant's own word is charged from the start that the platform saw to
    the moment that the end was asked for.
    """
    if not reasons:
        return []
    rows = session.execute(
        _STOP,
        {
            "ids": list(reasons),
            "reasons": list(reasons.values()),
            "live": sorted(ATTEMPT_LIVE),
            "paid": sorted(STOPPED_CAUSES),
            "now": now,
        },
    )
    return [StoppedAttempt._make(row) for row in rows]


def read_usage(
    session: Session, ids: Sequence[str], *, now: dt.datetime
) -> dict[str, list[UsedLease]]:
    """Every lease of each job with what is owed for it; jobs without leases are not in it."""
    found: dict[str, list[UsedLease]] = {}
    for row in session.execute(_USAGE, {"ids": list(ids), "now": now}):
        found.setdefault(row[1], []).append(UsedLease._make(row))
    return found


def write_ends(
    session: Session,
    ends: Sequence[JobEnded],
    charges: Mapping[str, int],
    *,
    freed_cells: Collection[str],
    now: dt.datetime,
) -> None:
    """End the jobs, their demands and leases; tell followers, and markets that wait for room.

    ``charges`` are micros by lease id, ``freed_cells`` those in which leases end now.
    """
    session.execute(
        _END,
        {
            "now": now,
            "leases": list(charges),
            "charges": list(charges.values()),
            "cells": sorted(freed_cells),
            "ends": dump_json(ends),
            "count": len(ends),
        },
    )
