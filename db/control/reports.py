"""The statements of attempt reports: read, lock the jobs, move attempts, tasks and counts."""

# ruff: noqa: S608 - the only names put into statements are those of our own dataclasses

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.engine import dump_json


class AttemptRow(NamedTuple):
    """An attempt with what its report is judged by."""

    id: str
    job_id: str
    task_id: str
    lease_id: str
    node_id: str
    node_state: str
    fence: int
    state: str
    assigned_at: datetime
    retries_left: int
    account_id: str
    max_run_ms: int
    output_bytes_max: int
    replaceable: bool  # tried elsewhere when its node is lost
    expires_at: datetime  # of the job
    deadline_sold: bool  # it expires by its QoS and not by its longest total time


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptMove:
    """What is written to an attempt; None in a time leaves it as it is."""

    id: str
    state: str
    reason: str | None = None
    detail: str = ""
    exit_code: int | None = None
    log_tail: str = ""
    chargeable_ms: int = 0
    wall_ms: int = 0
    cpu_ms: int = 0
    memory_peak_bytes: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    energy_millijoules: int = 0
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMove:
    """What is written to a placed task: its end, or that it waits again."""

    id: str
    state: str
    retries_left: int
    result_digest: str | None = None
    result_bytes: int = 0
    exit_code: int | None = None
    end_reason: str | None = None
    end_detail: str = ""
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMove:
    """What is added to a job's counts, and since when it runs if that is news."""

    id: str
    succeeded: int = 0
    failed: int = 0
    started_at: datetime | None = None


class JobCounts(NamedTuple):
    """A job after its counts moved."""

    id: str
    account_id: str
    task_count: int
    succeeded: int
    failed: int
    began: bool  # it went to running in this statement


_TYPES = {
    "int": "bigint",
    "int | None": "bigint",
    "str": "text",
    "str | None": "text",
    "bool": "bool",
    "datetime | None": "timestamptz",
}


def _given(cls: type) -> str:
    """The rows of a batch, a column for each field of a dataclass, as ``m``.

    They come as one document: an array for each column costs several times that to write. The
    limit tells the planner how many there are.
    """
    columns = ", ".join(f"{f.name} {_TYPES[str(_type_name(f.type))]}" for f in fields(cls))
    rows = f"jsonb_to_recordset(CAST(:rows AS jsonb)) AS r ({columns})"
    return f"(SELECT * FROM {rows} LIMIT :count) AS m"


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("datetime.", "")


def _batch(rows: Sequence[Any]) -> dict[str, Any]:
    return {"rows": dump_json(rows), "count": len(rows)}


_READ = text("""
    SELECT a.id, a.job_id, a.task_id, a.lease_id, a.node_id, n.state, a.fence, a.state,
        a.assigned_at,
        t.retries_left, j.account_id,
        coalesce((j.spec->'limits'->>'max_run_ms')::bigint, 0),
        coalesce((j.spec->'limits'->>'output_bytes_max')::bigint, 0),
        coalesce((j.spec->'disconnect'->>'replace')::boolean, true), j.expires_at,
        coalesce((j.spec->'qos'->>'deadline_ms')::bigint, 0) > 0
            AND (j.spec->'qos'->>'deadline_ms')::bigint
                <= (j.spec->'limits'->>'max_total_ms')::bigint
    FROM attempts a JOIN tasks t ON t.id = a.task_id JOIN jobs j ON j.id = a.job_id
        JOIN nodes n ON n.id = a.node_id
    WHERE a.id = ANY(:ids)
""")
_LOCK_JOBS = text("SELECT 1 FROM jobs WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")
_TASKS = text(f"""
    UPDATE tasks t SET state = m.state, retries_left = m.retries_left,
        result_digest = m.result_digest, result_bytes = m.result_bytes, exit_code = m.exit_code,
        end_reason = m.end_reason, end_detail = m.end_detail, ended_at = m.ended_at
    FROM {_given(TaskMove)}
    WHERE t.id = m.id AND t.state = 'placed'
""")
_ATTEMPTS = text(f"""
    UPDATE attempts a SET state = m.state, reason = coalesce(m.reason, a.reason),
        detail = CASE m.detail WHEN '' THEN a.detail ELSE m.detail END,
        exit_code = m.exit_code,
        log_tail = CASE m.log_tail WHEN '' THEN a.log_tail ELSE m.log_tail END,
        chargeable_ms = m.chargeable_ms, wall_ms = m.wall_ms, cpu_ms = m.cpu_ms,
        memory_peak_bytes = m.memory_peak_bytes, bytes_in = m.bytes_in, bytes_out = m.bytes_out,
        energy_millijoules = m.energy_millijoules,
        accepted_at = coalesce(a.accepted_at, m.accepted_at),
        started_at = coalesce(a.started_at, greatest(m.started_at, a.accepted_at)),
        ended_at = m.ended_at
    FROM {_given(AttemptMove)}
    WHERE a.id = m.id
""")
_JOBS = text(f"""
    UPDATE jobs j SET tasks_succeeded = j.tasks_succeeded + m.succeeded,
        tasks_failed = j.tasks_failed + m.failed,
        state = CASE WHEN m.started_at IS NOT NULL AND j.state = 'matched' THEN 'running'
            ELSE j.state END,
        started_at = coalesce(j.started_at, m.started_at),
        version = j.version + 1
    FROM {_given(JobMove)}, jobs old
    WHERE j.id = m.id AND old.id = m.id AND j.ended_at IS NULL
    RETURNING j.id, j.account_id, j.task_count, j.tasks_succeeded, j.tasks_failed,
        j.state = 'running' AND old.state = 'matched'
""")
_STORED = text("""
    SELECT g.digest, g.account_id, f.size_bytes
    FROM artifact_grants g JOIN artifacts f ON f.digest = g.digest
    WHERE g.digest = ANY(:digests) AND g.account_id = ANY(:accounts)
""")
# Two that store the same bytes at once take turns by the order of the digests.
_RESULTS = text("""
    WITH given AS (
        SELECT DISTINCT * FROM unnest(CAST(:digest AS text[]), CAST(:size AS bigint[]),
            CAST(:account AS text[])) AS g (digest, size, account)
    ), stored AS (
        INSERT INTO artifacts (digest, size_bytes, created_at)
        SELECT DISTINCT ON (digest) digest, size, :now FROM given ORDER BY digest
        ON CONFLICT DO NOTHING
    )
    INSERT INTO artifact_grants (digest, account_id, name, created_at)
    SELECT digest, account, '', :now FROM given ORDER BY digest, account
    ON CONFLICT DO NOTHING
""")
_IDLE = text("""
    SELECT l.id FROM leases l
    WHERE l.id = ANY(:ids) AND l.state = 'active'
        AND NOT EXISTS (SELECT FROM attempts a WHERE a.lease_id = l.id
            AND a.state IN ('assigned', 'accepted', 'running', 'unknown'))
""")
_WAITING = text("""
    SELECT j.id FROM jobs j
    WHERE j.id = ANY(:ids) AND j.ended_at IS NULL
        AND EXISTS (SELECT FROM tasks t WHERE t.job_id = j.id AND t.state = 'queued')
""")


def read_attempts(session: Session, ids: Collection[str]) -> dict[str, AttemptRow]:
    """The attempts of ``ids`` that exist, as they are now."""
    if not ids:
        return {}
    rows = session.execute(_READ, {"ids": sorted(ids)})
    return {row[0]: AttemptRow._make(row) for row in rows}


def lock_jobs(session: Session, ids: Collection[str]) -> None:
    """Lock jobs in id order: whoever moves attempts or tasks has locked their job before."""
    if ids:
        session.execute(_LOCK_JOBS, {"ids": sorted(ids)})


def move_tasks(session: Session, moves: Sequence[TaskMove]) -> None:
    """Write the ends and returns of placed tasks; their jobs must be locked."""
    if moves:
        session.execute(_TASKS, _batch(moves))


def move_attempts(session: Session, moves: Sequence[AttemptMove]) -> None:
    """Write attempts; their jobs must be locked."""
    if moves:
        session.execute(_ATTEMPTS, _batch(moves))


def move_jobs(session: Session, moves: Sequence[JobMove]) -> list[JobCounts]:
    """Add to the counts of live jobs and start those that have begun."""
    if not moves:
        return []
    rows = session.execute(_JOBS, _batch(moves))
    return [JobCounts._make(row) for row in rows]


def stored_artifacts(
    session: Session, digests: Collection[str], accounts: Collection[str]
) -> dict[tuple[str, str], int]:
    """Size by (digest, account) of those artifacts that are on record and the account's to read."""
    if not digests:
        return {}
    rows = session.execute(_STORED, {"digests": sorted(digests), "accounts": sorted(accounts)})
    return {(row[0], row[1]): row[2] for row in rows}


def add_results(
    session: Session, results: Sequence[tuple[str, int, str]], *, now: datetime
) -> None:
    """Record (digest, bytes, account): stored artifacts, and whose jobs made them."""
    if not results:
        return
    digests, sizes, accounts = zip(*results, strict=True)
    values = {"digest": [*digests], "size": [*sizes], "account": [*accounts]}
    session.execute(_RESULTS, {**values, "now": now})


def idle_leases(session: Session, ids: Collection[str]) -> list[str]:
    """Those active leases of ``ids`` on which nothing is live."""
    if not ids:
        return []
    return list(session.execute(_IDLE, {"ids": sorted(ids)}).scalars())


def jobs_with_waiting_tasks(session: Session, ids: Collection[str]) -> list[str]:
    """Those live jobs of ``ids`` that have a task to place."""
    if not ids:
        return []
    return list(session.execute(_WAITING, {"ids": sorted(ids)}).scalars())
