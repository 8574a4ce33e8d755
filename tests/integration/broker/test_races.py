"""Two that act on the same work at the same moment: one of them wins, and money moves once."""

import datetime as dt
import threading
import time

import pytest
from sqlalchemy import select, text

from allocator.least_finish import LeastFinish
from broker.plan_apply import apply_plan
from broker.reconcile import Reconciler
from broker.services.placing import place_jobs
from broker.services.settlement import JobEnd, end_jobs
from db.control import reconciling
from db.errors import run_in_transaction
from db.invariants import invariants
from db.tables import Attempt, Job, Lease, Transfer
from market.lifecycle import EndReason, JobState
from tests.factories import NOW, make_attempt, make_job, make_lease, make_node, tasks_of
from tests.integration.broker.work import LATER, placed, report, send

FEE = 200
TIMES = 12  # so many pairs race in each test, each started by a barrier


def race(*works):
    """Run all at once; their results. What one raises is raised here."""
    barrier, results, errors = threading.Barrier(len(works)), [None] * len(works), []

    def run(k, work):
        try:
            barrier.wait()
            results[k] = work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    if errors:
        raise errors[0]
    return results


@pytest.fixture
def books(session):
    """The ledger's invariants hold at the end."""
    yield
    session.expire_all()
    assert [each for each in invariants(session) if not each.ok] == []


def settled(session, job):
    """Kinds of the transfers of a job: one hold, and what resolved it once."""
    kinds = session.scalars(select(Transfer.kind).where(Transfer.job_id == job)).all()
    assert kinds.count("hold") == 1
    assert kinds.count("charge") + kinds.count("release") == 1
    return kinds


ENDS = {
    "cancel": JobEnd(job_id="", state=JobState.CANCELLED, reason=EndReason.CANCELLED_BY_USER),
    "expiry": JobEnd(job_id="", state=JobState.EXPIRED, reason=EndReason.MAX_TOTAL),
}


@pytest.mark.parametrize("other", [*ENDS, "revoked", "the same result"])
def test_a_result_against(sessions, session, books, other):
    works = [placed(session) for _ in range(TIMES)]
    for work in works:
        send(session, work.node, report(work.attempts[0], work.fence, "running"), now=NOW)
    session.commit()
    for work in works:
        end = report(work.attempts[0], work.fence, "succeeded")

        def result(work=work, end=end):
            return run_in_transaction(sessions, lambda s: send(s, work.node, end))

        def against(work=work):
            if other == "the same result":
                return result(work)
            if other == "revoked":
                with sessions.begin() as one:
                    one.execute(
                        text("UPDATE nodes SET state = 'revoked' WHERE id = :id"), {"id": work.node}
                    )
                return reconciler(sessions).take("doomed", reconciler(sessions).doomed)
            how = ENDS[other]
            one_end = JobEnd(job_id=work.job, state=how.state, reason=how.reason)
            return run_in_transaction(
                sessions, lambda s: end_jobs(s, [one_end], fee_basis_points=FEE, now=LATER)
            )

        race(result, against)
    session.expire_all()
    for work in works:
        job = session.get(Job, work.job)
        if job.ended_at is None:  # revoked first: to be tried elsewhere, nothing is charged yet
            assert other == "revoked"
            assert session.get(Attempt, work.attempts[0]).state == "lost"
            assert session.get(Attempt, work.attempts[0]).chargeable_ms == 0
            continue
        kinds = settled(session, work.job)
        assert kinds.count("payout") == (job.cost_micros > 0)


def reconciler(sessions):
    return Reconciler(
        sessions=sessions,
        clock=lambda: LATER,
        listening_s=lambda: 1e9,
        silent_after_s=20.0,
        lost_after_s=60.0,
        fee_basis_points=FEE,
    )


def test_two_dispatchers_place_each_task_once(sessions, session, books):
    node = make_node(session)
    jobs = [make_job(session, tasks=6, leased=[(node, 3)]).id for _ in range(4)]
    session.execute(text("UPDATE jobs SET state = 'matched'"))
    session.commit()

    def place(order):
        return lambda: run_in_transaction(
            sessions,
            lambda s: place_jobs(
                s, order, allocator=LeastFinish(), fee_basis_points=FEE, now=NOW, seed=1
            ),
        )

    race(place(jobs), place(jobs[::-1]), place(jobs))
    session.expire_all()
    attempts = session.scalars(select(Attempt)).all()
    assert len({attempt.task_id for attempt in attempts}) == len(attempts)
    per_lease = {}
    for attempt in attempts:
        per_lease[attempt.lease_id] = per_lease.get(attempt.lease_id, 0) + 1
    assert set(per_lease.values()) == {6}  # three slots and one task ahead for each


def test_a_lease_that_got_work_meanwhile_is_not_given_back(sessions, session):
    """A task comes back and is placed between the look at the lease and its lock."""
    work = placed(session, tasks=2, running=1)
    session.execute(text("UPDATE tasks SET state = 'placed' WHERE state = 'queued'"))
    send(session, work.node, report(work.attempts[0], work.fence, "succeeded"))
    job = session.get(Job, work.job)
    from db.tables import Node

    idle = make_lease(session, job=job, node=session.get(Node, work.node)).id
    session.commit()
    session.execute(text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE"), {"id": work.job})
    lease = session.get(Lease, idle)
    make_attempt(session, task=tasks_of(session, job)[1], lease=lease)
    given_back = []

    def look():
        with sessions.begin() as late:
            given_back.extend(reconciling.unneeded_leases(late, older_than=LATER))

    thread = threading.Thread(target=look)
    thread.start()
    wait_for_a_blocked_one(sessions)
    session.commit()
    thread.join(30)
    assert idle not in given_back
    assert given_back == [work.lease]  # which has nothing left to do indeed


def wait_for_a_blocked_one(sessions):
    until = time.monotonic() + 20
    with sessions() as watcher:
        while not watcher.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            )
        ).scalar_one():
            watcher.rollback()
            assert time.monotonic() < until, "nobody waits for the lock"
            time.sleep(0.01)


def test_two_rounds_do_not_sell_a_slot_twice(sessions, session, books):
    """Two workers apply plans of the same snapshot: the node has room for one of them."""
    from broker.services.shares import Shares
    from broker.services.snapshots import build_snapshot, current_policy, read_rows
    from db.control import rounds
    from market.mechanisms import get

    node = make_node(session)
    for _ in range(4):
        make_job(session, cell=node.cell_id, tasks=4)  # 16 cores are wanted, 4 are there
    session.commit()
    policy = current_policy(session, mechanism="greedy")

    def snapshot(number):
        bids = rounds.read_bids(session, node.cell_id, most=100)
        rows = read_rows(
            session, cells=[node.cell_id], bids=bids, policy=policy, shares=Shares(), now=NOW
        )
        return build_snapshot(
            rows, round_id=f"round_{number}", cell=node.cell_id, policy=policy, now=NOW, seed=number
        )

    made = [snapshot(number) for number in range(3)]
    plans = [get("greedy").clear(each, budget_ms=1_000) for each in made]
    session.rollback()

    def apply(each, plan):
        return lambda: run_in_transaction(
            sessions,
            lambda s: apply_plan(s, each, plan, now=NOW, packed=None, every_loser=True),
        )

    applied = race(*(apply(each, plan) for each, plan in zip(made, plans, strict=True)))
    assert sum(each.slots_applied for each in applied) == 4
    session.expire_all()
    assert sum(lease.slots for lease in session.scalars(select(Lease))) == 4


def test_many_holds_of_one_purse_are_never_more_than_it_holds(sessions, session, books):
    from broker.services import jobs as use_case
    from db.ledger import InsufficientFunds
    from db.tables import Balance
    from tests.factories import make_account, make_artifact, spec_of

    tenant = make_account(session, funds_micros=35_000)
    make_artifact(session, tenant)
    make_node(session)
    session.commit()

    def submit():
        try:
            with sessions.begin() as one:
                use_case.submit(one, account_id=tenant.id, spec=spec_of(), now=NOW)
        except InsufficientFunds:
            return 0
        return 1

    assert sum(race(*[submit] * 8)) == 3  # 10,000 each
    session.expire_all()
    balance = session.get(Balance, tenant.id)
    assert (balance.posted_micros, balance.held_micros) == (35_000, 30_000)


def test_money_spent_while_it_is_withdrawn_is_spent_once(sessions, session, books):
    from db.ledger import InsufficientFunds, NewTransfer, hold_of_job, post_transfers
    from db.tables import ISSUANCE, TransferKind
    from tests.factories import make_account, number

    tenant = make_account(session, funds_micros=10_000)
    session.commit()

    def post(transfer):
        def run():
            try:
                with sessions.begin() as one:
                    post_transfers(one, [transfer], now=NOW)
            except InsufficientFunds:
                return 0
            return 1

        return run

    withdrawal = NewTransfer(
        key=f"withdrawal:{number()}", kind=TransferKind.WITHDRAWAL, debit_id=tenant.id,
        credit_id=ISSUANCE, amount_micros=10_000,
    )  # fmt: skip
    hold = hold_of_job(job_id="job_x", account_id=tenant.id, amount_micros=10_000)
    assert sum(race(post(withdrawal), post(hold))) == 1


def test_the_window_of_a_lease_against_its_result(sessions, session, books):
    """The reconciler gives a lease up while its node's last report arrives."""
    works = [placed(session) for _ in range(TIMES)]
    session.execute(text("UPDATE leases SET ends_at = :at"), {"at": NOW + dt.timedelta(seconds=5)})
    session.commit()
    looks = reconciler(sessions)
    results = [
        lambda work=work: run_in_transaction(
            sessions,
            lambda s: send(s, work.node, report(work.attempts[0], work.fence, "succeeded")),
        )
        for work in works
    ]
    race(*results, lambda: looks.take("doomed", looks.doomed))
    session.expire_all()
    for work in works:
        job, attempt = session.get(Job, work.job), session.get(Attempt, work.attempts[0])
        assert (job.state, attempt.state) in {("succeeded", "succeeded"), ("queued", "lost")}
