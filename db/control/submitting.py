"""The statements of a submission: what the asker has, and the job's rows, each kind in bulk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.engine import dump_json
from db.tables import Job


class Asker(NamedTuple):
    """The account that submits, and those of the digests that it may not read."""

    name: str
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDemand:
    """A row of ``demands``, but for what is the job's."""

    id: str
    cell_id: str
    resources: dict[str, int]
    count: int
    duration_ms: int
    needs: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job (a plain value, not of the session), its demand, and a task for each input."""

    job: Job
    demand: NewDemand
    inputs: Sequence[dict[str, Any]]
    retries: int
    event: dict[str, Any]


# A scalar look-up of each digest: of NOT EXISTS the planner makes a join with all grants there are.
_ASKERS = text("""
    SELECT q.place, a.name, ARRAY(
        SELECT d.digest FROM jsonb_array_elements_text(q.digests) WITH ORDINALITY AS d (digest, k)
        WHERE (SELECT g.digest FROM artifact_grants g
            WHERE g.digest = d.digest AND g.account_id = a.id) IS NULL
        ORDER BY d.k)
    FROM jsonb_to_recordset(CAST(:asked AS jsonb))
        AS q (place int, account_id text, digests jsonb)
    JOIN accounts a ON a.id = q.account_id
""")
# All of it in one document: arrays of texts, one for each column, cost several times that.
_INSERT = text("""
    WITH given AS (
        SELECT * FROM jsonb_to_recordset(CAST(:jobs AS jsonb)) AS g (id text, account_id text,
            name text, kind text, spec jsonb, task_count int, limit_micros bigint,
            hold_micros bigint, hold_id text, created_at timestamptz, expires_at timestamptz,
            inputs jsonb, retries int, demand_id text, cell_id text, resources jsonb, slots int,
            duration_ms bigint, needs jsonb, event jsonb)
    ), job AS (
        INSERT INTO jobs (id, account_id, name, kind, state, spec, task_count,
            limit_micros_per_hour, hold_micros, hold_id, created_at, expires_at)
        SELECT id, account_id, name, kind, 'queued', spec, task_count, limit_micros, hold_micros,
            hold_id, created_at, expires_at FROM given
    ), task AS (
        INSERT INTO tasks (id, job_id, index, state, input, retries_left, created_at)
        SELECT new_id('task', g.created_at), g.id, t.place - 1, 'queued', t.input, g.retries,
            g.created_at
        FROM given g, jsonb_array_elements(g.inputs) WITH ORDINALITY AS t (input, place)
    ), demand AS (
        INSERT INTO demands (id, job_id, account_id, cell_id, home_cell_id, state, resources,
            count_open, limit_micros_per_hour, duration_ms, needs, created_at)
        SELECT demand_id, id, account_id, cell_id, cell_id, 'open', resources, slots, limit_micros,
            duration_ms, needs, created_at FROM given
    ), event AS (
        INSERT INTO events (at, kind, account_id, subject_id, data)
        SELECT created_at, 'job.submitted', account_id, id, event FROM given
    )
    SELECT pg_notify('souk_event', '')
    UNION ALL
    SELECT pg_notify('souk_demand', c.cell_id) FROM (SELECT DISTINCT cell_id FROM given) c
""")


def read_askers(session: Session, asked: Sequence[tuple[str, Sequence[str]]]) -> list[Asker | None]:
    """For each (account, digests): the account, and which of the digests it has no grant for.

    None where there is no such account.
    """
    document = [
        {"place": place, "account_id": account, "digests": digests}
        for place, (account, digests) in enumerate(asked)
    ]
    rows = session.execute(_ASKERS, {"asked": dump_json(document)})
    found = {row[0]: Asker(row[1], tuple(row[2])) for row in rows}
    return [found.get(place) for place in range(len(asked))]


def insert_jobs(session: Session, jobs: Sequence[NewJob]) -> None:
    """Write the jobs, a task for each input, and their demands; wake the market."""
    if jobs:
        session.execute(_INSERT, {"jobs": dump_json([_document(each) for each in jobs])})


def _document(new: NewJob) -> dict[str, Any]:
    job, demand = new.job, new.demand
    return {
        "id": job.id,
        "account_id": job.account_id,
        "name": job.name,
        "kind": job.kind,
        "spec": job.spec,
        "task_count": job.task_count,
        "limit_micros": job.limit_micros_per_hour,
        "hold_micros": job.hold_micros,
        "hold_id": job.hold_id,
        "created_at": job.created_at,
        "expires_at": job.expires_at,
        "inputs": new.inputs,
        "retries": new.retries,
        "demand_id": demand.id,
        "cell_id": demand.cell_id,
        "resources": demand.resources,
        "slots": demand.count,
        "duration_ms": demand.duration_ms,
        "needs": demand.needs,
        "event": new.event,
    }


class CellFit(NamedTuple):
    """How the known nodes of one cell stand to a wish: ruled out by a constraint, or fitting."""

    cell_id: str
    latitude: float | None
    longitude: float | None
    broken: str  # the first constraint that they break; "": they fit
    nodes: int
    online: int
    slots: int  # whole slots that those online hold when empty
    slots_leased: int  # of this wish's size, by which their leases lessen that
    largest: list[int] | None  # where they are too small: the most of each resource that one has
    closest: list[float] | None  # how many slots the one with most room holds, and what it has


_FIT = text("""
    WITH judged AS (
        SELECT n.id, n.cell_id, n.state = 'online' AS online,
            least(
                c.cpu / nullif(:cpu_millis, 0), c.memory / nullif(:memory_bytes, 0),
                c.accelerator / nullif(:accelerator_millis, 0),
                c.bandwidth / nullif(:bandwidth_kbps, 0)
            ) AS slots,
            least(
                c.cpu / nullif(:cpu_millis, 0)::float8, c.memory / nullif(:memory_bytes, 0)::float8,
                c.accelerator / nullif(:accelerator_millis, 0)::float8,
                c.bandwidth / nullif(:bandwidth_kbps, 0)::float8
            ) AS room,
            c.cpu, c.memory, c.accelerator, c.bandwidth,
            CASE
                WHEN :only_cell <> '' AND n.cell_id <> :only_cell
                    OR NOT (n.runtimes ? :kind AND n.labels @> CAST(:labels AS jsonb))
                    OR EXISTS (SELECT FROM jsonb_each_text(CAST(:not_labels AS jsonb)) l
                        WHERE n.labels->>l.key = l.value)
                    OR NOT (:any_arch OR n.arch = ANY(CAST(:arch AS text[])))
                    OR NOT (:any_node OR n.id = ANY(CAST(:nodes AS text[])))
                    THEN 'constraint'
                WHEN NOT (o.accepts = '[]' OR o.accepts ? :tenant) OR o.refuses ? :tenant
                    THEN 'not_admitted'
                WHEN n.calibration_ops_per_s > 0 AND n.calibration_ops_per_s < :ops_per_s_min
                    THEN 'speed'
                WHEN n.calibration_ops_per_s > 0 AND n.calibration_ops_per_s < :ops_per_s_deadline
                    THEN 'deadline'
                ELSE ''
            END AS broken
        FROM nodes n JOIN offers o ON o.node_id = n.id AND o.state = 'open',
            LATERAL (SELECT
                coalesce((o.capacity->>'cpu_millis')::bigint, 0) AS cpu,
                coalesce((o.capacity->>'memory_bytes')::bigint, 0) AS memory,
                coalesce((o.capacity->>'accelerator_millis')::bigint, 0) AS accelerator,
                coalesce((o.capacity->>'bandwidth_kbps')::bigint, 0) AS bandwidth
            ) c
        WHERE n.state <> 'revoked'
    ), fitting AS (
        SELECT id, cell_id, online, slots, room, cpu, memory, accelerator, bandwidth,
            CASE WHEN broken IN ('', 'speed', 'deadline') AND slots < 1 THEN 'too_large'
                ELSE broken END AS broken
        FROM judged
    ), leased AS (
        SELECT cell_id, sum(slots * ceil(greatest(
            cpu_millis / nullif(:cpu_millis, 0)::float8,
            memory_bytes / nullif(:memory_bytes, 0)::float8,
            0
        )))::bigint AS slots
        FROM leases WHERE state = 'active' GROUP BY cell_id
    )
    SELECT f.cell_id, c.latitude, c.longitude, f.broken, count(*), count(*) FILTER (WHERE f.online),
        coalesce(sum(f.slots) FILTER (WHERE f.online), 0)::bigint,
        CASE f.broken WHEN '' THEN coalesce(max(l.slots), 0) ELSE 0 END,
        CASE f.broken WHEN 'too_large'
            THEN ARRAY[max(f.cpu), max(f.memory), max(f.accelerator), max(f.bandwidth)] END,
        CASE f.broken WHEN 'too_large'
            THEN max(ARRAY[f.room, f.cpu, f.memory, f.accelerator, f.bandwidth]) END
    FROM fitting f JOIN cells c ON c.id = f.cell_id LEFT JOIN leased l ON l.cell_id = f.cell_id
    GROUP BY f.cell_id, c.latitude, c.longitude, f.broken
    ORDER BY f.cell_id, f.broken
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a slot must be, in the terms of the nodes' columns."""

    kind: str
    tenant: str  # name of the account, as owners know it
    resources: dict[str, int]
    labels: dict[str, str]
    not_labels: dict[str, str]
    arch: tuple[str, ...]
    nodes: tuple[str, ...]
    only_cell: str  # "": any
    ops_per_s_min: int
    ops_per_s_deadline: int  # that the deadline asks for


def read_fit(session: Session, wish: Wish) -> list[CellFit]:
    """How all known nodes (not revoked, with an offer, online or not) stand to ``wish``, by cell.

    The constraints are judged in the order of ``market.feasible.CONSTRAINTS``.
    """
    rows = session.execute(
        _FIT,
        {
            "kind": wish.kind,
            "tenant": wish.tenant,
            "cpu_millis": wish.resources.get("cpu_millis", 0),
            "memory_bytes": wish.resources.get("memory_bytes", 0),
            "accelerator_millis": wish.resources.get("accelerator_millis", 0),
            "bandwidth_kbps": wish.resources.get("bandwidth_kbps", 0),
            "labels": dump_json(wish.labels),
            "not_labels": dump_json(wish.not_labels),
            "any_arch": not wish.arch,
            "arch": list(wish.arch),
            "any_node": not wish.nodes,
            "nodes": list(wish.nodes),
            "only_cell": wish.only_cell,
            "ops_per_s_min": wish.ops_per_s_min,
            "ops_per_s_deadline": wish.ops_per_s_deadline,
        },
    )
    return [CellFit._make(row) for row in rows]
