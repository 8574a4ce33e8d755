"""The reconciler on a real database: what time changes, found again from the rows alone."""

import datetime as dt

import pytest
from sqlalchemy import select, text

from broker.reconcile import Reconciler
from db.invariants import invariants
from db.tables import Attempt, Demand, Event, Job, Lease, Node, OutboxMessage, Task
from tests.factories import NOW
from tests.integration.broker.work import LATER, placed, report, send

SILENT_S, LOST_S = 20.0, 60.0


def after(seconds):
    return NOW + dt.timedelta(seconds=seconds)


@pytest.fixture
def reconcile(sessions, session):
    def run(*, at, listening_s=1e9):
        session.commit()
        done = Reconciler(
            sessions=sessions,
            clock=lambda: at,
            listening_s=lambda: listening_s,
            silent_after_s=SILENT_S,
            lost_after_s=LOST_S,
            fee_basis_points=200,
        ).run()
        session.expire_all()
        return done

    yield run
    session.expire_all()
    assert [each for each in invariants(session) if not each.ok] == []


def offline(session, work, *, since=NOW):
    session.execute(
        text("UPDATE nodes SET state = 'offline', silent_since = :since WHERE id = :id"),
        {"since": since, "id": work.node},
    )


def test_nothing_to_do_does_nothing(session, reconcile):
    placed(session)
    assert reconcile(at=after(1)) == {}


def test_a_silent_node_is_offline_and_its_work_unknown(session, reconcile):
    work = placed(session)
    done = reconcile(at=after(SILENT_S + 1))
    assert done == {"silent": 1, "cut_off": 1}
    assert session.get(Node, work.node).state == "offline"
    assert session.get(Attempt, work.attempts[0]).state == "unknown"
    kinds = session.scalars(select(Event.kind).where(Event.subject_id == work.node)).all()
    assert kinds == ["node.offline"]


def test_silence_counts_only_while_somebody_listens(session, reconcile):
    work = placed(session)
    assert reconcile(at=after(SILENT_S + 1), listening_s=SILENT_S - 1) == {}
    assert session.get(Node, work.node).state == "online"


def test_a_draining_node_that_falls_silent_stays_drained(session, reconcile):
    work = placed(session)
    session.execute(
        text("UPDATE nodes SET state = 'draining', state_reason = 'drained on request'")
    )
    reconcile(at=after(SILENT_S + 1))
    node = session.get(Node, work.node)
    assert (node.state, node.state_reason) == ("offline", "drained on request")


def test_work_of_a_lost_node_is_tried_elsewhere(session, reconcile):
    work = placed(session, tasks=2)
    offline(session, work)
    reconcile(at=after(16))  # the job's lost_after is 15 s
    attempt = session.get(Attempt, work.attempts[0])
    assert (attempt.state, attempt.reason) == ("lost", "agent_lost")
    task = session.get(Task, work.tasks[0])
    assert (task.state, task.retries_left) == ("queued", 3)
    lease = session.get(Lease, work.lease)
    assert (lease.state, lease.state_reason) == ("revoked", "agent_lost")
    demand = session.scalars(select(Demand).where(Demand.job_id == work.job)).one()
    assert (demand.state, demand.count_open) == ("open", 2)
    assert session.get(Job, work.job).state == "queued"  # nothing of it had begun
    assert session.get(Node, work.node).reliability_all == pytest.approx(2)
    commands = session.scalars(select(OutboxMessage)).all()
    assert [command.type for command in commands] == ["cancel"]
    assert send(session, work.node, report(work.attempts[0], work.fence, "succeeded")).stale


def test_a_job_bears_silence_for_as_long_as_it_says(session, reconcile):
    work = placed(session)
    offline(session, work)
    assert "doomed" not in reconcile(at=after(14))
    assert session.get(Attempt, work.attempts[0]).state == "unknown"


def test_work_that_may_not_be_replaced_fails_with_its_node(session, reconcile):
    from broker.services.job_spec import Disconnect

    work = placed(session, disconnect=Disconnect(lost_after_ms=1_000, replace=False))
    offline(session, work)
    reconcile(at=after(2))
    task, job = session.get(Task, work.tasks[0]), session.get(Job, work.job)
    assert (task.state, task.end_reason) == ("failed", "agent_lost")
    assert (job.state, job.end_reason, job.cost_micros) == ("failed", "task_failed", 0)


@pytest.mark.parametrize("state", ["quarantined", "revoked"])
def test_a_node_that_is_shut_out_loses_its_work_at_once(session, reconcile, state):
    work = placed(session)
    session.execute(text("UPDATE nodes SET state = :state"), {"state": state})
    reconcile(at=after(1))
    assert session.get(Lease, work.lease).state_reason == state
    assert session.get(Attempt, work.attempts[0]).state == "lost"


def test_a_draining_node_ends_what_it_is_at_and_gets_nothing_new(session, reconcile):
    work = placed(session, tasks=2, running=1)
    session.execute(text("UPDATE nodes SET state = 'draining'"))
    reconcile(at=after(1))
    assert session.get(Attempt, work.attempts[0]).state == "assigned"
    assert session.get(Lease, work.lease).state == "active"
    send(session, work.node, report(work.attempts[0], work.fence, "succeeded"), now=after(5))
    reconcile(at=after(6))
    assert session.get(Lease, work.lease).state_reason == "drained"
    demand = session.scalars(select(Demand).where(Demand.job_id == work.job)).one()
    assert (demand.state, demand.count_open) == ("open", 1)
    assert session.get(Job, work.job).state == "running"


def test_a_lease_ends_with_its_window(session, reconcile):
    work = placed(session)
    session.execute(text("UPDATE leases SET ends_at = :at"), {"at": after(10)})
    reconcile(at=after(14))  # the node has five seconds to say so itself
    assert session.get(Lease, work.lease).state == "active"
    reconcile(at=after(16))
    assert session.get(Lease, work.lease).state == "expired"
    assert session.get(Attempt, work.attempts[0]).reason == "lease_expired"
    assert session.get(Task, work.tasks[0]).state == "queued"


@pytest.mark.parametrize(("deadline_ms", "reason"), [(0, "max_total"), (5_000, "deadline")])
def test_a_job_ends_with_its_time(session, reconcile, deadline_ms, reason):
    from broker.services.job_spec import Limits, Qos

    work = placed(session, limits=Limits(max_total_ms=9_000), qos=Qos(deadline_ms=deadline_ms))
    reconcile(at=after(10))
    job = session.get(Job, work.job)
    assert (job.state, job.end_reason) == ("expired", reason)
    assert session.get(Attempt, work.attempts[0]).state == "cancelled"
    assert session.get(Lease, work.lease).state == "released"


def test_a_wished_cancel_ends_the_job(session, reconcile):
    work = placed(session)
    session.execute(text("UPDATE jobs SET cancel_requested_at = :at"), {"at": LATER})
    assert reconcile(at=LATER)["cancelled"] == 1
    job = session.get(Job, work.job)
    assert (job.state, job.end_reason, job.cost_micros) == ("cancelled", "cancelled_by_user", 0)


def test_an_end_that_nobody_wrote_is_written(session, reconcile):
    work = placed(session)
    session.execute(text("UPDATE jobs SET tasks_succeeded = 1"))
    session.execute(text("UPDATE tasks SET state = 'succeeded'"))
    session.execute(text("UPDATE attempts SET state = 'succeeded', chargeable_ms = 1000"))
    reconcile(at=after(1))
    job = session.get(Job, work.job)
    assert (job.state, job.cost_micros) == ("succeeded", 10)


def test_a_lease_without_work_is_given_back(session, reconcile):
    work = placed(session, tasks=2)
    send(session, work.node, report(work.attempts[0], work.fence, "succeeded"))
    node, lease = session.get(Node, work.node), session.get(Lease, work.lease)
    from tests.factories import make_lease

    idle = make_lease(session, job=session.get(Job, work.job), node=node).id
    assert "unneeded" not in reconcile(at=after(1))
    assert reconcile(at=after(3))["unneeded"] == 1
    assert session.get(Lease, idle).state == "released"
    assert session.get(Lease, lease.id).state == "active"


def test_tasks_without_a_lease_bid_again(session, reconcile):
    work = placed(session, tasks=3, running=0)
    session.execute(text("UPDATE leases SET state = 'revoked', ended_at = :at"), {"at": NOW})
    assert reconcile(at=after(1))["unplaced"] == 1
    demand = session.scalars(select(Demand).where(Demand.job_id == work.job)).one()
    assert (demand.state, demand.count_open) == ("open", 3)
    assert "unplaced" not in reconcile(at=after(1))  # it has asked


@pytest.mark.parametrize(
    ("state", "wished_after_s", "cost_micros"),
    [
        ("running", 20, 200),  # 20 s from the start that we saw, at 10 micros a second
        ("running", 0, 0),  # it began when its end had been asked for
        ("accepted", 20, 0),  # it waited on its node
        ("unknown", 20, 0),  # its node is silent: nobody knows that it ran
    ],
)
def test_what_ran_until_its_tenant_stopped_it_is_paid(
    session, reconcile, state, wished_after_s, cost_micros
):
    work = placed(session)
    send(session, work.node, report(work.attempts[0], work.fence, "running"), now=NOW)
    session.execute(text("UPDATE attempts SET state = :state"), {"state": state})
    session.execute(
        text("UPDATE jobs SET cancel_requested_at = :at"), {"at": after(wished_after_s)}
    )
    if state == "unknown":
        offline(session, work, since=after(19))
    assert reconcile(at=after(25))["cancelled"] == 1
    assert session.get(Job, work.job).cost_micros == cost_micros


@pytest.mark.parametrize(("deadline_ms", "cost_micros"), [(0, 90), (9_000, 0)])
def test_a_missed_deadline_is_not_the_tenants_to_pay_its_time_limit_is(
    session, reconcile, deadline_ms, cost_micros
):
    from broker.services.job_spec import Limits, Qos

    work = placed(session, limits=Limits(max_total_ms=9_000), qos=Qos(deadline_ms=deadline_ms))
    send(session, work.node, report(work.attempts[0], work.fence, "running"), now=NOW)
    reconcile(at=after(9))
    assert session.get(Job, work.job).cost_micros == cost_micros
