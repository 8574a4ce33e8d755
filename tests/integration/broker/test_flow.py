"""A job's way through the real processes, and what faults do to it."""

import signal
import threading
import time

import pytest

from bench.virtual import echo
from broker.services.job_spec import Disconnect, Limits
from db.invariants import invariants
from tests.factories import spec_of
from tests.integration.broker.platform import broker_platform, market

SLOW_S = 0.4
LOST_SOON = Disconnect(lost_after_ms=1_000)


@pytest.fixture(scope="module")
def platform(new_database, tmp_path_factory):
    with broker_platform(new_database(), tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def traded(platform):
    with market(platform) as running:
        yield running


@pytest.fixture
def slow(platform):
    """A fleet whose tasks take a moment."""
    with market(platform, run=lambda work: echo(work, seconds=SLOW_S)) as running:
        yield running


@pytest.fixture(autouse=True)
def books_balance(platform):
    yield
    with platform.sessions() as session:
        assert [each for each in invariants(session) if not each.ok] == []


def wait_state(platform, job, state):
    platform.wait_for("SELECT state = :state FROM jobs WHERE id = :job", job=job, state=state)


def test_one_task_is_run_and_paid(platform, traded):
    job = platform.submit(traded.tenant, spec_of(cell=traded.cell))
    wait_state(platform, job, "succeeded")
    row = platform.query("SELECT * FROM jobs WHERE id = :job", job=job)[0]
    assert row.started_at is not None
    assert 0 < row.cost_micros <= row.hold_micros


def test_an_array_is_run_once_each_and_its_results_are_its_own(platform, traded):
    job = platform.submit(traded.tenant, spec_of(cell=traded.cell, tasks=500))
    wait_state(platform, job, "succeeded")
    tasks = platform.query("SELECT id, index, result_digest FROM tasks WHERE job_id = :j", j=job)
    assert len({task.result_digest for task in tasks}) == 500
    assert [traded.fleet.started[task.id] for task in tasks] == [1] * 500
    nodes = platform.query("SELECT DISTINCT node_id FROM attempts WHERE job_id = :j", j=job)
    assert {row[0] for row in nodes} >= set(traded.nodes)


def test_a_job_of_a_dead_node_goes_elsewhere(platform, slow):
    job = platform.submit(slow.tenant, spec_of(cell=slow.cell, tasks=8, disconnect=LOST_SOON))
    platform.wait_for("SELECT count(*) > 0 FROM attempts WHERE state = 'running'")
    slow.fleet.kill(slow.nodes[0])
    wait_state(platform, job, "succeeded")
    lost = platform.query("SELECT * FROM attempts WHERE job_id = :j AND state = 'lost'", j=job)
    assert lost
    assert {row.node_id for row in lost} == {slow.nodes[0]}
    assert {row.reason for row in lost} == {"agent_lost"}
    assert {row.chargeable_ms for row in lost} == {0}


def test_a_node_that_was_cut_off_is_told_that_it_is_stale(platform, slow):
    job = platform.submit(slow.tenant, spec_of(cell=slow.cell, tasks=8, disconnect=LOST_SOON))
    platform.wait_for("SELECT count(*) > 0 FROM attempts WHERE state = 'running'")
    slow.fleet.freeze(slow.nodes[0])
    platform.wait_for("SELECT state = 'offline' FROM nodes WHERE id = :n", n=slow.nodes[0])
    wait_state(platform, job, "succeeded")
    before = platform.query("SELECT id, state FROM attempts WHERE job_id = :j ORDER BY 1", j=job)
    slow.fleet.thaw(slow.nodes[0])
    platform.wait_for("SELECT state = 'online' FROM nodes WHERE id = :n", n=slow.nodes[0])
    again = platform.submit(slow.tenant, spec_of(cell=slow.cell, tasks=8))
    wait_state(platform, again, "succeeded")
    after = platform.query("SELECT id, state FROM attempts WHERE job_id = :j ORDER BY 1", j=job)
    assert after == before  # its late reports changed nothing


def test_a_short_silence_costs_nothing(platform, slow):
    job = platform.submit(
        slow.tenant, spec_of(cell=slow.cell, tasks=8, disconnect=Disconnect(lost_after_ms=60_000))
    )
    platform.wait_for("SELECT count(*) > 0 FROM attempts WHERE state = 'running'")
    slow.fleet.freeze(slow.nodes[0])
    platform.wait_for(
        "SELECT count(*) > 0 FROM attempts WHERE job_id = :j AND state = 'unknown'", j=job
    )
    slow.fleet.thaw(slow.nodes[0])
    wait_state(platform, job, "succeeded")
    states = platform.query("SELECT DISTINCT state FROM attempts WHERE job_id = :j", j=job)
    assert states == [("succeeded",)]


def test_cancel_ends_at_once_and_stops_the_nodes(platform, slow):
    from broker.process import utc_now
    from broker.services import jobs

    job = platform.submit(slow.tenant, spec_of(cell=slow.cell, tasks=50))
    platform.wait_for(
        "SELECT count(*) > 0 FROM attempts WHERE job_id = :j AND state = 'running'", j=job
    )
    with platform.sessions.begin() as session:
        jobs.request_cancel(session, job, account_id=slow.tenant, now=utc_now())
    wait_state(platform, job, "cancelled")
    states = platform.query("SELECT DISTINCT state FROM attempts WHERE job_id = :j", j=job)
    assert {row[0] for row in states} <= {"succeeded", "cancelled"}
    begun = len(slow.fleet.started)
    other = platform.submit(slow.tenant, spec_of(cell=slow.cell, tasks=8))
    wait_state(platform, other, "succeeded")
    assert len(slow.fleet.started) == begun + 8  # nothing of the cancelled job was begun


def test_a_job_that_nobody_serves_expires_and_costs_nothing(platform, traded):
    spec = spec_of(cell=traded.cell, limits=Limits(max_total_ms=1_500), limit_micros_per_hour=1)
    job = platform.submit(traded.tenant, spec)
    wait_state(platform, job, "expired")
    row = platform.query("SELECT * FROM jobs WHERE id = :j", j=job)[0]
    assert (row.end_reason, row.cost_micros) == ("max_total", 0)
    loss = platform.value("SELECT last_loss FROM demands WHERE job_id = :j", j=job)
    assert loss == "limit_below_reserve"


def test_an_order_that_was_lost_is_sent_again(platform, traded):
    job = platform.submit(traded.tenant, spec_of(cell=traded.cell, tasks=200))
    platform.kill("dispatch")
    platform.start("dispatch")
    wait_state(platform, job, "succeeded")
    tasks = [row[0] for row in platform.query("SELECT id FROM tasks WHERE job_id = :j", j=job)]
    assert [traded.fleet.started[task] for task in tasks] == [1] * 200


@pytest.mark.parametrize("victim", ["ingest", "dispatch", "worker"])
def test_every_job_ends_once_whoever_is_killed(platform, slow, victim):
    jobs = []

    def submit():
        for _ in range(40):
            jobs.append(platform.submit(slow.tenant, spec_of(cell=slow.cell)))
            time.sleep(0.02)

    submitting = threading.Thread(target=submit)
    submitting.start()
    platform.wait_for("SELECT count(*) > 0 FROM attempts WHERE state = 'running'")
    assert platform.kill(victim) == -signal.SIGKILL
    platform.start(victim)
    submitting.join()
    platform.wait_for(
        "SELECT count(*) = 40 FROM jobs WHERE id = ANY(:jobs) AND state = 'succeeded'",
        jobs=jobs,
        timeout_s=60,
    )
    ends = platform.value(
        "SELECT count(*) FROM transfers WHERE job_id = ANY(:jobs) AND kind = 'charge'", jobs=jobs
    )
    assert ends == 40
    tasks = [r[0] for r in platform.query("SELECT id FROM tasks WHERE job_id = ANY(:j)", j=jobs)]
    assert [slow.fleet.started[task] for task in tasks] == [1] * 40


def test_garbage_is_dropped_and_ingest_lives(platform, traded):
    from broker.mqtt import Link

    pki = platform.mqtt.pki
    link = Link(platform.mqtt.url, (pki.ca_pem, pki.platform_pem, pki.platform_key),
                client_id="souk-garbage")  # fmt: skip
    link.start()
    assert link.connected.wait(10)
    node = traded.nodes[0]
    signed = f'{{"v":1,"node":"{node}","boot":%d,"seq":1,"at":1,"type":"state","data":%s}}'
    state = '{"cpu_free_millis":1,"memory_free_bytes":1,"disk_free_bytes":1,"load_1m_milli":%d}'
    most = 2**63 - 1
    payloads = ["", "{", "[]", "\u00ff" * 100, '{"v":2}', "{}" * 1000, signed % (1, "{}"),
                signed % (most, state % 1), signed % (1, state % most)]  # fmt: skip
    for payload in payloads:
        for kind in ("state", "attempt", "birth", "nonsense"):
            topic = f"souk/v1/n/{node}/up/{kind}"
            link.publish(topic, payload.encode("latin-1")).wait_for_publish(5)
    link.stop()
    job = platform.submit(traded.tenant, spec_of(cell=traded.cell))
    wait_state(platform, job, "succeeded")
    assert platform.processes["ingest"].poll() is None


def test_processes_end_cleanly_when_asked(platform):
    for name in ("ingest", "dispatch", "worker", "beat"):
        assert platform.kill(name, signal.SIGTERM) == 0
        platform.start(name)
