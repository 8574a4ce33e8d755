"""A submission writes job, tasks, demand and hold together, or says what stands against it."""

import contextlib
import datetime as dt
from typing import Any

import orjson
import pytest
from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Session

from broker.services import feasibility, job_spec, jobs
from broker.services.feasibility import Unserviceable
from broker.services.job_spec import Constraints, Limits, Qos, Retry, TaskSpec
from broker.services.refusals import Invalid, NotFound
from db.engine import SessionFactory
from db.ledger import InsufficientFunds
from db.notify import DEMAND, EVENT, Listener
from db.tables import Account, Demand, Job, Task, Transfer
from market.lifecycle import NodeState
from tests.factories import (
    GIB,
    NOW,
    make_account,
    make_artifact,
    make_cell,
    make_job,
    make_node,
    spec_of,
)


@pytest.fixture
def tenant(session: Session) -> Account:
    account = make_account(session, funds_micros=1_000_000)
    make_artifact(session, account)
    return account


def constraints_of(refused: pytest.ExceptionInfo[Unserviceable]) -> dict[str, int]:
    return {reason.constraint: reason.count for reason in refused.value.reasons}


def test_writes_job_tasks_demand_and_hold(session: Session, tenant: Account) -> None:
    node = make_node(session)
    spec = spec_of(tasks=3, slots_max=2, budget_micros=900, retry=Retry(attempts_max=4))
    found = jobs.submit(session, account_id=tenant.id, spec=spec, now=NOW)
    job = session.get_one(Job, found.job.id)
    assert (job.state, job.task_count, job.hold_micros) == ("queued", 3, 900)
    assert job.expires_at == NOW + dt.timedelta(hours=1)
    assert job_spec.from_document(job.spec).resources == spec.resources
    tasks = session.scalars(select(Task).order_by(Task.index)).all()
    assert [(t.index, t.state, t.input["args"], t.retries_left) for t in tasks] == [
        (0, "queued", ["0"], 3),
        (1, "queued", ["1"], 3),
        (2, "queued", ["2"], 3),
    ]
    demand = session.scalars(select(Demand)).one()
    assert (demand.cell_id, demand.count_open, demand.state) == (node.cell_id, 2, "open")
    assert demand.duration_ms == 2 * 60_000 + jobs.LEASE_MARGIN_MS  # 3 tasks in 2 slots: 2 turns
    assert demand.needs["kind"] == "wasm"
    hold = session.get_one(Transfer, job.hold_id)
    assert (hold.kind, hold.amount_micros, hold.job_id) == ("hold", 900, job.id)


def test_answer_is_what_a_reader_finds(session: Session, tenant: Account) -> None:
    make_node(session)
    answered = jobs.submit(session, account_id=tenant.id, spec=spec_of(tasks=2), now=NOW)
    found = jobs.show(session, answered.job.id, account_id=tenant.id)
    for made, read in ((answered.job, found.job), (answered.demand, found.demand)):
        for column in inspect(type(made)).columns:
            assert plain(getattr(made, column.key)) == getattr(read, column.key), column.key
    assert answered.tasks == found.tasks


def plain(value: Any) -> Any:
    """A document as JSON has it, which knows no tuples."""
    return orjson.loads(orjson.dumps(value)) if isinstance(value, dict) else value


def test_wakes_market_and_followers(sessions: SessionFactory, database_url: str) -> None:
    with sessions() as session:
        account = make_account(session, funds_micros=1_000_000)
        make_artifact(session, account)
        node = make_node(session)
        session.commit()
        with Listener(database_url, [DEMAND, EVENT]) as listener:
            jobs.submit(session, account_id=account.id, spec=spec_of(), now=NOW)
            session.commit()
            heard = [*listener.wait(timeout_s=5), *listener.wait(timeout_s=1)]
    assert {(hint.channel, hint.payload) for hint in heard} == {(DEMAND, node.cell_id), (EVENT, "")}


def test_ten_thousand_tasks(session: Session, tenant: Account) -> None:
    make_node(session)
    spec = spec_of(tasks=10_000, budget_micros=1_000, slots_max=64)
    found = jobs.submit(session, account_id=tenant.id, spec=spec, now=NOW)
    assert session.scalar(select(func.count()).where(Task.job_id == found.job.id)) == 10_000


def test_an_empty_purse_says_what_is_missing(session: Session, tenant: Account) -> None:
    make_node(session)
    with pytest.raises(InsufficientFunds) as refused:
        jobs.submit(session, account_id=tenant.id, spec=spec_of(budget_micros=1_000_250), now=NOW)
    assert refused.value.missing_micros == 250


def test_an_unknown_artifact_is_named(session: Session, tenant: Account) -> None:
    make_node(session)
    stranger = "sha256:" + "cd" * 32
    spec = spec_of(task_specs=(TaskSpec(input_digest=stranger),))
    with pytest.raises(jobs.UnknownArtifact) as refused:
        jobs.submit(session, account_id=tenant.id, spec=spec, now=NOW)
    assert refused.value.digest == stranger


def test_anothers_artifact_is_unknown(session: Session, tenant: Account) -> None:
    make_node(session)
    other = make_account(session, funds_micros=1_000_000)
    with pytest.raises(jobs.UnknownArtifact):
        jobs.submit(session, account_id=other.id, spec=spec_of(), now=NOW)


UNSERVICEABLE = [
    # what the job asks for, what rules out the one node, why
    ({"constraints": Constraints(labels={"gpu": "yes"})}, "constraint"),
    ({"constraints": Constraints(not_labels={"zone": "a"})}, "constraint"),
    ({"constraints": Constraints(arch=("aarch64",))}, "constraint"),
    ({"constraints": Constraints(nodes=("node_other",))}, "constraint"),
    ({"resources": {"cpu_millis": 4_001}}, "too_large"),
    ({"resources": {"cpu_millis": 1, "memory_bytes": 5 * GIB}}, "too_large"),
    ({"resources": {"cpu_millis": 1, "accelerator_millis": 1}}, "too_large"),
    ({"qos": Qos(speed_min=10.5)}, "speed"),  # the node does 10 times the reference
    ({"qos": Qos(work_ms=1_000, deadline_ms=90)}, "deadline"),
]


@pytest.mark.parametrize(("wish", "constraint"), UNSERVICEABLE)
def test_what_no_node_can_ever_serve_is_refused_with_counts(
    session: Session, tenant: Account, wish: dict[str, object], constraint: str
) -> None:
    make_node(session, labels={"zone": "a"})
    with pytest.raises(Unserviceable) as refused:
        jobs.submit(session, account_id=tenant.id, spec=spec_of(**wish), now=NOW)
    assert constraints_of(refused) == {constraint: 1}


SHORTAGES = [
    # of two nodes: 4 cores with 4 GiB, 1 core with 16 GiB
    ({"cpu_millis": 4_001}, "cpu: needs 4.001 cores, the largest has 4 cores"),
    ({"cpu_millis": 1, "memory_bytes": 20 * GIB}, "memory: needs 20480 MiB, the largest has 16384"),
    ({"cpu_millis": 1, "accelerator_millis": 1}, "accelerator: needs 0.001 accelerators, the lar"),
    # Each has enough of one: the first comes closest, with half of the memory.
    (
        {"cpu_millis": 4_000, "memory_bytes": 8 * GIB},
        "memory: needs 8192 MiB, the one that comes closest has 4096 MiB",
    ),
]


@pytest.mark.parametrize(("resources", "says"), SHORTAGES)
def test_what_is_too_large_is_told_which_resource_is_short(
    session: Session, tenant: Account, resources: dict[str, int], says: str
) -> None:
    make_node(session, capacity={"cpu_millis": 4_000, "memory_bytes": 4 * GIB})
    make_node(session, capacity={"cpu_millis": 1_000, "memory_bytes": 16 * GIB})
    with pytest.raises(Unserviceable) as refused:
        jobs.submit(session, account_id=tenant.id, spec=spec_of(resources=resources), now=NOW)
    (reason,) = refused.value.reasons
    assert reason.detail.startswith(f"2 could not hold one slot even when empty ({says}")
    assert reason.detail in str(refused.value)


def test_a_runtime_that_no_node_has_is_refused(session: Session, tenant: Account) -> None:
    make_node(session, runtimes={"wasm": "1"})
    with pytest.raises(Unserviceable):
        jobs.submit(session, account_id=tenant.id, spec=spec_of(kind="onnx"), now=NOW)


@pytest.mark.parametrize(
    "offer", [{"accepts": ["somebody else"]}, {"refuses": ["the tenant"]}], ids=str
)
def test_an_owner_may_refuse(session: Session, offer: dict[str, list[str]]) -> None:
    account = make_account(session, name="the tenant", funds_micros=1_000_000)
    make_artifact(session, account)
    make_node(session, offer=offer)
    with pytest.raises(Unserviceable) as refused:
        jobs.submit(session, account_id=account.id, spec=spec_of(), now=NOW)
    assert constraints_of(refused) == {"not_admitted": 1}


def test_a_fleet_that_is_not_there_is_said_so(session: Session, tenant: Account) -> None:
    make_node(session, state=NodeState.REVOKED)
    make_node(session, sells=False)
    with pytest.raises(Unserviceable, match="No node that offers capacity is known"):
        jobs.submit(session, account_id=tenant.id, spec=spec_of(), now=NOW)


def test_a_node_offline_may_serve_later(session: Session, tenant: Account) -> None:
    node = make_node(session, state=NodeState.OFFLINE)
    found = jobs.submit(session, account_id=tenant.id, spec=spec_of(), now=NOW)
    assert found.demand.cell_id == node.cell_id


def test_a_limit_under_every_reserve_may_wait(session: Session, tenant: Account) -> None:
    make_node(session, reserve={"cpu_millis": 10**9})
    assert jobs.submit(session, account_id=tenant.id, spec=spec_of(), now=NOW)


def test_home_cell_is_one_with_room(session: Session, tenant: Account) -> None:
    full, roomy = make_cell(session), make_cell(session)
    taken = make_node(session, cell=full)
    make_node(session, cell=roomy)
    make_job(session, account=tenant, leased=[(taken, 4)], cell=full.id)
    homes = {
        jobs.submit(session, account_id=tenant.id, spec=spec_of(), now=NOW).demand.cell_id
        for _ in range(10)
    }
    assert homes == {roomy.id}


def test_equal_jobs_spread_over_cells(session: Session, tenant: Account) -> None:
    cells = {make_node(session).cell_id for _ in range(2)}
    homes = {
        jobs.submit(session, account_id=tenant.id, spec=spec_of(), now=NOW).demand.cell_id
        for _ in range(40)  # all in one of two: once in 2^39
    }
    assert homes == cells


def test_a_named_cell_is_kept(session: Session, tenant: Account) -> None:
    make_node(session)
    chosen = make_cell(session)
    make_node(session, cell=chosen)
    found = jobs.submit(session, account_id=tenant.id, spec=spec_of(cell=chosen.id), now=NOW)
    assert found.demand.home_cell_id == chosen.id


def test_cell_only_counts_that_cell_alone(session: Session, tenant: Account) -> None:
    make_node(session)
    empty = make_cell(session)
    spec = spec_of(cell=empty.id, constraints=Constraints(cell_only=True))
    with pytest.raises(Unserviceable) as refused:
        jobs.submit(session, account_id=tenant.id, spec=spec, now=NOW)
    assert constraints_of(refused) == {"constraint": 1}


def test_latency_is_from_the_home_cell(session: Session, tenant: Account) -> None:
    home = make_cell(session, latitude=52.5, longitude=13.4)
    far = make_cell(session, latitude=-37.8, longitude=145.0)
    make_node(session, cell=far)
    make_node(session, cell=home, labels={"class": "small"})
    spec = spec_of(
        cell=home.id,
        constraints=Constraints(not_labels={"class": "small"}),
        qos=Qos(latency_ms_max=50),
    )
    with pytest.raises(Unserviceable) as refused:
        jobs.submit(session, account_id=tenant.id, spec=spec, now=NOW)
    assert constraints_of(refused) == {"constraint": 1, "latency": 1}


def test_a_deadline_ends_the_job_before_max_total(session: Session, tenant: Account) -> None:
    make_node(session)
    spec = spec_of(qos=Qos(deadline_ms=5_000), limits=Limits(max_total_ms=60_000))
    found = jobs.submit(session, account_id=tenant.id, spec=spec, now=NOW)
    assert found.job.expires_at == NOW + dt.timedelta(seconds=5)


def test_a_job_without_tasks_is_refused(session: Session, tenant: Account) -> None:
    make_node(session)
    with pytest.raises(Invalid):
        jobs.submit(session, account_id=tenant.id, spec=spec_of(tasks=0), now=NOW)


def test_a_wish_to_cancel_is_noted_once(session: Session, tenant: Account) -> None:
    make_node(session)
    job = jobs.submit(session, account_id=tenant.id, spec=spec_of(), now=NOW).job
    later = NOW + dt.timedelta(seconds=1)
    first = jobs.request_cancel(session, job.id, account_id=tenant.id, now=NOW)
    again = jobs.request_cancel(session, job.id, account_id=tenant.id, now=later)
    assert first.job.cancel_requested_at == again.job.cancel_requested_at == NOW


def test_anothers_job_is_not_there(session: Session, tenant: Account) -> None:
    make_node(session)
    job = jobs.submit(session, account_id=tenant.id, spec=spec_of(), now=NOW).job
    other = make_account(session)
    with pytest.raises(NotFound):
        jobs.show(session, job.id, account_id=other.id)
    with pytest.raises(NotFound):
        jobs.request_cancel(session, job.id, account_id=other.id, now=NOW)
    assert jobs.show(session, job.id, account_id=None).job.id == job.id


def test_four_statements_whatever_the_size(
    session: Session, tenant: Account, statements: list[str]
) -> None:
    make_node(session)
    statements.clear()
    jobs.submit(session, account_id=tenant.id, spec=spec_of(tasks=50), now=NOW)
    assert len(statements) == 4


def test_a_large_fleet_is_not_judged_for_each_job(
    session: Session,
    tenant: Account,
    statements: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feasibility, "LARGE_FLEET", 1)
    make_node(session)

    def asked(spec: job_spec.JobSpec) -> int:
        statements.clear()
        with contextlib.suppress(Unserviceable):
            jobs.submit(session, account_id=tenant.id, spec=spec, now=NOW)
        return sum("WITH judged" in statement for statement in statements)

    never = spec_of(resources={"cpu_millis": 10**9})
    assert [asked(spec_of()), asked(spec_of()), asked(never), asked(never)] == [1, 0, 1, 1]
