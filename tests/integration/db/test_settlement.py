"""The end of jobs: who pays what to whom, what is stopped, and that it happens once."""

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from broker.services.leases import end_leases
from broker.services.settlement import JobEnd, end_jobs
from broker.services.shares import Shares
from db.engine import SessionFactory
from db.errors import run_in_transaction
from db.invariants import invariants
from db.tables import (
    ESCROW,
    PLATFORM,
    Balance,
    Demand,
    Event,
    Job,
    Lease,
    OutboxMessage,
    Role,
    Task,
    Transfer,
)
from market.lifecycle import (
    AttemptState,
    EndReason,
    IllegalTransition,
    JobState,
    LeaseState,
    TaskState,
)
from tests.factories import (
    NOW,
    make_account,
    make_attempt,
    make_job,
    make_lease,
    make_node,
    tasks_of,
)

FEE = 200  # basis points
LATER = NOW + dt.timedelta(minutes=5)


def finish(session: Session, job: Job, lease: Lease, *, chargeable_ms: int) -> None:
    """Every task of ``job`` succeeded in ``lease``, each after so long."""
    for task in tasks_of(session, job):
        make_attempt(
            session,
            task=task,
            lease=lease,
            state=AttemptState.SUCCEEDED,
            chargeable_ms=chargeable_ms,
        )
    session.execute(update(Task).where(Task.job_id == job.id).values(state=TaskState.SUCCEEDED))
    session.execute(
        update(Job)
        .where(Job.id == job.id)
        .values(state=JobState.RUNNING, tasks_succeeded=Job.task_count)
    )


def succeed(session: Session, *jobs: Job, at: dt.datetime = LATER) -> list[str]:
    ends = [JobEnd(job_id=job.id, state=JobState.SUCCEEDED) for job in jobs]
    return end_jobs(session, ends, fee_basis_points=FEE, now=at)


def available(session: Session, account_id: str) -> int:
    session.expire_all()
    balance = session.get_one(Balance, account_id)
    return balance.posted_micros - balance.held_micros


def kinds(session: Session, job: Job) -> list[tuple[str, int]]:
    rows = session.execute(
        select(Transfer.kind, Transfer.amount_micros)
        .where(Transfer.job_id == job.id)
        .order_by(Transfer.sequence)
    )
    return [(kind, amount) for kind, amount in rows]


def broken(session: Session) -> list[str]:
    return [each.name for each in invariants(session) if not each.ok]


def test_tenant_pays_what_was_used_and_the_rest_is_freed(session: Session) -> None:
    tenant = make_account(session, funds_micros=100_000)
    node = make_node(session)
    job = make_job(session, account=tenant, tasks=2, budget_micros=20_000)
    lease = make_lease(session, job=job, node=node, slots=2)
    finish(session, job, lease, chargeable_ms=1_500)
    assert succeed(session, job) == [job.id]
    # 36,000 micros an hour are 10 a second; 2 × 1.5 s = 30 micros; 2 % of 30 is less than 1.
    assert kinds(session, job) == [("hold", 20_000), ("charge", 30), ("payout", 30)]
    assert available(session, tenant.id) == 99_970
    assert available(session, node.owner_id) == 30
    assert available(session, ESCROW) == available(session, PLATFORM) == 0
    assert broken(session) == []


def test_job_lease_demand_and_event_tell_the_same(session: Session) -> None:
    job = make_job(session, name="render", budget_micros=20_000)
    lease = make_lease(session, job=job, node=make_node(session))
    finish(session, job, lease, chargeable_ms=100_000)
    succeed(session, job)
    session.expire_all()
    assert (job.state, job.end_reason, job.cost_micros, job.accrued_micros, job.ended_at) == (
        "succeeded",
        "ok",
        1_000,
        1_000,
        LATER,
    )
    assert (lease.state, lease.state_reason, lease.charge_micros) == (
        "released",
        "job_ended",
        1_000,
    )
    demand = session.scalars(select(Demand).where(Demand.job_id == job.id)).one()
    assert (demand.state, demand.count_open) == ("closed", 0)
    event = session.scalars(select(Event).where(Event.kind == "job.succeeded")).one()
    assert (event.subject_id, event.account_id) == (job.id, job.account_id)
    assert event.data["cost_micros"] == 1_000
    assert kinds(session, job)[-2:] == [("payout", 980), ("fee", 20)]


def test_nothing_used_releases_the_hold(session: Session) -> None:
    job = make_job(session, budget_micros=20_000)
    end = JobEnd(
        job_id=job.id, state=JobState.CANCELLED, reason=EndReason.CANCELLED_BY_USER, detail="asked"
    )
    end_jobs(session, [end], fee_basis_points=FEE, now=LATER)
    session.expire_all()
    assert kinds(session, job) == [("hold", 20_000), ("release", 0)]
    assert (job.state, job.end_reason, job.end_detail) == (
        "cancelled",
        "cancelled_by_user",
        "asked",
    )
    assert broken(session) == []


def test_a_charge_is_never_over_the_hold(session: Session) -> None:
    job = make_job(session, tasks=2, budget_micros=1_001)
    leases = [make_lease(session, job=job, node=make_node(session)) for _ in range(2)]
    for task, lease in zip(tasks_of(session, job), leases, strict=True):
        make_attempt(
            session, task=task, lease=lease, state=AttemptState.SUCCEEDED, chargeable_ms=100_000
        )
    session.execute(update(Job).values(state=JobState.RUNNING))
    succeed(session, job)
    session.expire_all()
    # 1,000 each are owed; half of 1,001 each, rounded down, and the odd micro to the first lease.
    assert sorted(lease.charge_micros or 0 for lease in leases) == [500, 501]
    assert job.cost_micros == 1_001
    assert broken(session) == []


def test_ending_twice_changes_nothing(session: Session) -> None:
    job = make_job(session)
    lease = make_lease(session, job=job, node=make_node(session))
    finish(session, job, lease, chargeable_ms=1_000)
    succeed(session, job)
    before = kinds(session, job)
    assert succeed(session, job, at=LATER + dt.timedelta(hours=1)) == []
    end = JobEnd(job_id=job.id, state=JobState.FAILED, reason=EndReason.INTERNAL)
    assert end_jobs(session, [end], fee_basis_points=FEE, now=LATER) == []
    session.expire_all()
    assert kinds(session, job) == before
    assert (job.state, job.ended_at) == ("succeeded", LATER)


def test_what_still_runs_is_stopped_and_its_node_told(session: Session) -> None:
    job = make_job(session, tasks=3)
    nodes = [make_node(session) for _ in range(2)]
    leases = [make_lease(session, job=job, node=node) for node in nodes]
    tasks = tasks_of(session, job)
    running = [
        make_attempt(session, task=task, lease=lease)
        for task, lease in zip(tasks[:2], leases, strict=True)
    ]
    session.execute(
        update(Task).where(Task.id.in_([t.id for t in tasks[:2]])).values(state=TaskState.PLACED)
    )
    end = JobEnd(job_id=job.id, state=JobState.EXPIRED, reason=EndReason.MAX_TOTAL)
    end_jobs(session, [end], fee_basis_points=FEE, now=LATER)
    session.expire_all()
    assert {(a.state, a.reason, a.ended_at) for a in running} == {("cancelled", "max_total", LATER)}
    assert {(t.state, t.end_reason) for t in tasks_of(session, job)} == {("cancelled", "max_total")}
    told = session.scalars(select(OutboxMessage)).all()
    assert {(m.node_id, m.type, *m.data["attempts"]) for m in told} == {
        (a.node_id, "cancel", a.id) for a in running
    }
    assert {lease.state for lease in leases} == {"released"}


def test_a_hundred_jobs_are_as_many_statements_as_one(
    session: Session, statements: list[str]
) -> None:
    tenant = make_account(session, funds_micros=10_000_000)
    node = make_node(session)
    jobs = []
    for _ in range(30):
        job = make_job(session, account=tenant)
        finish(session, job, make_lease(session, job=job, node=node), chargeable_ms=1_000)
        jobs.append(job)
    statements.clear()
    succeed(session, jobs[0])
    one = len(statements)
    statements.clear()
    assert len(succeed(session, *jobs[1:])) == 29
    assert len(statements) == one == 4
    assert broken(session) == []


def test_an_end_that_the_lifecycle_forbids_is_an_error(session: Session) -> None:
    job = make_job(session)
    with pytest.raises(IllegalTransition):
        succeed(session, job)  # queued: nothing of it has run


def test_a_lease_that_ends_early_accrues_and_is_settled_once(session: Session) -> None:
    job = make_job(session, tasks=2)
    node = make_node(session)
    first = make_lease(session, job=job, node=node)
    make_attempt(
        session,
        task=tasks_of(session, job)[0],
        lease=first,
        state=AttemptState.SUCCEEDED,
        chargeable_ms=2_000,
    )
    after = NOW + dt.timedelta(seconds=2)
    ended = end_leases(session, [first.id], LeaseState.EXPIRED, reason="window", now=after)
    assert [lease.id for lease in ended] == [first.id]
    assert end_leases(session, [first.id], LeaseState.REVOKED, reason="late", now=NOW) == []
    session.expire_all()
    assert (job.accrued_micros, first.charge_micros, first.state) == (20, 20, "expired")
    second = make_lease(session, job=job, node=node)
    make_attempt(
        session,
        task=tasks_of(session, job)[1],
        lease=second,
        state=AttemptState.SUCCEEDED,
        chargeable_ms=1_000,
    )
    session.execute(update(Job).values(state=JobState.RUNNING))
    succeed(session, job)
    session.expire_all()
    assert (job.cost_micros, job.accrued_micros) == (30, 30)
    assert (first.state, first.state_reason) == ("expired", "window")
    assert broken(session) == []


def test_an_owner_may_be_its_own_tenant(session: Session) -> None:
    both = make_account(session, role=Role.OWNER, funds_micros=100_000)
    job = make_job(session, account=both)
    lease = make_lease(session, job=job, node=make_node(session, owner=both))
    finish(session, job, lease, chargeable_ms=100_000)
    succeed(session, job)
    assert available(session, both.id) == 100_000  # what it paid, it was paid: no fee on that
    assert broken(session) == []


def test_what_an_account_leased_of_itself_is_no_share_of_the_market(session: Session) -> None:
    both = make_account(session, role=Role.OWNER, funds_micros=100_000)
    job = make_job(session, account=both, tasks=2)
    home = make_lease(session, job=job, node=make_node(session, owner=both))
    away = make_lease(session, job=job, node=make_node(session))
    running = {"now": LATER, "half_life_s": 1e12}
    # Five minutes at ten micros a second, on the other's node alone.
    assert Shares().received(session, [both.id], **running) == [3_000]
    for task, lease, took in zip(tasks_of(session, job), (home, away), (7_000, 4_000), strict=True):
        make_attempt(
            session, task=task, lease=lease, state=AttemptState.SUCCEEDED, chargeable_ms=took
        )
        task.state = TaskState.SUCCEEDED
    job.state, job.tasks_succeeded = JobState.RUNNING, 2
    session.flush()
    succeed(session, job)
    assert available(session, both.id) == 100_000 - 40
    assert Shares().received(session, [both.id], **running) == [pytest.approx(40)]


def test_freed_room_wakes_the_cell_where_somebody_waits(
    sessions: SessionFactory, database_url: str
) -> None:
    from db.notify import DEMAND, Listener

    with sessions() as session:
        node = make_node(session)
        done = make_job(session, leased=[(node, 1)])
        make_job(session)  # waits
        session.commit()
        with Listener(database_url, [DEMAND]) as listener:
            end = JobEnd(
                job_id=done.id, state=JobState.CANCELLED, reason=EndReason.CANCELLED_BY_USER
            )
            end_jobs(session, [end], fee_basis_points=FEE, now=LATER)
            session.commit()
            heard = listener.wait(timeout_s=5)
    assert [hint.payload for hint in heard] == [node.cell_id]


def test_two_that_end_the_same_jobs_settle_them_once(sessions: SessionFactory) -> None:
    """Both in opposite order, at the same time: no deadlock, one settlement each."""
    import threading

    with sessions() as session:
        node = make_node(session)
        jobs = [make_job(session, leased=[(node, 1)]).id for _ in range(20)]
        session.commit()
    ended: list[Any] = []

    def end(order: list[str]) -> None:
        ends = [
            JobEnd(job_id=job_id, state=JobState.CANCELLED, reason=EndReason.CANCELLED_BY_USER)
            for job_id in order
        ]
        ended.append(
            run_in_transaction(
                sessions, lambda s: end_jobs(s, ends, fee_basis_points=FEE, now=LATER)
            )
        )

    threads = [threading.Thread(target=end, args=(order,)) for order in (jobs, jobs[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(each) for each in ended) == [0, 20]
    with sessions() as session:
        assert broken(session) == []
