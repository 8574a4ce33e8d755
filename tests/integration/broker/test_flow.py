"""A job's way through the real processes: submit, round, order, work, result, settlement."""

import pytest

from db.invariants import invariants
from tests.factories import spec_of
from tests.integration.broker.platform import broker_platform, market


@pytest.fixture(scope="module")
def platform(new_database, tmp_path_factory):
    with broker_platform(new_database(), tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def traded(platform):
    with market(platform) as running:
        yield running


def test_one_task_is_run_and_paid(platform, traded):
    job = platform.submit(traded.tenant, spec_of(cell=traded.cell))
    platform.wait_for("SELECT state = 'succeeded' FROM jobs WHERE id = :job", job=job)
    row = platform.query("SELECT * FROM jobs WHERE id = :job", job=job)[0]
    assert row.started_at is not None
    assert 0 < row.cost_micros <= row.hold_micros
    with platform.sessions() as session:
        assert all(each.ok for each in invariants(session))
