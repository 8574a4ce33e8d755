"""What a node that lies can do: no more than give its own work up."""

import datetime as dt

import pytest
from sqlalchemy import text

from allocator.least_finish import LeastFinish
from broker.services import artifacts
from broker.services.grants import Grant
from broker.services.placing import place_jobs
from broker.services.refusals import NotFound
from broker.services.reports import NodeReport, apply_reports
from db.invariants import invariants
from db.tables import Artifact, ArtifactGrant, Attempt, Job, Node, Task
from edge_agent.wire import Birth, Envelope, OfferTerms, Usage
from tests.factories import NOW, make_account, make_artifact, make_job, make_node
from tests.integration.broker.work import (
    LATER,
    MemoryStore,
    digest_of,
    placed,
    report,
    result,
    send,
)

SECRET = digest_of(b"another tenant's secret")
MOST = 2**63 - 1


def test_a_result_is_not_another_tenants_artifact(session):
    victim = make_account(session)
    make_artifact(session, victim, digest=SECRET)
    work = placed(session)
    send(session, work.node, report(work.attempts[0], work.fence, "succeeded",
                                    result_digest=SECRET))  # fmt: skip
    session.expire_all()
    assert session.get(ArtifactGrant, (SECRET, work.account)) is None
    attempt = session.get(Attempt, work.attempts[0])
    assert (attempt.state, attempt.reason) == ("failed", "artifact")


def test_a_result_by_reference_keeps_to_the_jobs_limit(session):
    work = placed(session)
    digest = digest_of(b"large")
    session.add(Artifact(digest=digest, size_bytes=2 << 20, created_at=NOW))
    session.flush()
    session.add(ArtifactGrant(digest=digest, account_id=work.account, created_at=NOW))
    session.flush()
    send(session, work.node, report(work.attempts[0], work.fence, "succeeded",
                                    result_digest=digest))  # fmt: skip
    session.expire_all()
    assert session.get(Attempt, work.attempts[0]).reason == "artifact"


def test_a_grant_opens_what_its_job_needs_and_nothing_else(session):
    work = placed(session)
    account = session.get(Job, work.job).account_id
    other = digest_of(b"of another job")
    session.add(Artifact(digest=other, size_bytes=5, created_at=NOW))
    session.flush()
    session.add(ArtifactGrant(digest=other, account_id=account, created_at=NOW))
    session.flush()
    grant = Grant(node_id=work.node, job_id=work.job, account_id=account, expires_at=LATER)
    code = session.get(Job, work.job).spec["code_digest"]
    assert artifacts.show(session, code, asker=grant).digest == code
    with pytest.raises(NotFound):
        artifacts.show(session, other, asker=grant)


def test_a_grant_opens_its_jobs_inputs(session):
    from broker.services.job_spec import TaskSpec

    tenant = make_account(session, funds_micros=10**9)
    given = digest_of(b"input")
    make_artifact(session, tenant, digest=given)
    work = placed(session, account=tenant, task_specs=(TaskSpec(input_digest=given),))
    grant = Grant(node_id=work.node, job_id=work.job, account_id=tenant.id, expires_at=LATER)
    assert artifacts.show(session, given, asker=grant).digest == given


@pytest.mark.parametrize("state", ["revoked", "quarantined"])
def test_a_node_that_is_shut_out_is_not_paid_for_a_late_report(session, state):
    work = placed(session)
    session.execute(text("UPDATE nodes SET state = :state"), {"state": state})
    outcome = send(session, work.node, report(work.attempts[0], work.fence, "succeeded"))
    assert outcome.stale == {work.node: {work.attempts[0]}}
    session.expire_all()
    assert session.get(Job, work.job).state == "matched"


def test_a_slot_sells_each_hour_once(session):
    """Three tasks wait for one slot; the node claims that each ran since it was assigned."""
    work = placed(session, tasks=3)
    session.execute(text("UPDATE leases SET slots = 1"))
    claims = [
        report(attempt, work.fence, "succeeded", usage=Usage(wall_ms=30_000), **result(b"1"))
        for attempt in work.attempts
    ]
    send(session, work.node, *claims)
    session.expire_all()
    assert session.get(Job, work.job).cost_micros == 300  # 30 s of one slot at 10 micros a second
    assert [each for each in invariants(session) if not each.ok] == []


def test_boasted_usage_breaks_nothing(session):
    work = placed(session, tasks=4, running=2)
    boast = Usage(
        wall_ms=MOST, cpu_ms=MOST, memory_peak_bytes=MOST, bytes_in=MOST, bytes_out=MOST,
        energy_millijoules=MOST,
    )  # fmt: skip
    send(session, work.node, *(
        report(attempt, work.fence, "succeeded", usage=boast, **result(b"1"))
        for attempt in work.attempts
    ))  # fmt: skip
    done = place_jobs(
        session, [work.job], allocator=LeastFinish(), fee_basis_points=200, now=LATER, seed=1
    )
    assert len(done.orders) == 2
    assert session.execute(
        text("SELECT sum(energy_millijoules)::bigint, sum(wall_ms)::bigint FROM attempts")
    ).one()


def test_a_boasted_offer_breaks_no_submission_and_no_round(session):
    from broker.services import fleet

    nodes = [make_node(session, sells=False, boot=0, seq=0) for _ in range(3)]
    session.execute(text("UPDATE nodes SET state = 'enrolled'"))
    for node in nodes:
        terms = OfferTerms(
            capacity={"cpu_millis": MOST, "memory_bytes": MOST, "x" * 500: 1},
            reserve_micros_per_hour={"cpu_millis": MOST},
        )
        birth = Birth(
            agent_version="1", hostname="h", arch="x86_64", os="linux", cpu_count=MOST,
            memory_bytes=MOST, disk_bytes=MOST, runtimes={"wasm": "1"},
            calibration_ops_per_s=MOST, idle_milliwatts=MOST, max_milliwatts=MOST,
            labels={"a" * 10_000: "b" * 10_000, **{f"l{k}": "v" for k in range(1_000)}},
            latitude=1e300, longitude=-1e300, offer=terms,
        )  # fmt: skip
        said = Envelope(node=node.id, boot=1, seq=0, at=0, data=birth)
        fleet.apply_news(session, fleet.fold([said]), now=NOW)
    session.expire_all()
    node = session.get(Node, nodes[0].id)
    assert node.state == "online"
    assert len(node.labels) <= 64
    assert max(map(len, node.labels)) <= 128
    assert node.latitude is None
    job = make_job(session, resources={"cpu_millis": 1, "memory_bytes": 1})
    assert job.state == "queued"


def test_whoever_reports_first_does_not_bind_the_holder(session):
    """A thief's claim ahead of the holder's in one batch takes nothing from the holder."""
    work = placed(session)
    thief = make_node(session).id
    end = report(work.attempts[0], work.fence, "succeeded")
    high = report(work.attempts[0], work.fence + 1, "succeeded")
    outcome = apply_reports(
        session,
        [NodeReport(node_id=thief, report=end), NodeReport(node_id=thief, report=high),
         NodeReport(node_id=work.node, report=end)],
        store=MemoryStore(), fee_basis_points=0, now=LATER,
    )  # fmt: skip
    assert thief in outcome.stale
    retold = send(session, work.node, end)  # it asks again, as it does until it is acknowledged
    assert work.job in {*outcome.ended_jobs, *retold.ended_jobs}
    assert work.node not in outcome.stale, "told to stop by a stranger's claim"


def test_results_for_a_cancelled_job_are_stale(session):
    work = placed(session)
    from broker.services.settlement import JobEnd, end_jobs
    from market.lifecycle import EndReason, JobState

    end = JobEnd(job_id=work.job, state=JobState.CANCELLED, reason=EndReason.CANCELLED_BY_USER)
    end_jobs(session, [end], fee_basis_points=200, now=NOW + dt.timedelta(seconds=1))
    outcome = send(session, work.node, report(work.attempts[0], work.fence, "succeeded"))
    assert outcome.stale == {work.node: {work.attempts[0]}}
    session.expire_all()
    assert session.get(Task, work.tasks[0]).result_digest is None
