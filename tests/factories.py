"""Rows for tests: a test states only what its case is about, the rest is plausible.

Everything is flushed, nothing is committed; ids and names are unique within the process.
"""

import datetime as dt
import itertools
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from broker.services import jobs
from broker.services.job_spec import JobSpec, TaskSpec
from db.ids import new_id
from db.ledger import NewTransfer, post_transfers
from db.tables import (
    ISSUANCE,
    Account,
    Artifact,
    ArtifactGrant,
    Attempt,
    Cell,
    Demand,
    Job,
    Lease,
    Node,
    Offer,
    Role,
    RoundRow,
    Task,
    TransferKind,
)
from market.lifecycle import AttemptState, LeaseState, NodeState

NOW = dt.datetime(2030, 6, 1, 12, 0, 0, tzinfo=dt.UTC)
CODE_DIGEST = "sha256:" + "ab" * 32
GIB = 1 << 30
_numbers = itertools.count(1)


def number() -> int:
    """A number that no other call of this process got."""
    return next(_numbers)


def make_account(
    session: Session, *, role: Role = Role.TENANT, funds_micros: int = 0, **fields: Any
) -> Account:
    """An account, with credits if it is to have some."""
    values: dict[str, Any] = {
        "id": new_id("account", NOW),
        "name": f"{role}-{number()}",
        "role": role,
        "created_at": NOW,
    }
    account = Account(**values | fields)
    session.add(account)
    session.flush()
    if funds_micros:
        deposit(session, account.id, funds_micros)
    return account


def deposit(session: Session, account_id: str, amount_micros: int) -> None:
    """Credits from nowhere."""
    transfer = NewTransfer(
        key=f"deposit:{number()}",
        kind=TransferKind.DEPOSIT,
        debit_id=ISSUANCE,
        credit_id=account_id,
        amount_micros=amount_micros,
    )
    post_transfers(session, [transfer], now=NOW)


def make_cell(session: Session, **fields: Any) -> Cell:
    values: dict[str, Any] = {
        "id": new_id("cell", NOW),
        "name": f"cell-{number()}",
        "level": "cell",
        "created_at": NOW,
    }
    cell = Cell(**values | fields)
    session.add(cell)
    session.flush()
    return cell


def make_node(
    session: Session,
    *,
    cell: Cell | None = None,
    owner: Account | None = None,
    reserve: dict[str, int] | None = None,
    offer: dict[str, Any] | None = None,
    sells: bool = True,
    **fields: Any,
) -> Node:
    """A node online with four cores and 4 GiB, which it offers (``sells``) for next to nothing."""
    cell = cell or make_cell(session)
    owner = owner or make_account(session, role=Role.OWNER)
    values: dict[str, Any] = {
        "id": new_id("node", NOW),
        "owner_id": owner.id,
        "cell_id": cell.id,
        "name": f"node-{number()}",
        "state": NodeState.ONLINE,
        "boot": 1,
        "seq": 1,
        "arch": "x86_64",
        "cpu_count": 4,
        "runtimes": {"wasm": "1", "onnx": "1"},
        "labels": {},
        "capacity": {"cpu_millis": 4_000, "memory_bytes": 4 * GIB},
        "calibration_ops_per_s": 100_000_000,
        "idle_milliwatts": 2_000,
        "max_milliwatts": 10_000,
        "last_seen_at": NOW,
        "enrolled_at": NOW,
        "certificate_serial": "01",
        "certificate_expires_at": NOW + dt.timedelta(days=7),
    }
    node = Node(**values | fields)
    session.add(node)
    session.flush()
    if sells:
        make_offer(session, node, reserve=reserve, **offer or {})
    return node


def make_offer(
    session: Session, node: Node, *, reserve: dict[str, int] | None = None, **fields: Any
) -> Offer:
    values: dict[str, Any] = {
        "id": new_id("offer", NOW),
        "node_id": node.id,
        "owner_id": node.owner_id,
        "cell_id": node.cell_id,
        "state": "open",
        "capacity": dict(node.capacity),
        "reserve": reserve if reserve is not None else {"cpu_millis": 10, "memory_bytes": 1},
        "created_at": NOW,
        "updated_at": NOW,
    }
    offer = Offer(**values | fields)
    session.add(offer)
    session.flush()
    return offer


def make_artifact(session: Session, account: Account, *, digest: str = CODE_DIGEST) -> str:
    """An artifact of ``account``; its digest. The bytes are in no store."""
    if session.get(Artifact, digest) is None:
        session.add(Artifact(digest=digest, size_bytes=100, created_at=NOW))
        session.flush()
    session.add(ArtifactGrant(digest=digest, account_id=account.id, created_at=NOW))
    session.flush()
    return digest


def spec_of(
    *, tasks: int = 1, task_specs: tuple[TaskSpec, ...] | None = None, **fields: Any
) -> JobSpec:
    """A WASM job of ``tasks`` tasks, one core each, dear enough for every node of these."""
    if task_specs is None:
        task_specs = tuple(TaskSpec(args=(str(index),)) for index in range(tasks))
    values: dict[str, Any] = {
        "name": f"job-{number()}",
        "kind": "wasm",
        "code_digest": CODE_DIGEST,
        "tasks": task_specs,
        "resources": {"cpu_millis": 1_000, "memory_bytes": 1 << 27},
        "limit_micros_per_hour": 100_000,
        "budget_micros": 10_000 * tasks,
        "slots_max": min(tasks, 64),
    }
    return JobSpec(**values | fields)


def make_job(
    session: Session,
    *,
    account: Account | None = None,
    leased: Sequence[tuple[Node, int]] = (),
    **fields: Any,
) -> Job:
    """A submitted job with its tasks, demand and hold, and leases of so many slots on nodes.

    The account gets what it needs, and there is a node if there was none.
    """
    account = account or make_account(session, funds_micros=1_000_000_000)
    if session.get(ArtifactGrant, (CODE_DIGEST, account.id)) is None:
        make_artifact(session, account)
    if not leased and session.execute(select(Offer.id)).first() is None:
        make_node(session)
    found = jobs.submit(session, account_id=account.id, spec=spec_of(**fields), now=NOW)
    job = session.get_one(Job, found.job.id)
    for node, slots in leased:
        make_lease(session, job=job, node=node, slots=slots)
    return job


def tasks_of(session: Session, job: Job) -> list[Task]:
    return list(session.scalars(select(Task).where(Task.job_id == job.id).order_by(Task.index)))


def make_lease(session: Session, *, job: Job, node: Node, slots: int = 1, **fields: Any) -> Lease:
    """An active lease of ``job`` on ``node`` at 36,000 micros a slot-hour: 10 micros a second."""
    demand = session.scalars(select(Demand).where(Demand.job_id == job.id)).one()
    values: dict[str, Any] = {
        "id": new_id("lease", NOW),
        "job_id": job.id,
        "demand_id": demand.id,
        "node_id": node.id,
        "cell_id": node.cell_id,
        "owner_id": node.owner_id,
        "tenant_id": job.account_id,
        "round_id": new_id("round", NOW),
        "state": LeaseState.ACTIVE,
        "slots": slots,
        "cpu_millis": job.spec["resources"].get("cpu_millis", 0),
        "memory_bytes": job.spec["resources"].get("memory_bytes", 0),
        "rate_micros_per_hour": 36_000,
        "reserve_micros_per_hour": 1,
        "limit_micros_per_hour": job.limit_micros_per_hour,
        "epoch": session.execute(text("SELECT nextval('lease_epochs')")).scalar_one(),
        "starts_at": NOW,
        "ends_at": NOW + dt.timedelta(hours=1),
        "created_at": NOW,
    }
    lease = Lease(**values | fields)
    session.add(lease)
    session.flush()
    return lease


def make_attempt(session: Session, *, task: Task, lease: Lease, **fields: Any) -> Attempt:
    """An attempt that runs; give ``state`` and ``chargeable_ms`` for one that has ended."""
    values: dict[str, Any] = {
        "id": new_id("attempt", NOW),
        "task_id": task.id,
        "job_id": task.job_id,
        "lease_id": lease.id,
        "node_id": lease.node_id,
        "number": number(),
        "fence": lease.epoch,
        "state": AttemptState.RUNNING,
        "assigned_at": NOW,
        "started_at": NOW,
    }
    attempt = Attempt(**values | fields)
    session.add(attempt)
    session.flush()
    return attempt


def make_round(session: Session, *, cell: Cell, **fields: Any) -> RoundRow:
    """A round in which nobody bid."""
    values: dict[str, Any] = {
        "id": new_id("round", NOW),
        "cell_id": cell.id,
        "policy_id": "policy_default",
        "mechanism": "greedy",
        "seed": 1,
        "bid_count": 0,
        "ask_count": 0,
        "slots_asked": 0,
        "slots_matched": 0,
        "slots_applied": 0,
        "slots_refused": 0,
        "welfare": 0.0,
        "bound": 0.0,
        "timings_ms": {},
        "created_at": NOW,
    }
    row = RoundRow(**values | fields)
    session.add(row)
    session.flush()
    return row
