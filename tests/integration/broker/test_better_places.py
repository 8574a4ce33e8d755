"""Healthy work that moves to a clearly better place: once, paid for, and within the hold."""

import datetime as dt
import threading
from dataclasses import replace

import pytest
from sqlalchemy import event, select, text

from allocator.least_finish import LeastFinish
from broker.reconcile import Reconciler
from broker.services import better_places
from broker.services.explain import explain_job
from broker.services.job_spec import Disconnect, Limits, Qos
from broker.services.placing import place_jobs
from db.control import placing
from db.errors import run_in_transaction
from db.invariants import invariants
from db.tables import (
    Attempt,
    Balance,
    Cell,
    Demand,
    Event,
    Job,
    Lease,
    Node,
    OutboxMessage,
    PolicyRow,
    Transfer,
)
from edge_agent.wire import Usage
from tests.factories import (
    CODE_DIGEST,
    NOW,
    make_attempt,
    make_cell,
    make_job,
    make_lease,
    make_node,
    tasks_of,
)
from tests.integration.broker.test_races import race, wait_for_a_blocked_one
from tests.integration.broker.work import report, send

AT = NOW + dt.timedelta(seconds=10)
AFTER = AT + dt.timedelta(seconds=5)
FAST = 1_000_000_000  # ten times as fast as the factory's nodes, which are ten reference cores
WORST = 1_667  # micros: one run of a minute at the limit of 100,000 an hour


def reconciler(sessions, at):
    return Reconciler(
        sessions=sessions, clock=lambda: at, listening_s=lambda: 60.0, silent_after_s=10.0,
        lost_after_s=15.0, fee_basis_points=200,
    )  # fmt: skip


@pytest.fixture
def look(session, sessions):
    """Lets the reconciler look for better places; how many attempts it moved."""

    def take(*, at=AT):
        session.commit()
        one = reconciler(sessions, at)
        done = one.take_each("bettered", one.purchases()["bettered"])
        session.expire_all()
        return done

    return take


def working(
    session, *, elapsed_s=1, fast=FAST, tasks=1, running=1, code_bytes=100, core=10, **fields
):
    """A job whose first tasks run in one lease, twenty seconds each there and two on a fast node.

    Its hold is just what it can cost: the longest run of each task at the limit.
    """
    cell = make_cell(session)
    node = make_node(session, cell=cell)
    if fast:
        make_node(session, cell=cell, calibration_ops_per_s=fast, reserve={"cpu_millis": core})
    fields = {"qos": Qos(work_ms=200_000), "budget_micros": WORST * tasks, **fields}
    job = make_job(session, cell=cell.id, tasks=tasks, **fields)
    lease = make_lease(session, job=job, node=node, slots=running)
    attempts = []
    for task in tasks_of(session, job)[:running]:
        started = AT - dt.timedelta(seconds=elapsed_s)
        attempt = make_attempt(session, task=task, lease=lease, started_at=started)
        task.state, task.attempts = "placed", attempt.number
        attempts.append(attempt)
    job.state = "running"
    session.flush()
    session.execute(text("UPDATE demands SET state = 'filled', count_open = 0"))
    values = {"size": code_bytes, "digest": CODE_DIGEST}
    session.execute(text("UPDATE artifacts SET size_bytes = :size WHERE digest = :digest"), values)
    return job, attempts


def newest(session, job):
    """The newest attempt of a job's only task."""
    return session.scalars(
        select(Attempt).where(Attempt.job_id == job.id).order_by(Attempt.number.desc())
    ).first()


def newest_live(session, job):
    return session.scalars(
        select(Attempt).where(Attempt.job_id == job.id, Attempt.state == "assigned")
    ).one()


def quarantine(session, sessions, node):
    """Shut a node out: its leases end, what ran there is lost."""
    values = {"node": node}
    session.execute(text("UPDATE nodes SET state = 'quarantined' WHERE id = :node"), values)
    session.commit()
    one = reconciler(sessions, AFTER)
    one.take("doomed", one.doomed)
    session.expire_all()


def test_work_moves_to_a_much_faster_place_that_is_free(session, look):
    job, (old,) = working(session)
    tries = tasks_of(session, job)[0].retries_left
    assert look() == 1
    ended = session.get(Attempt, old.id)
    assert (ended.state, ended.reason, ended.chargeable_ms) == ("cancelled", "moved", 1_000)
    new = newest(session, job)
    assert (new.state, new.number) == ("assigned", old.number + 1)
    assert session.get(Node, new.node_id).calibration_ops_per_s == FAST
    lease = session.get(Lease, new.lease_id)
    assert new.fence == lease.epoch != old.fence
    assert lease.rate_micros_per_hour <= job.limit_micros_per_hour
    (task,) = tasks_of(session, job)
    assert (task.state, task.attempts, task.retries_left) == ("placed", new.number, tries)
    left = session.get(Lease, old.lease_id)
    assert (left.state, left.state_reason, left.charge_micros) == ("released", "moved", 10)
    (command,) = session.scalars(select(OutboxMessage)).all()
    assert (command.node_id, command.type) == (old.node_id, "cancel")
    assert command.data == {"attempts": [old.id], "reason": "moved"}


def test_a_move_is_told_and_explained(session, look):
    job, (old,) = working(session)
    look()
    told = session.scalars(select(Event).where(Event.kind == "lease.moved")).one()
    assert (told.subject_id, told.data["slots"]) == (job.id, 1)
    assert told.data["why"] == session.get(Attempt, old.id).detail
    assert told.data["why"].startswith("task 0 would take 19.0 s more at 0.036 credits an hour")
    assert told.data["why"].endswith("the 1.0 s that it ran are paid, 0.00001")
    found = explain_job(session, job.id, account_id=job.account_id, now=AT)
    assert found.rounds[0].detail == told.data["why"]


def test_the_order_of_moved_work_is_due_at_once(session, look):
    job, _ = working(session)
    look()
    orders = placing.take_resends(session, now=AT, overdue_ms=15_000, queue=6, most=10)
    assert [order.attempt_id for order in orders] == [newest(session, job).id]


def test_a_task_moves_once(session, look):
    # 200 s here, 20 s there, and 2 s on a node that comes then.
    job, _ = working(session, qos=Qos(work_ms=2_000_000), limits=Limits(max_run_ms=600_000),
                     budget_micros=10 * WORST)  # fmt: skip
    assert look() == 1
    cell = session.get(Cell, session.get(Node, newest(session, job).node_id).cell_id)
    make_node(session, cell=cell, calibration_ops_per_s=10 * FAST)
    session.execute(text("UPDATE attempts SET state = 'running', started_at = :at"
                         " WHERE state = 'assigned'"), {"at": AT})  # fmt: skip
    assert look(at=AFTER) == 0


def test_work_moves_to_a_much_cheaper_place_that_is_as_fast(session, look):
    job, _ = working(session, fast=10**8, core=10)
    assert look() == 1
    rate = session.get(Lease, newest(session, job).lease_id).rate_micros_per_hour
    assert rate < 100


def test_work_that_would_be_late_moves_where_it_is_in_time(session, look):
    # 15 s are left of 25: 19 more here, at a third of the speed of the other place 6.7.
    working(session, fast=3 * 10**8, qos=Qos(work_ms=200_000, deadline_ms=25_000))
    assert look() == 1
    told = session.scalars(select(Event).where(Event.kind == "lease.moved")).one()
    assert "19.0 s more, too late," in told.data["why"]


def test_work_of_measured_length_moves(session, look):
    """Nobody said how long a task takes; one has taken 20 s on a node as fast as this one."""
    job, (old,) = working(session, tasks=2, qos=Qos())
    other = tasks_of(session, job)[1]
    make_attempt(session, task=other, lease=session.get(Lease, old.lease_id), state="succeeded",
                 wall_ms=20_000, ended_at=AT)  # fmt: skip
    other.state, job.tasks_succeeded = "succeeded", 1
    assert look() == 1


@pytest.mark.parametrize(
    "case",
    [
        {"fast": 0},  # there is no other place
        {"fast": 10**8, "core": 20_000},  # as fast as here, and not much cheaper
        {"elapsed_s": 12},  # eight seconds are not worth a move
        {"code_bytes": 10**9},  # more than a minute to bring it there
        {"qos": Qos()},  # nobody knows how long it takes
        {"qos": Qos(work_ms=200_000), "disconnect": Disconnect(replace=False)},  # refused
        {"tasks": 2},  # a better place is of more use to the task that waits
        {"limits": Limits(max_total_ms=12_000)},  # 2 s are left: late there, too
        {"budget_micros": 10},  # all of it goes for what has run
        # 550 are left for each: pays for the new place, but not for the lease that the other keeps
        {"tasks": 2, "running": 2, "budget_micros": 1_110},
    ],
)
def test_work_stays_where_a_move_does_not_clearly_pay(session, look, case):
    job, attempts = working(session, **case)
    assert look() == 0
    assert {session.get(Attempt, each.id).state for each in attempts} == {"running"}
    assert [lease.id for lease in session.scalars(select(Lease))] == [attempts[0].lease_id]
    demand = session.scalars(select(Demand)).one()
    assert (demand.state, demand.count_open) == ("filled", 0)
    assert demand.limit_micros_per_hour == job.limit_micros_per_hour


def test_an_operator_turns_moving_off(session, look):
    working(session)
    session.add(
        PolicyRow(id="policy_still", name="still", body={"parameters": {"moving": 0.0}},
                  created_by="", created_at=NOW, activated_at=AT, shadow=False)
    )  # fmt: skip
    assert look() == 0


def test_a_lease_with_other_work_lives_on(session, look):
    _, attempts = working(session, tasks=2, running=2)
    assert look() == 1
    states = sorted(session.get(Attempt, each.id).state for each in attempts)
    assert states == ["cancelled", "running"]
    assert session.get(Lease, attempts[0].lease_id).state == "active"
    assert look(at=AT + dt.timedelta(seconds=1)) == 1  # the next look takes the other
    assert session.get(Lease, attempts[0].lease_id).state == "released"


def finish(session, job, *, wall_ms=2_000):
    """The new place runs the work to its end; the transfers by kind."""
    new = newest(session, job)
    done = replace(report(new.id, new.fence, "succeeded"), usage=Usage(wall_ms=wall_ms))
    send(session, new.node_id, done, now=AFTER)
    session.commit()
    session.expire_all()
    return session.scalars(select(Transfer).where(Transfer.job_id == job.id)).all()


def test_both_owners_are_paid_once_for_what_they_ran(session, look):
    job, (old,) = working(session)
    look()
    rate = session.get(Lease, newest(session, job).lease_id).rate_micros_per_hour
    transfers = finish(session, job)
    ended = session.get(Job, job.id)
    new_charge = -(-rate * 2_000 // 3_600_000)
    assert (ended.state, ended.cost_micros) == ("succeeded", 10 + new_charge)
    assert sorted(each.kind for each in transfers if each.kind != "fee") == [
        "charge", "hold", "payout", "payout"
    ]  # fmt: skip
    paid = {each.lease_id: each.amount_micros for each in transfers if each.kind == "payout"}
    assert paid[old.lease_id] == 10
    assert [each for each in invariants(session) if not each.ok] == []


def test_a_late_result_of_the_old_attempt_is_stale(session, look):
    job, (old,) = working(session)
    look()
    outcome = send(session, old.node_id, report(old.id, old.fence, "succeeded"), now=AFTER)
    assert outcome.stale == {old.node_id: {old.id}}
    stopped = send(session, old.node_id, report(old.id, old.fence, "cancelled", reason="moved"),
                   now=AFTER)  # fmt: skip
    assert (stopped.stale, stopped.repeated) == ({}, 1)
    assert session.get(Attempt, old.id).chargeable_ms == 1_000
    assert session.get(Job, job.id).state == "running"
    finish(session, job)
    assert session.get(Job, job.id).state == "succeeded"


def test_the_rest_of_the_hold_bears_that_the_new_place_dies(session, sessions, look):
    """No money is short: the job bids for a third place with what is left, and ends within it."""
    job, (old,) = working(session)
    look()
    demand = session.scalars(select(Demand)).one()
    assert demand.limit_micros_per_hour == (WORST - 10) * 60  # of one minute
    new = newest(session, job)
    quarantine(session, sessions, new.node_id)
    assert session.get(Attempt, new.id).state == "lost"
    assert session.get(Attempt, new.id).chargeable_ms == 0
    demand = session.scalars(select(Demand)).one()
    assert (demand.state, demand.count_open) == ("open", 1)
    assert session.get(Job, job.id).ended_at is None
    third = make_lease(session, job=session.get(Job, job.id), node=session.get(Node, old.node_id),
                       starts_at=NOW - dt.timedelta(minutes=1),
                       rate_micros_per_hour=demand.limit_micros_per_hour)  # fmt: skip
    placed = place_jobs(session, [job.id], allocator=LeastFinish(), fee_basis_points=200, now=AFTER,
                        seed=1)  # fmt: skip
    assert [order.lease_id for order in placed.orders] == [third.id]
    session.execute(text("UPDATE attempts SET assigned_at = :at WHERE state = 'assigned'"),
                    {"at": NOW - dt.timedelta(minutes=1)})  # fmt: skip
    transfers = finish(session, job, wall_ms=60_000)
    assert session.get(Job, job.id).cost_micros == WORST  # at its longest and dearest
    paid = {each.lease_id: each.amount_micros for each in transfers if each.kind == "payout"}
    assert paid[old.lease_id] == 10  # in full
    assert [each for each in invariants(session) if not each.ok] == []
    assert session.get(Balance, job.account_id).held_micros == 0


def test_a_tight_hold_bids_on_with_what_is_left(session, sessions, look):
    """1,672 are left of it, 10 go for what ran: too little for a run at the job's own limit."""
    job, (old,) = working(session, tasks=2, running=1, budget_micros=50 + WORST + 5)
    done = tasks_of(session, job)[1]
    make_attempt(session, task=done, lease=session.get(Lease, old.lease_id), state="succeeded",
                 wall_ms=20_000, chargeable_ms=5_000, ended_at=AT)  # fmt: skip
    done.state, job.tasks_succeeded = "succeeded", 1
    assert look() == 1
    quarantine(session, sessions, newest_live(session, job).node_id)
    assert session.get(Job, job.id).ended_at is None
    demand = session.scalars(select(Demand)).one()
    assert (demand.state, demand.limit_micros_per_hour) == ("open", (WORST + 5 - 10) * 60)
    make_lease(session, job=session.get(Job, job.id), node=session.get(Node, old.node_id))
    placed = place_jobs(session, [job.id], allocator=LeastFinish(), fee_basis_points=200, now=AFTER,
                        seed=1)  # fmt: skip
    assert (len(placed.orders), placed.ended) == (1, [])


def test_a_result_just_before_a_move_is_seen(session, sessions):
    """The move waits for the lock of the job, and then moves the other task."""
    job, (first, second) = working(session, tasks=2, running=2)
    first.assigned_at = AT - dt.timedelta(seconds=20)
    second.started_at = AT - dt.timedelta(seconds=4)  # gains less
    session.commit()
    done = replace(report(first.id, first.fence, "succeeded"), usage=Usage(wall_ms=20_000))
    send(session, first.node_id, done, now=AT)
    moved = []

    def move():
        with sessions.begin() as late:
            moved.append(better_places.better_job(late, job.id, now=AT))

    thread = threading.Thread(target=move)
    thread.start()
    wait_for_a_blocked_one(sessions)
    session.commit()
    thread.join(30)
    session.expire_all()
    assert moved == [1]
    assert session.get(Attempt, first.id).state == "succeeded"
    assert session.get(Attempt, second.id).reason == "moved"


def test_a_result_against_a_move(session, sessions):
    """Whoever locks the job first wins: paid once for the run, or for the part of it."""
    works = [working(session) for _ in range(8)]
    session.commit()
    for job, (old,) in works:
        done = report(old.id, old.fence, "succeeded")
        node, job_id = old.node_id, job.id

        def result(node=node, done=done):
            return run_in_transaction(sessions, lambda s: send(s, node, done, now=AT))

        def move(job_id=job_id):
            return run_in_transaction(
                sessions, lambda s: better_places.better_job(s, job_id, now=AT)
            )

        race(result, move)
    session.expire_all()
    for job, (old,) in works:
        ended = session.get(Attempt, old.id)
        job = session.get(Job, job.id)
        if ended.state == "succeeded":
            assert job.state == "succeeded"
            assert newest(session, job).id == old.id
            continue
        assert (ended.state, ended.reason, ended.chargeable_ms) == ("cancelled", "moved", 1_000)
        assert job.ended_at is None
        finish(session, job)
        assert session.get(Job, job.id).state == "succeeded"
    kinds = session.scalars(select(Transfer.kind)).all()
    assert kinds.count("charge") == len(works)
    assert [each for each in invariants(session) if not each.ok] == []


def test_a_look_costs_two_statements_where_nothing_runs_long(session):
    working(session, qos=Qos(work_ms=20_000))  # two seconds
    session.commit()
    seen = []
    bind = session.get_bind()

    def note(*args):
        seen.append(args[2])

    event.listen(bind, "before_cursor_execute", note)
    try:
        assert better_places.jobs_with_better_places(session, AT) == []
    finally:
        event.remove(bind, "before_cursor_execute", note)
    assert len(seen) == 2  # the policy, and what runs


def test_the_jobs_that_gain_most_move_first_and_only_so_many(session, monkeypatch):
    monkeypatch.setattr(better_places, "MOVES_MAX", 2)
    gains = {}
    for work_ms in (200_000, 400_000, 300_000):
        job, _ = working(session, qos=Qos(work_ms=work_ms))
        gains[work_ms] = job.id
    session.commit()
    found = better_places.jobs_with_better_places(session, AT)
    assert found == [gains[400_000], gains[300_000]]
