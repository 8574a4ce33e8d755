"""SIGKILL of a worker child in mid-round: nothing of the round is left, and it is run again."""

import os
import signal

import psutil
import pytest
from sqlalchemy import text

from bench.virtual import echo
from db.invariants import invariants
from tests.factories import spec_of
from tests.integration.broker.platform import broker_platform, market

# What the round is made to wait for while it is killed: rows of its nodes, which it locks before it
# writes anything, and those of its prices, which it moves when leases and outcomes are written.
HELD = {
    "before anything is written": "SELECT 1 FROM nodes WHERE cell_id = :cell FOR UPDATE",
    "when all is written": "SELECT 1 FROM standing_prices WHERE cell_id = :cell FOR UPDATE",
}
WAITING = (
    "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'souk worker'"
    " AND datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture(scope="module")
def platform(new_database, tmp_path_factory):
    with broker_platform(new_database(), tmp_path_factory.mktemp("killed")) as running:
        yield running


def children(pid: int) -> set[int]:
    """The processes that ``pid`` has started."""
    return {child.pid for child in psutil.Process(pid).children()}


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_round_of_a_killed_child_leaves_nothing_and_is_run_again(platform, held):
    with market(platform, nodes=1, run=echo) as traded:
        first = platform.submit(traded.tenant, spec_of(cell=traded.cell))
        platform.wait_for("SELECT state = 'succeeded' FROM jobs WHERE id = :job", job=first)
        with platform.sessions() as holder:
            assert holder.execute(text(held), {"cell": traded.cell}).all()
            job = platform.submit(traded.tenant, spec_of(cell=traded.cell, tasks=2))
            platform.wait_for(WAITING)
            before = children(platform.processes["worker"].pid)
            assert before
            for child in before:
                os.kill(child, signal.SIGKILL)
            platform.wait_for(
                "SELECT state = 'queued' AND NOT EXISTS (SELECT FROM leases WHERE job_id = j.id)"
                " FROM jobs j WHERE id = :job",
                job=job,
            )
            found = platform.query(
                "SELECT o.round_id FROM bid_outcomes o JOIN demands d ON d.id = o.demand_id"
                " WHERE d.job_id = :job",
                job=job,
            )
            assert found == []
            holder.rollback()
        platform.wait_for("SELECT state = 'succeeded' FROM jobs WHERE id = :job", job=job)
        slots = platform.value("SELECT sum(slots) FROM leases WHERE job_id = :job", job=job)
        assert slots == 2
        assert platform.value(
            "SELECT count_open = 0 AND state <> 'open' FROM demands WHERE job_id = :job", job=job
        )
        done = platform.query(
            "SELECT task_id FROM attempts WHERE job_id = :job AND state = 'succeeded'", job=job
        )
        assert len(done) == len(set(done)) == 2
        assert children(platform.processes["worker"].pid) - before  # a new one has taken over
    with platform.sessions() as session:
        assert [each for each in invariants(session) if not each.ok] == []
