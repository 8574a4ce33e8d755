"""What readers of jobs, leases, transfers, rounds and prices see, and what they do not."""

import datetime as dt

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from broker.services.settlement import JobEnd, end_jobs
from db.repositories import jobs, leases, ledger, policies, rounds
from db.repositories.jobs import TaskCounts
from db.repositories.paging import Place
from db.tables import (
    BidOutcome,
    Demand,
    Job,
    PolicyRow,
    Price,
    Role,
    StandingPrice,
    Task,
)
from market.lifecycle import AttemptState, EndReason, JobState, TaskState
from tests.factories import (
    NOW,
    make_account,
    make_attempt,
    make_cell,
    make_job,
    make_lease,
    make_node,
    make_round,
    tasks_of,
)

SECOND = dt.timedelta(seconds=1)


def cancel(session: Session, job: Job) -> None:
    end = JobEnd(job_id=job.id, state=JobState.CANCELLED, reason=EndReason.CANCELLED_BY_USER)
    end_jobs(session, [end], fee_basis_points=0, now=NOW)
    session.expire_all()


def counts(session: Session, job: Job) -> TaskCounts:
    found = jobs.get(session, job.id, account_id=None)
    assert found is not None
    return found.tasks


def test_counts_follow_the_tasks(session: Session) -> None:
    job = make_job(session, tasks=5)
    first, second, third, *_ = tasks_of(session, job)
    for task, state in (
        (first, TaskState.SUCCEEDED),
        (second, TaskState.FAILED),
        (third, TaskState.PLACED),
    ):
        session.execute(update(Task).where(Task.id == task.id).values(state=state))
    session.execute(update(Job).values(tasks_succeeded=1, tasks_failed=1))
    session.expire_all()
    assert counts(session, job) == TaskCounts(
        queued=2, placed=1, succeeded=1, failed=1, cancelled=0
    )
    cancel(session, job)
    assert counts(session, job) == TaskCounts(
        queued=0, placed=0, succeeded=1, failed=1, cancelled=3
    )


def test_pages_of_jobs_are_scoped_and_go_on(session: Session) -> None:
    mine = make_account(session, funds_micros=10**9)
    made = [make_job(session, account=mine, name=f"n{k % 2}") for k in range(5)]
    make_job(session)
    newest = sorted((job.id for job in made), reverse=True)
    first = jobs.page(session, account_id=mine.id, limit=3)
    assert [record.job.id for record in first.items] == newest[:3]
    rest = jobs.page(session, account_id=mine.id, after=first.after, limit=3)
    assert [record.job.id for record in rest.items] == newest[3:]
    assert rest.after is None
    assert len(jobs.page(session, account_id=None, limit=10).items) == 6
    assert len(jobs.page(session, account_id=mine.id, name="n1", limit=10).items) == 2
    assert jobs.page(session, account_id=mine.id, state="running", limit=10).items == []
    assert jobs.count_by_state(session, account_id=mine.id) == {"queued": 5}


def test_tasks_come_in_the_order_of_their_index(session: Session) -> None:
    job = make_job(session, tasks=5)
    first = jobs.tasks(session, job.id, limit=3)
    assert [task.index for task in first.items] == [0, 1, 2]
    rest = jobs.tasks(session, job.id, after=first.after, limit=3)
    assert [task.index for task in rest.items] == [3, 4]
    assert jobs.tasks(session, job.id, state="failed", limit=3).items == []
    found = jobs.task(session, job.id, 4)
    assert found is not None
    assert found.input["args"] == ["4"]
    assert jobs.task(session, job.id, 5) is None


def test_attempts_and_logs_name_task_and_node(session: Session) -> None:
    job = make_job(session, tasks=2)
    node = make_node(session, name="attic")
    lease = make_lease(session, job=job, node=node)
    for task, log in zip(tasks_of(session, job), ("hello", ""), strict=True):
        make_attempt(session, task=task, lease=lease, state=AttemptState.FAILED, log_tail=log)
    page = jobs.attempts(session, job.id, limit=10)
    assert {(each.task_index, each.node_name) for each in page.items} == {
        (0, "attic"),
        (1, "attic"),
    }
    logs = jobs.logs(session, job.id, limit=10)
    assert [(each.task_index, each.attempt.log_tail) for each in logs] == [(0, "hello")]
    assert jobs.logs(session, job.id, task_index=1, limit=10) == []


def test_a_lease_is_seen_by_its_two_sides(session: Session) -> None:
    job = make_job(session)
    node = make_node(session)
    lease = make_lease(session, job=job, node=node)
    stranger = make_account(session)
    for viewer, seen in ((job.account_id, 1), (node.owner_id, 1), (stranger.id, 0), (None, 1)):
        page = leases.page(session, account_id=viewer, limit=10)
        assert len(page.items) == seen
        assert (leases.get(session, lease.id, account_id=viewer) is not None) == bool(seen)
    assert leases.page(session, account_id=None, state="expired", limit=10).items == []
    assert len(leases.page(session, account_id=None, node_id=node.id, limit=10).items) == 1
    assert [each.id for each in leases.of_job(session, job.id)] == [lease.id]


def test_transfers_are_seen_by_their_sides(session: Session) -> None:
    job = make_job(session)
    cancel(session, job)
    stranger = make_account(session)
    mine = ledger.transfers(session, view=job.account_id, limit=10)
    assert {each.kind for each in mine.items} == {"deposit", "hold", "release"}
    assert ledger.transfers(session, view=stranger.id, limit=10).items == []
    narrowed = ledger.transfers(session, view=None, job_id=job.id, kind="hold", limit=10)
    assert [each.amount_micros for each in narrowed.items] == [job.hold_micros]
    assert (
        ledger.transfers(session, view=stranger.id, account_id=job.account_id, limit=9).items == []
    )


def test_balances_begin_with_the_platforms_own(session: Session) -> None:
    tenant = make_account(session, funds_micros=7)
    everybody = ledger.balances(session, view=None)
    assert [row.name for row in everybody[:3]] == ["escrow", "issuance", "platform"]
    own = ledger.balances(session, view=tenant.id)
    assert [(row.account_id, row.posted_micros) for row in own] == [(tenant.id, 7)]


def test_rounds_and_their_outcomes(session: Session) -> None:
    job, other = make_job(session), make_job(session)
    cell = make_cell(session)
    older = make_round(session, cell=cell, created_at=NOW - SECOND)
    newer = make_round(session, cell=cell, snapshot=b"large")
    demand = {each.job_id: each.id for each in session.query(Demand)}
    for each, won in ((job, 1), (other, 0)):
        session.add(
            BidOutcome(
                round_id=newer.id,
                demand_id=demand[each.id],
                slots_asked=1,
                slots_won=won,
                loss=None if won else "outbid",
            )
        )
    session.flush()
    session.expire_all()
    page = rounds.page(session, cell_id=cell.id, limit=1)
    assert [each.id for each in page.items] == [newer.id]
    assert [
        each.id for each in rounds.page(session, cell_id=cell.id, after=page.after, limit=1).items
    ] == [older.id]
    assert [each.job_id for each in rounds.outcomes(session, newer.id, account_id=None)] == [
        job.id,
        other.id,
    ]
    seen = rounds.outcomes(session, newer.id, account_id=other.account_id)
    assert [(each.job_id, each.outcome.loss) for each in seen] == [(other.id, "outbid")]
    history = rounds.of_demand(session, demand[other.id])
    assert [(each.round_id, each.slots_won, each.loss) for each in history] == [
        (newer.id, 0, "outbid")
    ]
    assert rounds.get(session, "round_none") is None


def test_snapshots_stay_in_the_database_unless_asked_for(
    session: Session, statements: list[str]
) -> None:
    make_round(session, cell=make_cell(session), snapshot=b"large")
    session.commit()
    session.expunge_all()
    statements.clear()
    rounds.page(session, limit=10)
    assert "snapshot" not in statements[-1]


def test_prices_now_and_before(session: Session) -> None:
    cell = make_cell(session, name="attic")
    price = {"cell_id": cell.id, "resource": "cpu_millis", "utilisation": 0.5}
    session.add(StandingPrice(**price, price_micros=30.0, at=NOW))
    for k in range(3):
        session.add(Price(**price, round_id=f"round_{k}", price_micros=k, at=NOW + k * SECOND))
    session.flush()
    assert [(p.cell_name, p.price_micros) for p in rounds.standing_prices(session)] == [
        ("attic", 30.0)
    ]
    assert rounds.standing_prices(session, cell_id="cell_none") == []
    history = rounds.price_history(session, cell_id=cell.id, since=NOW + SECOND)
    assert [p.price_micros for p in history] == [1, 2]
    newest = rounds.price_history(session, cell_id=cell.id, since=NOW, limit=1)
    assert [p.price_micros for p in newest] == [2]


def test_the_book_shows_what_is_free_and_what_is_wanted(session: Session) -> None:
    cell = make_cell(session)
    reserve = {"cpu_millis": 10, "memory_bytes": 1}
    busy = make_node(session, cell=cell, reserve=reserve, capacity={"cpu_millis": 4_000})
    make_node(session, cell=cell, reserve=reserve, capacity={"cpu_millis": 4_000})
    make_node(session, cell=cell, reserve={"cpu_millis": 20}, capacity={"cpu_millis": 500})
    resources = {"cpu_millis": 1_000}
    make_job(session, leased=[(busy, 3)], resources=resources, cell=cell.id, tasks=2)
    found = {
        (level.side, level.resource, level.price_micros): (level.units, level.orders)
        for level in rounds.book(session, cell_id=cell.id)
    }
    assert found == {
        ("ask", "cpu_millis", 10): (1_000 + 4_000, 2),
        ("ask", "cpu_millis", 20): (500, 1),
        ("bid", "cpu_millis", 100_000): (2_000, 1),
    }


def test_policies_are_added_and_activated(session: Session) -> None:
    operator = make_account(session, role=Role.OPERATOR)
    row = PolicyRow(id="policy_new", name="new", body={}, created_by=operator.id, created_at=NOW)
    policies.add(session, row)
    first = policies.in_force(session)
    assert first is not None
    assert first.id == "policy_default"
    assert policies.activate(session, "policy_new", shadow=True, now=NOW + SECOND) is not None
    assert policies.in_force(session) is first
    # The default one is in force since the migration, which is not at the tests' time.
    at = session.execute(text("SELECT now() + interval '1 hour'")).scalar_one()
    policies.activate(session, "policy_new", now=max(at, NOW))
    in_force = policies.in_force(session)
    assert in_force is not None
    assert (in_force.id, in_force.shadow) == ("policy_new", False)
    assert policies.activate(session, "policy_none", now=NOW) is None
    assert policies.get(session, "policy_new") is row
    assert len(policies.page(session, limit=10).items) == 2


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_leave_nothing_out(session: Session, limit: int) -> None:
    tenant = make_account(session, funds_micros=10**9)
    made = {make_job(session, account=tenant).id for _ in range(7)}
    seen: list[str] = []
    after: Place | None = None
    while True:
        page = jobs.page(session, account_id=tenant.id, after=after, limit=limit)
        seen += [record.job.id for record in page.items]
        after = page.after
        if after is None:
            break
    assert (sorted(seen), len(seen)) == (sorted(made), 7)
