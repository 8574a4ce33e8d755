"""The steps of dispatch, each of which may be taken at any time and by itself."""

import secrets
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy.orm import Session

from allocator import Allocator
from broker.services.grants import make_grant
from broker.services.orders import build_assigns
from broker.services.placing import Placed, place_jobs
from broker.services.sender import Sender
from broker.services.settlement import JobEnd, end_jobs
from db.control import placing
from db.control.placing import JobToPlace, LeaseToFill, Order
from db.engine import SessionFactory
from db.errors import run_in_transaction
from market.lifecycle import EndReason, JobState

RESENDS_MAX = 500
OVERDUE_MS = 15_000  # beyond its run limit an attempt is asked for
QUEUE_RUNS = 6  # run limits that an attempt may wait on its node before it is asked for

log = structlog.get_logger(__name__)
PLACED = Counter("souk_dispatch_attempts", "Attempts assigned")
RESENT = Counter("souk_dispatch_resent", "Orders sent again")
STEP = Histogram("souk_dispatch_step_seconds", "Time to place the tasks of a batch of jobs")


@dataclass(slots=True, kw_only=True)
class Dispatcher:
    """Places tasks and sends their orders."""

    sessions: SessionFactory
    sender: Sender
    allocator: Allocator
    secret: bytes
    clock: Callable[[], datetime]
    fee_basis_points: int

    def place(self, jobs: Collection[str]) -> set[str]:
        """Place what can be placed of ``jobs`` and send it; the jobs that have more to place."""
        with STEP.time():
            placed = run_in_transaction(self.sessions, lambda s: self._place(s, jobs))
        self._send(placed.orders, placed.jobs, placed.leases)
        PLACED.inc(len(placed.orders))
        if placed.cancelling:
            self._cancel(placed.cancelling)
        return placed.again

    def resend(self) -> int:
        """Send again the orders that nobody has answered for too long; how many."""
        with self.sessions.begin() as session:
            orders = placing.take_resends(
                session,
                now=self.clock(),
                overdue_ms=OVERDUE_MS,
                queue=QUEUE_RUNS,
                most=RESENDS_MAX,
            )
            jobs = placing.read_jobs(session, {o.job_id for o in orders}) if orders else {}
            leases = (
                placing.read_leases_by_id(session, {o.lease_id for o in orders}) if orders else {}
            )
        self._send(orders, jobs, leases)
        RESENT.inc(len(orders))
        return len(orders)

    def _place(self, session: Session, jobs: Collection[str]) -> Placed:
        return place_jobs(
            session,
            jobs,
            allocator=self.allocator,
            fee_basis_points=self.fee_basis_points,
            now=self.clock(),
            seed=secrets.randbits(63),
        )

    def _cancel(self, jobs: Iterable[str]) -> None:
        ends = [
            JobEnd(job_id=job, state=JobState.CANCELLED, reason=EndReason.CANCELLED_BY_USER)
            for job in jobs
        ]
        run_in_transaction(
            self.sessions,
            lambda s: end_jobs(s, ends, fee_basis_points=self.fee_basis_points, now=self.clock()),
        )

    def _send(
        self, orders: list[Order], jobs: dict[str, JobToPlace], leases: dict[str, LeaseToFill]
    ) -> None:
        for node, assign in build_assigns(orders, jobs, leases, self._grant):
            self.sender.send(node, assign)

    def _grant(self, lease: LeaseToFill, job: JobToPlace, expires_at: datetime) -> str:
        return make_grant(
            self.secret,
            node_id=lease.node_id,
            job_id=job.id,
            account_id=job.account_id,
            expires_at=expires_at,
        )
