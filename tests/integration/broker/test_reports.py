"""Reports of attempts on a real database: fences, repeats, retries, results, ends."""

import datetime as dt

import pytest
from sqlalchemy import select, text

from db.invariants import invariants
from db.tables import (
    Artifact,
    ArtifactGrant,
    Attempt,
    Demand,
    Event,
    Job,
    Lease,
    Node,
    Task,
    Transfer,
)
from edge_agent.wire import Usage
from tests.factories import NOW, make_node
from tests.integration.broker.work import LATER, MemoryStore, placed, report, result, send


def fresh(session, table, id):
    session.expire_all()
    return session.get(table, id)


def test_a_success_ends_pays_and_keeps_its_result(session):
    work, store = placed(session), MemoryStore()
    outcome = send(session, work.node, report(work.attempts[0], work.fence, "succeeded"),
                   store=store)  # fmt: skip
    assert outcome.ended_jobs == [work.job]
    job = fresh(session, Job, work.job)
    assert (job.state, job.tasks_succeeded) == ("succeeded", 1)
    assert job.cost_micros == 20  # 2 s at 10 micros a second
    # Start and end were told together: it began as long before as it ran.
    began = LATER - dt.timedelta(seconds=2)
    attempt = session.get(Attempt, work.attempts[0])
    assert (job.started_at, attempt.started_at, attempt.accepted_at) == (began, began, began)
    assert (job.ended_at, attempt.ended_at) == (LATER, LATER)
    task = session.get(Task, work.tasks[0])
    assert (task.state, task.result_bytes) == ("succeeded", 2)
    assert store.held[task.result_digest] == b"42"
    grant = session.get(ArtifactGrant, (task.result_digest, work.account))
    assert grant is not None
    assert session.get(Lease, work.lease).state == "released"
    assert outcome.good == {work.node: 1}


def test_a_start_that_was_told_is_not_moved_by_the_end(session):
    work = placed(session)
    send(session, work.node, report(work.attempts[0], work.fence, "running"), now=NOW)
    send(session, work.node, report(work.attempts[0], work.fence, "succeeded"))
    assert fresh(session, Attempt, work.attempts[0]).started_at == NOW
    assert session.get(Job, work.job).started_at == NOW


def test_a_repeated_end_changes_nothing(session):
    work = placed(session)
    end = report(work.attempts[0], work.fence, "succeeded")
    send(session, work.node, end)
    before = session.scalars(select(Transfer.id)).all()
    outcome = send(session, work.node, end, end)
    assert (outcome.moved, outcome.repeated, outcome.stale) == (0, 1, {})
    assert session.scalars(select(Transfer.id)).all() == before


@pytest.mark.parametrize("wrong", ["fence", "node", "attempt"])
def test_a_report_without_the_fence_is_stale(session, wrong):
    work = placed(session)
    node = make_node(session).id if wrong == "node" else work.node
    attempt = "attempt_other" if wrong == "attempt" else work.attempts[0]
    fence = work.fence - 1 if wrong == "fence" else work.fence
    outcome = send(session, node, report(attempt, fence, "succeeded"))
    assert outcome.stale == {node: {attempt}}
    assert fresh(session, Job, work.job).state == "matched"
    assert session.get(Attempt, work.attempts[0]).state == "assigned"


def test_of_two_nodes_that_claim_an_attempt_in_one_batch_one_counts(session):
    from broker.services.reports import NodeReport, apply_reports

    work = placed(session)
    thief = make_node(session).id
    end = report(work.attempts[0], work.fence, "succeeded")
    outcome = apply_reports(
        session,
        [NodeReport(node_id=work.node, report=end), NodeReport(node_id=thief, report=end)],
        store=MemoryStore(), fee_basis_points=0, now=LATER,
    )  # fmt: skip
    assert outcome.stale == {thief: {work.attempts[0]}}
    assert outcome.ended_jobs == [work.job]


def test_what_was_given_up_stays_given_up(session):
    work = placed(session)
    session.execute(text("UPDATE attempts SET state = 'lost'"))
    outcome = send(session, work.node, report(work.attempts[0], work.fence, "succeeded"))
    assert outcome.stale == {work.node: {work.attempts[0]}}
    assert fresh(session, Task, work.tasks[0]).state == "placed"


def test_steps_of_one_batch_are_one_move(session):
    work = placed(session)
    a, f = work.attempts[0], work.fence
    send(session, work.node, report(a, f, "accepted"), report(a, f, "running"))
    attempt = fresh(session, Attempt, a)
    assert attempt.state == "running"
    assert attempt.accepted_at == attempt.started_at == LATER
    job = session.get(Job, work.job)
    assert (job.state, job.started_at) == ("running", LATER)
    kinds = session.scalars(select(Event.kind).where(Event.subject_id == work.job)).all()
    assert kinds.count("job.running") == 1


def test_a_late_step_moves_nothing_back(session):
    work = placed(session)
    a, f = work.attempts[0], work.fence
    send(session, work.node, report(a, f, "running"))
    outcome = send(session, work.node, report(a, f, "accepted"))
    assert outcome.repeated == 1
    assert fresh(session, Attempt, a).state == "running"


def test_unknown_becomes_running_again(session):
    work = placed(session)
    session.execute(text("UPDATE attempts SET state = 'unknown'"))
    send(session, work.node, report(work.attempts[0], work.fence, "running"))
    assert fresh(session, Attempt, work.attempts[0]).state == "running"


def test_a_failure_of_the_tenants_is_final_and_charged(session):
    work = placed(session)
    end = report(work.attempts[0], work.fence, "failed", reason="exit_code", exit_code=3,
                 usage=Usage(wall_ms=1_000))  # fmt: skip
    send(session, work.node, end)
    job = fresh(session, Job, work.job)
    assert (job.state, job.end_reason, job.cost_micros) == ("failed", "task_failed", 10)
    task = session.get(Task, work.tasks[0])
    assert (task.state, task.end_reason, task.exit_code) == ("failed", "exit_code", 3)


def test_a_failure_of_the_nodes_is_tried_again_and_not_charged(session):
    work = placed(session)
    end = report(work.attempts[0], work.fence, "failed", reason="rejected",
                 usage=Usage(wall_ms=1_000))  # fmt: skip
    outcome = send(session, work.node, end)
    task = fresh(session, Task, work.tasks[0])
    assert (task.state, task.retries_left) == ("queued", 3)  # five attempts, the second next
    assert session.get(Attempt, work.attempts[0]).chargeable_ms == 0
    assert outcome.bad == {work.node: 1}
    assert session.get(Lease, work.lease).state == "revoked"
    demand = session.scalars(select(Demand).where(Demand.job_id == work.job)).one()
    assert (demand.state, demand.count_open) == ("open", 1)


def test_tries_end(session):
    work = placed(session)
    session.execute(text("UPDATE tasks SET retries_left = 0"))
    end = report(work.attempts[0], work.fence, "failed", reason="agent_restarted")
    send(session, work.node, end)
    assert fresh(session, Task, work.tasks[0]).end_reason == "agent_restarted"
    assert session.get(Job, work.job).state == "failed"


def test_a_job_ends_with_its_last_task(session):
    work = placed(session, tasks=3)
    for attempt in work.attempts[:2]:
        assert send(session, work.node, report(attempt, work.fence, "succeeded")).ended_jobs == []
    failed = report(work.attempts[2], work.fence, "failed", reason="trap", detail="unreachable")
    send(session, work.node, failed)
    job = fresh(session, Job, work.job)
    assert (job.state, job.end_detail) == ("failed", "1 of 3 tasks failed")
    assert job.cost_micros == 40  # two of 2 s; the trap used nothing


@pytest.mark.parametrize(
    "bad",
    [
        {**result(b"42"), "result_digest": "sha256:" + "0" * 64},
        {"result_base64": "not base64!", "result_digest": "sha256:" + "0" * 64},
        {"result_digest": "sha256:" + "1" * 64},  # said to be uploaded, and is not there
        result(b"x" * (2 << 20)),  # over the job's limit
    ],
)
def test_a_result_that_cannot_be_used_is_the_nodes_failure(session, bad):
    work = placed(session)
    send(session, work.node, report(work.attempts[0], work.fence, "succeeded", **bad))
    attempt = fresh(session, Attempt, work.attempts[0])
    assert (attempt.state, attempt.reason) == ("failed", "artifact")
    assert session.get(Task, work.tasks[0]).state == "queued"


def test_an_uploaded_result_counts(session):
    work = placed(session)
    owner = session.get(Job, work.job)
    digest = "sha256:" + "7" * 64
    session.add(Artifact(digest=digest, size_bytes=99, created_at=NOW))
    session.flush()
    session.add(ArtifactGrant(digest=digest, account_id=owner.account_id, created_at=NOW))
    session.flush()
    end = report(work.attempts[0], work.fence, "succeeded", result_digest=digest)
    send(session, work.node, end)
    assert fresh(session, Task, work.tasks[0]).result_bytes == 99
    assert session.get(ArtifactGrant, (digest, owner.account_id)) is not None


def test_usage_is_not_believed_beyond_what_passed(session):
    work = placed(session)
    end = report(work.attempts[0], work.fence, "succeeded", usage=Usage(wall_ms=10**9),
                 **result(b"1"))  # fmt: skip
    send(session, work.node, end)
    assert fresh(session, Attempt, work.attempts[0]).chargeable_ms == 30_000  # NOW to LATER


def test_an_unknown_reason_is_an_internal_failure(session):
    work = placed(session)
    send(session, work.node, report(work.attempts[0], work.fence, "failed", reason="gremlins"))
    assert fresh(session, Attempt, work.attempts[0]).reason == "internal"


def test_many_jobs_end_in_one_batch_and_the_books_balance(session):
    works = [placed(session, tasks=2) for _ in range(20)]
    reports = [
        (work.node, report(attempt, work.fence, "succeeded"))
        for work in works
        for attempt in work.attempts
    ]
    from broker.services.reports import NodeReport, apply_reports

    outcome = apply_reports(
        session,
        [NodeReport(node_id=node, report=each) for node, each in reports],
        store=MemoryStore(), fee_basis_points=200, now=LATER,
    )  # fmt: skip
    assert len(outcome.ended_jobs) == 20
    assert all(each.ok for each in invariants(session))


def test_a_failing_node_rests_longer_each_time(session):
    from db.control.fleet import write_reliability

    node = make_node(session)
    rests = []
    for _ in range(4):
        write_reliability(session, {}, {node.id: 1}, now=NOW)
        rests.append((fresh(session, Node, node.id).cooldown_until - NOW).total_seconds())
    assert rests == sorted(rests)
    assert 1 < rests[0] < 5
    write_reliability(session, {node.id: 100}, {}, now=NOW)
    assert fresh(session, Node, node.id).cooldown_until == NOW + dt.timedelta(seconds=rests[-1])


@pytest.mark.parametrize("said", ["deadline", "max_total"])
@pytest.mark.parametrize(
    ("deadline_ms", "after_s", "reason", "charged_ms"),
    [
        (0, 10, "max_total", 9_000),  # the tenant's own limit
        (0, 5, "deadline", 0),  # said before its time
        (9_000, 10, "deadline", 0),  # what the market promised
    ],
)
def test_a_node_that_stops_at_the_jobs_time(
    session, said, deadline_ms, after_s, reason, charged_ms
):
    from broker.services.job_spec import Limits, Qos

    work = placed(session, limits=Limits(max_total_ms=9_000), qos=Qos(deadline_ms=deadline_ms))
    end = report(work.attempts[0], work.fence, "failed", reason=said, usage=Usage(wall_ms=9_000))
    send(session, work.node, end, now=NOW + dt.timedelta(seconds=after_s))
    attempt = fresh(session, Attempt, work.attempts[0])
    assert (attempt.reason, attempt.chargeable_ms) == (reason, charged_ms)
