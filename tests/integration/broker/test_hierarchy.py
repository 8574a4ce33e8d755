"""Demands that their cell cannot serve: sent up, placed on supply curves, handed down, once."""

import datetime as dt

import pytest
from sqlalchemy import select, text

from broker.plan_apply import apply_plan
from broker.rounds import Rounds
from broker.rounds.single_flight import SingleFlight
from broker.rounds.supply import document, read_document, steps_of
from broker.rounds.upper import ROOT, UpperRounds
from broker.services.job_spec import Constraints, Qos
from broker.services.settlement import JobEnd, end_jobs
from db.control import hierarchy
from db.control.rounds import read_asks
from db.invariants import invariants
from db.tables import Demand, Event, Lease, RoundRow, Transfer, UpperRound
from market import mechanisms
from market.lifecycle import JobState
from tests.factories import (
    NOW,
    make_attempt,
    make_cell,
    make_job,
    make_node,
    tasks_of,
)

SOON = NOW + dt.timedelta(seconds=1)
CORE = {"cpu_millis": 1_000, "memory_bytes": 1 << 30}
TINY = {"cpu_millis": 100, "memory_bytes": 1 << 30}


class Markets:
    """The rounds of cells, regions and root, as the workers run them, one after the other."""

    def __init__(self, sessions, url, mechanism):
        self.flights = [SingleFlight(url) for _ in range(2)]
        common = {"sessions": sessions, "clock": lambda: SOON, "mechanism": mechanism}
        self.cells = Rounds(flight=self.flights[0], budget_ms=100, interval_s=5.0, **common)
        self.levels = UpperRounds(flight=self.flights[1], budget_ms=100, fresh_s=5.0, **common)

    def cell(self, cell, **how):
        return self.cells.clear_cell(cell.id, **how)

    def region(self, region, **how):
        return self.levels.clear(region.id, **how)

    def root(self, **how):
        return self.levels.clear(ROOT, **how)


@pytest.fixture(params=["greedy", "hierarchical"])
def markets(session, sessions, database_url, request):
    session.execute(
        text("UPDATE policies SET body = body || jsonb_build_object('mechanism', :name || '')"),
        {"name": request.param},
    )
    session.commit()
    made = Markets(sessions, database_url, request.param)
    yield made
    for flight in made.flights:
        flight.close()


def demand_of(session, job):
    session.expire_all()
    return session.scalars(select(Demand).where(Demand.job_id == job.id)).one()


def leases_of(session, job):
    session.expire_all()
    return session.scalars(select(Lease).where(Lease.job_id == job.id)).all()


def full_and_roomy(session, **roomy):
    """A home whose node holds no slot, another cell with room, and their nodes."""
    home, other = make_cell(session), make_cell(session)
    make_node(session, cell=home, capacity=TINY)
    return home, other, make_node(session, cell=other, **roomy)


def test_a_demand_is_handed_to_the_cell_that_has_room(session, markets):
    home, other, _ = full_and_roomy(session)
    job = make_job(session, cell=home.id, tasks=3)
    session.commit()
    assert markets.cell(home).sent_up == 1
    report = markets.root()
    assert (report.bids, report.handed_down, report.slots) == (1, 1, 3)
    demand = demand_of(session, job)
    assert (demand.cell_id, demand.home_cell_id) == (other.id, home.id)
    assert demand.tried_cells == [home.id]
    markets.cell(other)
    assert [(lease.cell_id, lease.slots) for lease in leases_of(session, job)] == [(other.id, 3)]
    told = session.scalars(select(Event).where(Event.kind == "job.forwarded")).one()
    assert told.account_id == job.account_id
    assert told.data["to_cell"] == other.id


def test_only_the_rest_of_what_was_traded_at_home_is_offered_elsewhere(session, markets):
    home, other = make_cell(session), make_cell(session)
    make_node(session, cell=home, capacity=CORE)
    make_node(session, cell=other)
    job = make_job(session, cell=home.id, tasks=4)
    session.commit()
    assert markets.cell(home).slots_applied == 1
    assert markets.root().slots == 3
    markets.cell(other)
    assert sorted((lease.cell_id == home.id, lease.slots) for lease in leases_of(session, job)) == [
        (False, 3),
        (True, 1),
    ]
    demand = demand_of(session, job)
    assert (demand.state, demand.count_open) == ("filled", 0)
    # Every slot is counted in the round of one cell, and sent up once.
    rows = session.scalars(select(RoundRow).order_by(RoundRow.created_at, RoundRow.id)).all()
    assert sum(row.slots_applied for row in rows) == 4
    assert sum(row.slots_sent_up for row in rows) == 3
    upper = session.scalars(select(UpperRound)).one()
    assert (upper.slots_asked, upper.slots_handed_down, upper.cell_count) == (3, 3, 2)


def test_a_trade_at_home_during_the_round_above_is_not_offered_again(session, markets):
    home, other, _ = full_and_roomy(session)
    job = make_job(session, cell=home.id, tasks=2)
    session.commit()
    markets.cell(home)
    seen = markets.levels.see(ROOT, timed=False)
    plan = mechanisms.get("greedy").clear(seen.snapshot, budget_ms=100)
    assert plan.count.sum() == 2
    session.execute(text("UPDATE demands SET count_open = 1"))  # the home served one meanwhile
    moved, slots = markets.levels.apply(session, ROOT, seen, plan, timed=False, timings_ms={})
    assert ([each.slots for each in moved.values()], slots) == ([1], 1)
    session.commit()
    assert markets.cell(other).slots_applied == 1
    assert sum(lease.slots for lease in leases_of(session, job)) == 1


@pytest.mark.parametrize(
    "meanwhile",
    [
        "UPDATE demands SET state = 'filled', count_open = 0",
        "UPDATE demands SET cell_id = 'elsewhere'",
        "UPDATE jobs SET cancel_requested_at = now()",
        "UPDATE jobs SET expires_at = created_at",
    ],
)
def test_what_is_no_longer_so_is_not_handed_down(session, markets, meanwhile):
    home, _, _ = full_and_roomy(session)
    make_cell(session, id="elsewhere")
    make_job(session, cell=home.id)
    session.commit()
    markets.cell(home)
    seen = markets.levels.see(ROOT, timed=False)
    plan = mechanisms.get("greedy").clear(seen.snapshot, budget_ms=100)
    session.execute(text(meanwhile))
    done = markets.levels.apply(session, ROOT, seen, plan, timed=False, timings_ms={})
    assert done == ({}, 0)


def test_capacity_is_promised_once(session, markets):
    home, other, _ = full_and_roomy(session)  # four cores
    for _ in range(2):
        make_job(session, cell=home.id, tasks=4)
    session.commit()
    markets.cell(home)
    assert markets.root().slots == 4
    markets.cell(home)
    assert markets.root().slots == 0  # before the other cell has told anew
    assert markets.cell(other).slots_applied == 4
    assert markets.root().slots == 0


def test_a_demand_keeps_to_its_cell_if_it_says_so(session, markets):
    home, _, _ = full_and_roomy(session)
    make_node(session, cell=home, cooldown_until=NOW + dt.timedelta(days=1))
    job = make_job(session, cell=home.id, constraints=Constraints(cell_only=True))
    session.commit()
    assert markets.cell(home).sent_up == 0
    assert markets.root(timed=True).bids == 0
    assert demand_of(session, job).cell_id == home.id


@pytest.mark.parametrize(
    ("roomy", "asked"),
    [
        ({}, {"constraints": Constraints(labels={"zone": "a"})}),
        ({"labels": {"bad": "yes"}}, {"constraints": Constraints(not_labels={"bad": "yes"})}),
        ({"arch": "riscv64"}, {"constraints": Constraints(arch=("x86_64",))}),
        ({"runtimes": {"onnx": "1"}}, {}),
        ({"reserve": {"cpu_millis": 200_000}}, {}),
        ({"offer": {"accepts": ["somebody else"]}}, {}),
        ({"capacity": {"cpu_millis": 900, "memory_bytes": 1 << 33}}, {}),
        ({"state": "draining"}, {}),
        ({}, {"qos": Qos(latency_ms_max=5)}),  # between unknown places it is taken to be 20
        ({"calibration_ops_per_s": 10_000_000}, {"qos": Qos(speed_min=5.0)}),
        ({"reliability_all": 100.0, "reliability_good": 50.0}, {"qos": Qos(reliability_min=0.9)}),
    ],
)
def test_a_level_above_gives_no_cell_what_it_cannot_serve(session, markets, roomy, asked):
    home, _, _ = full_and_roomy(session, **roomy)
    make_node(session, cell=home, capacity={"cpu_millis": 16_000, "memory_bytes": 1 << 35},
              labels={"zone": "a"}, cooldown_until=NOW + dt.timedelta(days=1))  # fmt: skip
    job = make_job(session, cell=home.id, **asked)
    session.commit()
    assert markets.cell(home).slots_applied == 0
    markets.root()
    assert demand_of(session, job).cell_id == home.id


def test_a_job_that_names_nodes_goes_to_their_cell(session, markets):
    home, _, _ = full_and_roomy(session)
    third = make_cell(session)
    node = make_node(session, cell=third)
    job = make_job(session, cell=home.id, constraints=Constraints(nodes=(node.id,)))
    session.commit()
    markets.cell(home)
    markets.root()
    assert demand_of(session, job).cell_id == third.id
    markets.cell(third)
    assert [lease.node_id for lease in leases_of(session, job)] == [node.id]


def test_a_slot_that_fits_no_single_node_goes_nowhere(session, markets):
    home, other, _ = full_and_roomy(session, capacity=CORE)
    make_node(session, cell=other, capacity=CORE)  # two cores, never on one node
    make_node(session, cell=home, cooldown_until=NOW + dt.timedelta(days=1))
    big = {"cpu_millis": 2_000, "memory_bytes": 1 << 20}
    job = make_job(session, cell=home.id, resources=big)
    session.commit()
    markets.cell(home)
    assert markets.root().handed_down == 0
    assert demand_of(session, job).cell_id == home.id


def test_what_a_cell_fails_to_serve_tries_the_others(session, markets):
    home, other, node = full_and_roomy(session, reserve={"cpu_millis": 1})  # the cheapest
    third = make_cell(session)
    make_node(session, cell=third, reserve={"cpu_millis": 50_000})
    job = make_job(session, cell=home.id)
    session.commit()
    markets.cell(home)
    markets.root()
    assert demand_of(session, job).cell_id == other.id
    session.execute(text("UPDATE nodes SET state = 'offline' WHERE id = :id"), {"id": node.id})
    session.commit()
    assert markets.cell(other).sent_up == 1
    markets.root()
    assert demand_of(session, job).cell_id == third.id
    assert markets.cell(third).slots_applied == 1


def test_a_region_comes_before_the_root(session, markets):
    root = make_cell(session, level="root")
    west = make_cell(session, level="region", parent_id=root.id)
    east = make_cell(session, level="region", parent_id=root.id)
    home = make_cell(session, parent_id=west.id)
    near = make_cell(session, parent_id=west.id)
    far = make_cell(session, parent_id=east.id)
    make_node(session, cell=home, capacity=TINY)
    make_node(session, cell=near, capacity=CORE)
    make_node(session, cell=far)
    jobs = [make_job(session, cell=home.id) for _ in range(2)]
    session.commit()
    markets.cell(home)
    assert markets.root().bids == 0  # their region has not been asked
    assert markets.region(west).handed_down == 1
    assert markets.root().handed_down == 1
    assert {demand_of(session, job).cell_id for job in jobs} == {near.id, far.id}
    assert hierarchy.places_with_work(session) == []


def test_the_owner_who_serves_is_paid_and_the_tenant_charged_once(session, markets):
    home, other, node = full_and_roomy(session)
    job = make_job(session, cell=home.id)
    session.commit()
    markets.cell(home)
    markets.root()
    markets.cell(other)
    lease = leases_of(session, job)[0]
    (task,) = tasks_of(session, job)
    make_attempt(session, task=task, lease=lease, state="succeeded", chargeable_ms=3_600_000)
    task.state = "succeeded"
    session.execute(text("UPDATE jobs SET state = 'running', tasks_succeeded = 1"))
    session.flush()
    end = JobEnd(job_id=job.id, state=JobState.SUCCEEDED)
    end_jobs(session, [end], fee_basis_points=200, now=SOON + dt.timedelta(hours=1))
    paid = {t.kind: t for t in session.scalars(select(Transfer).where(Transfer.job_id == job.id))}
    charged = min(lease.rate_micros_per_hour, job.hold_micros)
    assert (paid["charge"].debit_id, paid["charge"].amount_micros) == (job.account_id, charged)
    assert paid["payout"].credit_id == node.owner_id
    fee = paid["fee"].amount_micros if "fee" in paid else 0
    assert paid["payout"].amount_micros + fee == charged
    assert [each for each in invariants(session) if not each.ok] == []


def test_a_cell_clears_while_the_root_hangs(session, markets, database_url):
    home, _, _ = full_and_roomy(session)
    make_job(session, cell=home.id)
    session.commit()
    markets.cell(home)
    hanging = SingleFlight(database_url)
    with hanging.turn("up:root") as mine:
        assert mine
        assert not markets.root().ran  # leaves at once
        make_node(session, cell=home)
        session.commit()
        assert markets.cell(home).slots_applied == 1
    hanging.close()


def test_a_root_that_dies_in_its_round_leaves_nothing(session, sessions, markets):
    home, _, _ = full_and_roomy(session)
    job = make_job(session, cell=home.id)
    session.commit()
    markets.cell(home)
    seen = markets.levels.see(ROOT, timed=False)
    plan = mechanisms.get("greedy").clear(seen.snapshot, budget_ms=100)
    dying = sessions()
    markets.levels.apply(dying, ROOT, seen, plan, timed=False, timings_ms={})
    dying.get_bind().dispose()
    dying.connection().connection.invalidate()  # the process is gone before its commit
    dying.close()
    assert demand_of(session, job).cell_id == home.id
    assert session.scalars(select(UpperRound)).all() == []
    session.rollback()
    assert markets.root().handed_down == 1


def test_a_leased_slot_is_in_no_curve(session, markets):
    home, other, node = full_and_roomy(session)
    make_job(session, leased=[(node, 3)], cell=other.id, tasks=3)
    session.execute(text("UPDATE demands SET state = 'filled', count_open = 0"))
    job = make_job(session, cell=home.id, tasks=2)
    session.commit()
    markets.cell(home)
    markets.root()
    markets.cell(other)
    assert [lease.slots for lease in leases_of(session, job)] == [1]


def test_a_curve_is_what_it_was_when_it_is_read_back(session):
    cell = make_cell(session)
    for k in range(10):
        make_node(session, cell=cell, reserve={"cpu_millis": 10 + k}, labels={"half": str(k % 2)})
    steps = steps_of(read_asks(session, [cell.id], now=SOON), cell.id)
    assert len(steps) == 8  # two classes of four steps
    assert sum(step.nodes for step in steps) == 10
    assert sum(step.ask.capacity[0] for step in steps) == 40_000
    assert {step.largest[0] for step in steps} == {4_000}
    hierarchy.write_curve(session, cell.id, document(steps), now=SOON)
    (curve,) = hierarchy.read_curves(session, [cell.id])
    assert read_document(curve.steps) == steps


def test_a_plan_of_the_taking_cell_still_rechecks(session, markets):
    home, other, node = full_and_roomy(session)
    make_job(session, cell=home.id)
    session.commit()
    markets.cell(home)
    markets.root()
    snapshot = markets.cells.snapshot(other.id)
    plan = mechanisms.get("greedy").clear(snapshot, budget_ms=100)
    session.execute(text("UPDATE nodes SET state = 'offline' WHERE id = :id"), {"id": node.id})
    applied = apply_plan(session, snapshot, plan, now=SOON, packed=None, every_loser=True)
    assert (applied.slots_applied, applied.slots_refused) == (0, 1)
