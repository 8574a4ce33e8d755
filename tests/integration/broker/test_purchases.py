"""What is bought without a round: top-ups of late jobs, places for work on draining nodes."""

import datetime as dt

import pytest
from sqlalchemy import select, text

from allocator.least_finish import LeastFinish
from broker.reconcile import Reconciler
from broker.services import replays
from broker.services.explain import explain_job
from broker.services.job_spec import Constraints, Limits, Qos
from broker.services.placing import place_jobs
from db.tables import Attempt, Demand, Event, Job, Lease, RoundRow, Task
from market import mechanisms
from sim.instances import from_json, from_npz
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

AT = NOW + dt.timedelta(seconds=10)
TOP_UP = Qos(deadline_ms=72_500, top_up=True)


@pytest.fixture
def look(session, sessions):
    """Lets the reconciler buy what ``name`` says; how much it did."""

    def take(name, *, at=AT):
        session.commit()
        reconciler = Reconciler(
            sessions=sessions, clock=lambda: at, listening_s=lambda: 60.0, silent_after_s=10.0,
            lost_after_s=15.0, fee_basis_points=200,
        )  # fmt: skip
        done = reconciler.take_each(name, reconciler.purchases()[name])
        session.expire_all()
        return done

    return take


def late(session, *, cell=None, tasks=20, qos=TOP_UP, node=None, **fields):
    """A job on one slot: one of its tasks took ten seconds, one runs, the others wait."""
    cell = cell or make_cell(session)
    node = node or make_node(session, cell=cell)
    job = make_job(session, cell=cell.id, tasks=tasks, qos=qos, slots_max=1, **fields)
    lease = make_lease(session, job=job, node=node)
    done, running, *_ = tasks_of(session, job)
    make_attempt(session, task=done, lease=lease, state="succeeded", wall_ms=10_000, ended_at=AT)
    make_attempt(session, task=running, lease=lease, started_at=AT)
    done.state, running.state = "succeeded", "placed"
    job.state, job.tasks_succeeded = "running", 1
    session.flush()
    session.execute(text("UPDATE demands SET state = 'filled', count_open = 0"))
    return job


def extra(session, job):
    """Leases that were bought, not made by the arranging."""
    rounds = select(RoundRow.id).where(RoundRow.mechanism == "nearest")
    return session.scalars(
        select(Lease).where(Lease.job_id == job.id, Lease.round_id.in_(rounds))
    ).all()


def test_a_late_job_buys_what_its_deadline_lacks(session, look):
    job = late(session)
    # 62.5 s are left: five tasks a slot and some rest; 18 + 1/2 need four slots, one is there.
    assert look("topped_up") == 3
    (lease,) = extra(session, job)
    assert lease.slots == 3
    assert lease.reserve_micros_per_hour <= lease.rate_micros_per_hour
    assert lease.rate_micros_per_hour <= job.limit_micros_per_hour
    told = session.scalars(select(Event).where(Event.kind == "lease.topped_up")).one()
    assert told.data["slots"] == 3
    assert "would not end within the 62500 ms left" in told.data["why"]
    demand = session.scalars(select(Demand)).one()
    assert (demand.state, demand.count_open) == ("filled", 0)
    assert look("topped_up") == 0  # it has what it needs


def test_a_top_up_is_explained(session, look):
    job = late(session)
    look("topped_up")
    found = explain_job(session, job.id, account_id=job.account_id, now=AT)
    assert found.rounds[0].slots_won == 3
    assert "would not end" in found.rounds[0].detail
    assert len(found.candidates) == 1


@pytest.mark.parametrize("form", ["json", "npz"])
def test_the_round_of_a_top_up_is_repeated_to_the_byte(session, look, form):
    late(session)
    look("topped_up")
    row = session.scalars(select(RoundRow).where(RoundRow.mechanism == "nearest")).one()
    packed = replays.instance(session, row.id, form=form)
    snapshot = from_json(packed.decode()) if form == "json" else from_npz(packed)
    plan = mechanisms.get(snapshot.policy.mechanism).clear(snapshot, budget_ms=row.budget_ms)
    assert plan.mechanism == "nearest"
    assert plan.count.sum() == row.slots_applied == 3
    assert plan.digest() == row.digest


@pytest.mark.parametrize(
    "changed",
    [
        {"qos": Qos(deadline_ms=60_000)},  # not asked for
        {"qos": Qos(deadline_ms=600_000, top_up=True), "tasks": 10},  # in time
        {"qos": Qos(top_up=True)},  # nothing to be late for
        {"budget_micros": 1_667},  # pays for the one that runs, at its worst
        {"limit_micros_per_hour": 30, "budget_micros": 10_000, "qos": TOP_UP, "tasks": 20},
    ],
)
def test_who_need_not_or_cannot_buys_nothing(session, look, changed):
    cell = make_cell(session)
    node = make_node(session, cell=cell)
    if "limit_micros_per_hour" in changed:  # what was bought before was cheaper
        session.execute(text("INSERT INTO standing_prices (cell_id, resource, price_micros,"
                             " utilisation, at) VALUES (:c, 'cpu_millis', 50, 0, :now)"),
                        {"c": cell.id, "now": NOW})  # fmt: skip
    job = late(session, cell=cell, node=node, **changed) if "limit_micros_per_hour" not in changed \
        else _cheap(session, cell, node, **changed)  # fmt: skip
    assert look("topped_up") == 0
    assert extra(session, job) == []
    demand = session.scalars(select(Demand)).one()
    assert (demand.state, demand.count_open) == ("filled", 0)


def _cheap(session, cell, node, **fields):
    """A late job whose limit is under the standing price."""
    job = late(session, cell=cell, node=node, **{**fields, "limit_micros_per_hour": 100_000})
    values = {"limit": fields["limit_micros_per_hour"]}
    session.execute(text("UPDATE leases SET rate_micros_per_hour = 1"))
    session.execute(text("UPDATE jobs SET limit_micros_per_hour = :limit"), values)
    session.execute(text("UPDATE demands SET limit_micros_per_hour = :limit"), values)
    return job


def test_the_rest_of_the_budget_bounds_a_top_up(session, look):
    # 1,667 micros a task at its worst; two run or may run: the rest pays for one more.
    job = late(session, budget_micros=2 * 1_667)
    assert look("topped_up") == 1
    assert [lease.slots for lease in extra(session, job)] == [1]


def test_a_job_buys_of_the_nearest_with_room(session, look):
    home = make_cell(session, latitude=45.0, longitude=9.0)
    near = make_cell(session, latitude=45.1, longitude=9.0)
    far = make_cell(session, latitude=60.0, longitude=9.0)
    full = make_node(session, cell=home, capacity={"cpu_millis": 1_000, "memory_bytes": 1 << 30})
    make_node(session, cell=far, reserve={"cpu_millis": 1})
    neighbour = make_node(session, cell=near, reserve={"cpu_millis": 1_000})
    job = late(session, cell=home, node=full)
    assert look("topped_up") == 3
    assert [lease.node_id for lease in extra(session, job)] == [neighbour.id]


def test_a_job_that_keeps_to_its_cell_tops_up_there_alone(session, look):
    home, other = make_cell(session), make_cell(session)
    full = make_node(session, cell=home, capacity={"cpu_millis": 1_000, "memory_bytes": 1 << 30})
    make_node(session, cell=other)
    late(session, cell=home, node=full, constraints=Constraints(cell_only=True))
    assert look("topped_up") == 0


def test_a_node_that_became_unreliable_is_made_up_for(session, look):
    cell = make_cell(session)
    bad, good = (make_node(session, cell=cell) for _ in range(2))
    job = late(session, cell=cell, node=bad, qos=Qos(reliability_min=0.9, top_up=True))
    assert look("topped_up") == 0
    values = {"id": bad.id}
    session.execute(
        text("UPDATE nodes SET reliability_all = 50, reliability_good = 20 WHERE id = :id"), values
    )
    assert look("topped_up") == 1
    assert [lease.node_id for lease in extra(session, job)] == [good.id]


def test_what_a_demand_still_asks_for_it_goes_on_asking_for(session, look):
    job = late(session)
    session.execute(text("UPDATE demands SET state = 'open', count_open = 5"))
    assert look("topped_up") == 3
    demand = session.scalars(select(Demand).where(Demand.job_id == job.id)).one()
    assert (demand.state, demand.count_open) == ("open", 2)


def draining(session, *, elapsed_s, other=True, code_bytes=100, **fields):
    """A job whose one task of twenty seconds runs on a node that is to be drained."""
    cell = make_cell(session)
    node = make_node(session, cell=cell)
    if other:
        make_node(session, cell=cell)
    fields = {"qos": Qos(work_ms=200_000), **fields}  # on a reference core; these are ten times it
    job = make_job(session, cell=cell.id, **fields)
    lease = make_lease(
        session, job=job, node=node, rate_micros_per_hour=100, reserve_micros_per_hour=10
    )
    (task,) = tasks_of(session, job)
    started = AT - dt.timedelta(seconds=elapsed_s)
    attempt = make_attempt(session, task=task, lease=lease, started_at=started)
    task.state, task.attempts, job.state, node.state = (
        "placed",
        attempt.number,
        "running",
        "draining",
    )
    session.execute(text("UPDATE demands SET state = 'filled', count_open = 0"))
    session.execute(
        text("UPDATE artifacts SET size_bytes = :size WHERE digest = :digest"),
        {"size": code_bytes, "digest": CODE_DIGEST},
    )
    return job, attempt


def test_work_that_has_just_begun_leaves_a_draining_node(session, look):
    job, attempt = draining(session, elapsed_s=1)
    assert look("moved") == 1
    (lease,) = extra(session, job)
    assert lease.node_id != attempt.node_id
    lost = session.get(Attempt, attempt.id)
    assert (lost.state, lost.reason) == ("lost", "drained")
    assert session.scalars(select(Task)).one().state == "queued"
    told = session.scalars(select(Event).where(Event.kind == "lease.moved")).one()
    assert told.data["slots"] == 1
    assert session.get(Job, job.id).state == "running"


@pytest.mark.parametrize(
    "case",
    [
        {"elapsed_s": 15},  # more is done than is left
        {"elapsed_s": 1, "other": False},  # there is no other place
        {"elapsed_s": 1, "code_bytes": 10**9},  # more than a minute to bring it there
        {"elapsed_s": 9, "limits": Limits(max_total_ms=25_000)},  # 15 s left: late there, not here
        {"elapsed_s": 1, "qos": Qos()},  # nobody knows how long it takes
    ],
)
def test_work_stays_where_moving_does_not_pay(session, look, case):
    job, attempt = draining(session, **case)
    assert look("moved") == 0
    assert extra(session, job) == []
    assert session.get(Attempt, attempt.id).state == "running"


def lose(session, sessions, job):
    """The node of ``job`` is shut out: its leases end, the demand is open again."""
    session.execute(text("UPDATE nodes SET state = 'quarantined'"))
    session.commit()
    reconciler = Reconciler(
        sessions=sessions, clock=lambda: AT, listening_s=lambda: 60.0, silent_after_s=10.0,
        lost_after_s=15.0, fee_basis_points=200,
    )  # fmt: skip
    reconciler.take("doomed", reconciler.doomed)
    session.expire_all()
    return session.scalars(select(Demand).where(Demand.job_id == job.id)).one()


@pytest.mark.parametrize(
    ("budget", "spent_ms", "asked"),
    [
        (10 * 1_667, 0, 4),  # pays for all: four slots were lost, four are asked for
        (3 * 1_667, 0, 3),  # pays for three tasks at their worst
        (3 * 1_667, 40_000, 2),  # 400 were delivered: 4,601 are left
        (3 * 1_667, 200_000, 2),  # four slots for ten seconds sold no more than 400
    ],
)
def test_lost_leases_are_bid_for_again_with_what_is_left(
    session, sessions, budget, spent_ms, asked
):
    job = make_job(session, tasks=10, slots_max=4, budget_micros=budget)
    node = make_node(session)
    lease = make_lease(session, job=job, node=node, slots=4)
    for task in tasks_of(session, job)[:4]:
        make_attempt(session, task=task, lease=lease, state="running")
        task.state = "placed"
    if spent_ms:
        done = tasks_of(session, job)[9]
        make_attempt(session, task=done, lease=lease, state="succeeded", chargeable_ms=spent_ms)
        done.state, job.tasks_succeeded = "succeeded", 1
    job.state = "running"
    session.execute(text("UPDATE demands SET state = 'filled', count_open = 0,"
                         " tried_cells = ARRAY['cell_x'], reach = 'root'"))  # fmt: skip
    demand = lose(session, sessions, job)
    assert (demand.state, demand.count_open) == ("open", asked)
    assert (demand.tried_cells, demand.reach) == ([], "region")


def claimed(session, job, lease, *, ms):
    """Five ended attempts of ``lease``, each of which claims to have run for ``ms``."""
    for task in tasks_of(session, job)[-5:]:
        make_attempt(session, task=task, lease=lease, state="succeeded", chargeable_ms=ms,
                     wall_ms=ms, ended_at=AT)  # fmt: skip
        task.state = "succeeded"
    job.tasks_succeeded += 5


def test_claims_of_one_slot_time_leave_money_for_a_top_up(session, look):
    # One slot sold ten seconds, 100 micros, however many attempts say that they had them all.
    job = late(session, budget_micros=2 * 1_667 + 100)
    claimed(session, job, session.scalars(select(Lease)).one(), ms=10_000)
    assert look("topped_up") == 1


@pytest.mark.parametrize(("budget", "placed"), [(1_667 + 100, 1), (1_667 + 99, 0)])
def test_claims_of_one_slot_time_leave_money_for_a_task(session, budget, placed):
    job = make_job(session, tasks=6, slots_max=1, budget_micros=budget)
    lease = make_lease(session, job=job, node=make_node(session))
    claimed(session, job, lease, ms=10_000)
    job.state = "running"
    session.flush()
    done = place_jobs(session, [job.id], allocator=LeastFinish(), fee_basis_points=200, now=AT,
                      seed=1)  # fmt: skip
    assert (len(done.orders), len(done.ended)) == (placed, 1 - placed)
    session.expire_all()
    assert session.get(Job, job.id).cost_micros == (0 if placed else 100)


def test_a_job_that_can_pay_for_nothing_more_ends(session, sessions):
    job = make_job(session, tasks=10, slots_max=4, budget_micros=1_667)
    lease = make_lease(session, job=job, node=make_node(session))
    done, running, *_ = tasks_of(session, job)
    make_attempt(session, task=done, lease=lease, state="succeeded", chargeable_ms=1_000)
    make_attempt(session, task=running, lease=lease)
    done.state, running.state = "succeeded", "placed"
    job.state, job.tasks_succeeded = "running", 1
    session.execute(text("UPDATE demands SET state = 'filled', count_open = 0"))
    lose(session, sessions, job)
    ended = session.get(Job, job.id)
    assert (ended.state, ended.end_reason, ended.cost_micros) == ("failed", "budget_exhausted", 10)
    assert ended.end_detail == "1657 micros are left, the next task may cost 1667"
