"""Placed work for tests: a job with a lease on a node and live attempts, and reports of them."""

import base64
import datetime as dt
import hashlib
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from broker.services.reports import NodeReport, apply_reports
from edge_agent.wire import AttemptReport, Usage
from tests.factories import NOW, make_attempt, make_cell, make_job, make_lease, make_node, tasks_of

LATER = NOW + dt.timedelta(seconds=30)


class MemoryStore:
    """A result store that forgets with the test."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def store(self, data: bytes, *, digest: str = "", durable: bool = True) -> str:
        found = digest_of(data)
        if digest and digest != found:
            raise ValueError(f"the digest is {found}")
        self.held[found] = data
        return found


@dataclass
class Placed:
    """A job whose first tasks run on one node."""

    job: str
    account: str
    node: str
    lease: str
    fence: int
    tasks: list[str]
    attempts: list[str]


def placed(session: Session, *, tasks: int = 1, running: int | None = None, **fields) -> Placed:
    """``running`` of the job's tasks have an attempt; they were assigned at ``NOW``."""
    cell = make_cell(session)
    node = make_node(session, cell=cell, **fields.pop("node", {}))
    job = make_job(session, cell=cell.id, tasks=tasks, **fields)
    job.state = "matched"
    lease = make_lease(session, job=job, node=node, slots=tasks)
    all_tasks = tasks_of(session, job)
    attempts = []
    for task in all_tasks[: tasks if running is None else running]:
        task.state, task.attempts = "placed", 1
        attempts.append(
            make_attempt(
                session, task=task, lease=lease, number=1, state="assigned", started_at=None
            ).id
        )
    session.execute(
        text("UPDATE demands SET state = 'filled', count_open = 0 WHERE job_id = :job"),
        {"job": job.id},
    )
    session.flush()
    return Placed(
        job=job.id,
        account=job.account_id,
        node=node.id,
        lease=lease.id,
        fence=lease.epoch,
        tasks=[task.id for task in all_tasks],
        attempts=attempts,
    )


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def report(attempt: str, fence: int, state: str, **fields) -> AttemptReport:
    values = {"attempt": attempt, "fence": fence, "state": state, "at": 0}
    if state == "succeeded" and "result_digest" not in fields:
        values |= result(b"42") | {"usage": Usage(wall_ms=2_000, cpu_ms=1_500), "exit_code": 0}
    return AttemptReport(**values | fields)


def result(data: bytes) -> dict[str, object]:
    return {
        "result_digest": digest_of(data),
        "result_base64": base64.b64encode(data).decode(),
        "result_bytes": len(data),
    }


def send(session: Session, node: str, *reports: AttemptReport, store=None, now=LATER):
    return apply_reports(
        session,
        [NodeReport(node_id=node, report=each) for each in reports],
        store=store or MemoryStore(),
        fee_basis_points=200,
        now=now,
    )
