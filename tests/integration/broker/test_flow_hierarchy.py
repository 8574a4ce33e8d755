"""Through the real processes: work that goes to another cell, tops up, moves to other nodes."""

import pytest
from sqlalchemy import text

from bench.virtual import echo
from broker.services.job_spec import Qos
from db.invariants import invariants
from tests.factories import spec_of
from tests.integration.broker.platform import broker_platform, market


@pytest.fixture(scope="module")
def platform(new_database, tmp_path_factory):
    with broker_platform(new_database(), tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(autouse=True)
def books_balance(platform):
    yield
    with platform.sessions() as session:
        assert [each for each in invariants(session) if not each.ok] == []


def slow(seconds):
    return lambda work: echo(work, seconds=seconds)


def wait_state(platform, job, state):
    platform.wait_for("SELECT state = :state FROM jobs WHERE id = :job", job=job, state=state)


def test_what_a_full_cell_cannot_hold_runs_in_another(platform):
    with (
        market(platform, nodes=1, cpu_millis=1_000, run=slow(0.5)) as home,
        market(platform, nodes=1, run=slow(0.5), client_id="souk-other") as other,
    ):
        job = platform.submit(home.tenant, spec_of(cell=home.cell, tasks=5))
        wait_state(platform, job, "succeeded")
        slots = dict(
            platform.query(
                "SELECT cell_id, sum(slots) FROM leases WHERE job_id = :j GROUP BY 1", j=job
            )
        )
        assert slots[home.cell] >= 1
        assert slots[other.cell] >= 1
        begun = [home.fleet.started, other.fleet.started]
        tasks = [row[0] for row in platform.query("SELECT id FROM tasks WHERE job_id = :j", j=job)]
        assert [sum(fleet.get(task, 0) for fleet in begun) for task in tasks] == [1] * 5
        told = platform.query(
            "SELECT data->>'to_cell' AS cell FROM events WHERE kind = 'job.forwarded'"
            " AND subject_id = :j", j=job
        )  # fmt: skip
        assert {row.cell for row in told} <= {home.cell, other.cell}
        assert told


def test_a_late_job_tops_up_and_is_in_time(platform):
    with market(platform, nodes=2, run=slow(0.3)) as traded:
        # Sixty tasks of 0.3 s on its one slot take eighteen seconds; it has twelve.
        qos = Qos(deadline_ms=12_000, top_up=True)
        spec = spec_of(cell=traded.cell, tasks=60, slots_max=1, qos=qos)
        job = platform.submit(traded.tenant, spec)
        wait_state(platform, job, "succeeded")
        bought = platform.query(
            "SELECT l.slots, l.rate_micros_per_hour AS rate, l.limit_micros_per_hour AS most"
            " FROM leases l JOIN rounds r ON r.id = l.round_id"
            " WHERE l.job_id = :j AND r.mechanism = 'nearest'", j=job
        )  # fmt: skip
        assert bought
        assert all(row.rate <= row.most for row in bought)
        charges = "SELECT count(*) FROM transfers WHERE job_id = :j AND kind = 'charge'"
        assert platform.value(charges, j=job) == 1


def test_work_leaves_a_draining_node_once(platform):
    with market(platform, nodes=2, run=slow(8.0)) as traded:
        said = platform.value(
            "SELECT calibration_ops_per_s FROM nodes WHERE id = :n", n=traded.nodes[0]
        )
        qos = Qos(work_ms=int(8_000 * (said or 10_000_000) / 10_000_000))
        job = platform.submit(traded.tenant, spec_of(cell=traded.cell, qos=qos))
        platform.wait_for(
            "SELECT count(*) = 1 FROM attempts WHERE job_id = :j AND state = 'running'", j=job
        )
        node = platform.value("SELECT node_id FROM attempts WHERE job_id = :j", j=job)
        with platform.sessions.begin() as session:
            from broker.process import utc_now
            from broker.services.states import move_nodes
            from market.lifecycle import NodeState

            why = "drained by an operator"
            move_nodes(session, [node], NodeState.DRAINING, reason=why, now=utc_now())
        wait_state(platform, job, "succeeded")
        rows = platform.query(
            "SELECT node_id, state, reason, chargeable_ms FROM attempts WHERE job_id = :j"
            " ORDER BY number", j=job
        )  # fmt: skip
        assert [(row.state, row.reason) for row in rows] == [
            ("lost", "drained"), ("succeeded", "ok")
        ]  # fmt: skip
        assert rows[0].node_id == node
        assert rows[1].node_id != node
        assert rows[0].chargeable_ms == 0


def test_work_moves_to_a_faster_node_that_came_and_both_owners_are_paid(platform):
    takes = iter([60.0, 0.2])
    with market(platform, nodes=2, run=lambda work: echo(work, seconds=next(takes))) as traded:
        qos = Qos(work_ms=40_000)  # forty seconds on nodes that were never calibrated
        calibrate = "UPDATE nodes SET calibration_ops_per_s = :ops WHERE {} AND cell_id = :c"
        with platform.sessions.begin() as session:
            values = {"c": traded.cell, "ops": 10_000_000}
            session.execute(text(calibrate.format("true")), values)
        job = platform.submit(traded.tenant, spec_of(cell=traded.cell, qos=qos))
        platform.wait_for(
            "SELECT count(*) = 1 FROM attempts WHERE job_id = :j AND state = 'running'", j=job
        )
        node = platform.value("SELECT node_id FROM attempts WHERE job_id = :j", j=job)
        with platform.sessions.begin() as session:
            values = {"c": traded.cell, "ops": 100_000_000, "n": node}
            session.execute(text(calibrate.format("id <> :n")), values)
        wait_state(platform, job, "succeeded")
        rows = platform.query(
            "SELECT a.node_id, a.state, a.reason, a.chargeable_ms, l.state AS lease,"
            " (SELECT count(*) FROM transfers p WHERE p.lease_id = l.id AND p.kind = 'payout')"
            " AS paid FROM attempts a JOIN leases l ON l.id = a.lease_id WHERE a.job_id = :j"
            " ORDER BY a.number", j=job
        )  # fmt: skip
        assert [(row.state, row.reason) for row in rows] == [
            ("cancelled", "moved"), ("succeeded", "ok")
        ]  # fmt: skip
        assert rows[0].node_id == node != rows[1].node_id
        assert 0 < rows[0].chargeable_ms < 20_000
        assert [(row.lease, row.paid) for row in rows] == [("released", 1), ("released", 1)]
        tries = platform.value("SELECT retries_left FROM tasks WHERE job_id = :j", j=job)
        assert tries == spec_of().retry.attempts_max - 1
