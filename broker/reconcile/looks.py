"""The looks of the reconciler, in the order in which they are taken."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from sqlalchemy.orm import Session

from broker.services import better_places, leases, moving, states, topup
from broker.services.giving_up import all_ended, give_up
from broker.services.settlement import JobEnd, end_jobs
from db import notify
from db.control import healing, placing, reconciling, reports
from db.engine import SessionFactory
from db.errors import run_in_transaction
from market.lifecycle import EndReason, JobState, LeaseState, NodeState

LEASE_GRACE = timedelta(seconds=5)  # a node ends an expired lease by itself and reports it
UNNEEDED_AFTER = timedelta(seconds=2)
OFTEN_S = 0.5  # between two looks for what somebody waits for
SELDOM_S = 2.0  # and for what only makes up for something lost
SURE_AFTER_S = 5.0  # ingest must have listened for so long before silence counts against a node

Look = Callable[[Session, datetime], int]


class Purchase(NamedTuple):
    """Which jobs something is to be bought for, and how that is done for one of them."""

    find: Callable[[Session, datetime], list[str]]
    make: Callable[[Session, str, datetime], int]
    every_s: float = SELDOM_S


@dataclass(slots=True, kw_only=True)
class Reconciler:
    """Takes every look; ``listening_s`` says how long ingest has been hearing devices."""

    sessions: SessionFactory
    clock: Callable[[], datetime]
    listening_s: Callable[[], float]
    silent_after_s: float
    lost_after_s: float
    fee_basis_points: int
    _due: dict[str, datetime] = field(default_factory=dict)

    def run(self) -> dict[str, int]:
        """Take each look that is due; how many things each one changed."""
        done = {}
        now = self.clock()
        for name, (look, every_s) in self.looks().items():
            if name in self._due and now < self._due[name]:
                continue
            self._due[name] = now + timedelta(seconds=every_s)
            if changed := self.take(name, look):
                done[name] = changed
        for name, purchase in self.purchases().items():
            if name not in self._due or now >= self._due[name]:
                self._due[name] = now + timedelta(seconds=purchase.every_s)
                if changed := self.take_each(name, purchase):
                    done[name] = changed
        return done

    def purchases(self) -> dict[str, Purchase]:
        """What is bought without a round, by name: which jobs, and what is done for one of them."""
        return {
            "topped_up": Purchase(topup.jobs_to_top_up, topup.top_up_job),
            "moved": Purchase(
                moving.jobs_to_move,
                lambda session, job, now: moving.move_job(
                    session, job, fee_basis_points=self.fee_basis_points, now=now
                ),
            ),
            "bettered": Purchase(
                better_places.jobs_with_better_places,
                lambda session, job, now: better_places.better_job(session, job, now=now),
                better_places.EVERY_S,
            ),
        }

    def take_each(self, name: str, purchase: Purchase) -> int:
        """Do ``purchase`` for each job in a transaction of its own: each locks nodes in order."""
        with self.sessions() as session:
            jobs = purchase.find(session, self.clock())
        return sum(self.take(f"{name} {job}", partial(_of_job, purchase.make, job)) for job in jobs)

    def looks(self) -> dict[str, tuple[Look, float]]:
        """Every look by name, with the seconds between two of it."""
        return {
            "cancelled": (self.cancelled, OFTEN_S),
            "overdue": (self.overdue, OFTEN_S),
            "silent": (self.silent, OFTEN_S),
            "cut_off": (self.cut_off, OFTEN_S),
            "doomed": (self.doomed, OFTEN_S),
            "finished": (self.finished, SELDOM_S),
            "unneeded": (self.unneeded, SELDOM_S),
            "unplaced": (self.unplaced, SELDOM_S),
        }

    def take(self, name: str, look: Look) -> int:
        """One look in a transaction of its own; 0 where another process is at it."""

        def work(session: Session) -> int:
            return look(session, self.clock()) if reconciling.take_turn(session, name) else 0

        return run_in_transaction(self.sessions, work)

    def cancelled(self, session: Session, now: datetime) -> int:
        """End what its tenant wants no more; its nodes are told by the settlement."""
        ends = [
            JobEnd(job_id=job, state=JobState.CANCELLED, reason=EndReason.CANCELLED_BY_USER)
            for job in reconciling.jobs_to_cancel(session)
        ]
        return len(end_jobs(session, ends, fee_basis_points=self.fee_basis_points, now=now))

    def overdue(self, session: Session, now: datetime) -> int:
        """End jobs whose time is over."""
        ends = [
            JobEnd(
                job_id=job.id,
                state=JobState.EXPIRED,
                reason=EndReason.DEADLINE if job.deadline else EndReason.MAX_TOTAL,
                detail="the deadline passed before the work was done"
                if job.deadline
                else "the job did not end within its longest total time",
            )
            for job in reconciling.overdue_jobs(session, now=now)
        ]
        return len(end_jobs(session, ends, fee_basis_points=self.fee_basis_points, now=now))

    def finished(self, session: Session, now: datetime) -> int:
        """End jobs whose tasks have all ended, should nobody else have."""
        ends = [
            all_ended(job, failed=failed, tasks=tasks)
            for job, failed, tasks in reconciling.finished_jobs(session)
        ]
        return len(end_jobs(session, ends, fee_basis_points=self.fee_basis_points, now=now))

    def silent(self, session: Session, now: datetime) -> int:
        """Nodes not heard for long are offline, unless it is us who did not listen."""
        if self.listening_s() < self.silent_after_s:
            return 0
        before = now - timedelta(seconds=self.silent_after_s)
        by_reason: dict[str, list[str]] = defaultdict(list)
        for node in reconciling.silent_nodes(session, before=before):
            drained = node.state_reason.startswith("drained")
            by_reason[node.state_reason if drained else "silent"].append(node.id)
        return sum(
            len(states.move_nodes(session, ids, NodeState.OFFLINE, reason=reason, now=now))
            for reason, ids in by_reason.items()
        )

    def cut_off(self, session: Session, now: datetime) -> int:
        """What runs on a node that is away is unknown until it is back, or given up."""
        jobs = reconciling.jobs_cut_off(session)
        reports.lock_jobs(session, jobs)
        return reconciling.mark_unknown(session, jobs) if jobs else 0

    def doomed(self, session: Session, now: datetime) -> int:
        """End leases whose window or node is gone, and give up what runs there."""
        doomed = reconciling.doomed_leases(
            session,
            now=now,
            ended_before=now - LEASE_GRACE,
            lost_after_ms=int(self.lost_after_s * 1000),
            sure=self.listening_s() >= SURE_AFTER_S,
        )
        if not doomed:
            return 0
        jobs = {lease.job_id for lease in doomed}
        reports.lock_jobs(session, jobs)
        live = reconciling.live_attempts_on(session, [lease.id for lease in doomed])
        reason_of = {lease.id: lease.reason for lease in doomed}
        ended = 0
        for reason in sorted(set(reason_of.values())):
            ids = [lease.id for lease in doomed if lease.reason == reason]
            to = LeaseState.EXPIRED if reason == EndReason.LEASE_EXPIRED else LeaseState.REVOKED
            ended += len(leases.end_leases(session, ids, to, reason=reason, now=now))
        give_up(
            session,
            {attempt.id: attempt_reason(reason_of[attempt.lease_id]) for attempt in live},
            fee_basis_points=self.fee_basis_points,
            now=now,
        )
        self._bid_again(session, jobs, now)
        return ended

    def unneeded(self, session: Session, now: datetime) -> int:
        """Give back leases that have nothing left to do."""
        ids = reconciling.unneeded_leases(session, older_than=now - UNNEEDED_AFTER)
        return len(leases.end_leases(session, ids, LeaseState.RELEASED, reason="unneeded", now=now))

    def unplaced(self, session: Session, now: datetime) -> int:
        """Wake dispatch for tasks that could be placed, and the market for those that cannot."""
        ready = placing.jobs_to_place(session, now=now)
        notify.notify_all(session, [(notify.LEASE, job) for job in ready])
        jobs = healing.jobs_to_look_at(session)
        reports.lock_jobs(session, jobs)
        return self._bid_again(session, jobs, now)

    def _bid_again(self, session: Session, jobs: "set[str] | list[str]", now: datetime) -> int:
        """Reopen the demands of locked ``jobs``; those that never began are queued again."""
        broke = [
            JobEnd(
                job_id=job,
                state=JobState.FAILED,
                reason=EndReason.BUDGET_EXHAUSTED,
                detail=f"{left} micros are left, the next task may cost {each}",
            )
            for job, left, each in healing.exhausted_jobs(session, jobs, now=now)
        ]
        end_jobs(session, broke, fee_basis_points=self.fee_basis_points, now=now)
        reopened = healing.reopen_demands(session, jobs, now=now)
        stranded = reconciling.stranded_jobs(session, jobs)
        states.move_jobs(session, stranded, JobState.QUEUED, now=now)
        return len(reopened)


def _of_job(
    make: Callable[[Session, str, datetime], int], job: str, session: Session, now: datetime
) -> int:
    return make(session, job, now)


def attempt_reason(lease_reason: str) -> EndReason:
    """Why an attempt is lost, by why its lease ended."""
    if lease_reason in {EndReason.LEASE_EXPIRED, EndReason.DRAINED}:
        return EndReason(lease_reason)
    return EndReason.AGENT_LOST
