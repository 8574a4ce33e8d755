"""What goes on beside the live rounds: their record, the shadow policy, a slow or dead root."""

import itertools
import threading
import time

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from broker.rounds import Rounds
from broker.rounds.single_flight import SingleFlight
from broker.services.snapshot_store import unpack
from db.tables import Event, Lease, PolicyRow, RoundRow, ShadowPlan
from market import mechanisms
from market.repeating import repeated
from tests.factories import make_cell, make_job, make_node
from tests.integration.broker.test_rounds import SOON


@pytest.fixture
def make_rounds(sessions, database_url):
    made: list[Rounds] = []

    def make(**fields):
        flight = SingleFlight(database_url)
        values = {"mechanism": "greedy", "budget_ms": 100, "interval_s": 5.0, **fields}
        made.append(Rounds(sessions=sessions, flight=flight, clock=lambda: SOON, **values))
        return made[-1]

    yield make
    for each in made:
        each.flight.close()


def put_policy(session, body, *, shadow):
    session.add(
        PolicyRow(
            id=f"policy_{'shadow' if shadow else 'live'}", name="p", body=body, shadow=shadow,
            created_by="account_platform", created_at=SOON, activated_at=SOON,
        )
    )  # fmt: skip


def crowd(session, *, jobs=6, nodes=2):
    cell = make_cell(session)
    for _ in range(nodes):
        make_node(session, cell=cell)
    limits = [100_000 + 7_000 * k for k in range(jobs)]
    made = [make_job(session, cell=cell.id, tasks=3, limit_micros_per_hour=m) for m in limits]
    return cell, made


def test_recorded_round_is_repeated_to_the_byte(session, make_rounds):
    put_policy(session, {"mechanism": "hierarchical"}, shadow=False)
    cell, _ = crowd(session)
    session.commit()
    make_rounds(budget_ms=3).clear_cell(cell.id, timed=True)
    row = session.scalars(select(RoundRow)).one()
    assert (row.mechanism, row.budget_ms) == ("hierarchical", 3)
    assert row.effort["threads"] >= 1
    assert row.depth["cpu_millis"] == [8_000, 18_000, 8_000]
    snapshot = repeated(unpack(row.snapshot), row.effort)
    again = mechanisms.get("hierarchical").clear(snapshot, budget_ms=row.budget_ms)
    assert again.digest() == row.digest
    assert again.welfare == row.welfare


def test_shadow_clears_the_same_round_and_changes_nothing(session, make_rounds):
    put_policy(session, {"mechanism": "random"}, shadow=False)
    put_policy(session, {"mechanism": "exact", "weight_cost": 1, "weight_qos": 0}, shadow=True)
    cell, _ = crowd(session)
    session.commit()
    rounds = make_rounds()
    rounds.clear_cell(cell.id, timed=True)
    leases = session.scalars(select(Lease.id).order_by(Lease.id)).all()
    assert session.scalars(select(ShadowPlan)).all() == []  # nothing before the live plan is told
    session.rollback()
    assert rounds.shadow()
    assert not rounds.shadow()  # each round once
    found = session.scalars(select(ShadowPlan)).one()
    row = session.scalars(select(RoundRow)).one()
    assert (found.round_id, found.policy_id, found.cell_id) == (row.id, "policy_shadow", cell.id)
    assert found.live["welfare"] == pytest.approx(row.welfare)
    assert found.live["slots"] == row.slots_matched
    assert found.shadow["slots"] > 0
    # Of another score: its own bound says nothing here, that of the round holds for it too.
    assert found.shadow["bound"] == found.live["bound"] >= found.shadow["welfare"]
    assert found.shadow["gap"] == pytest.approx(
        1 - found.shadow["welfare"] / found.live["bound"], abs=1e-9
    )
    assert {"revenue_micros_per_hour", "power_milliwatts", "jain", "gap", "clear_ms"} <= set(
        found.shadow
    )
    assert session.scalars(select(Lease.id).order_by(Lease.id)).all() == leases
    told = session.scalars(select(Event).where(Event.kind == "round.shadow")).one()
    assert (told.subject_id, told.account_id) == (cell.id, None)  # not for tenants nor owners
    assert told.data == {
        "round_id": row.id,
        "cell_id": cell.id,
        "policy_id": "policy_shadow",
        "welfare": found.live["welfare"],
        "welfare_shadow": found.shadow["welfare"],
    }


def test_shadow_that_cannot_clear_harms_nothing(session, make_rounds):
    put_policy(session, {"mechanism": "gone_since"}, shadow=True)
    cell, _ = crowd(session)
    session.commit()
    rounds = make_rounds()
    assert rounds.clear_cell(cell.id).slots_applied == 8
    assert not rounds.shadow()


def test_shadow_leaves_out_rounds_rather_than_take_the_workers_time(session, make_rounds):
    put_policy(session, {"mechanism": "exact"}, shadow=True)
    cell, _ = crowd(session, nodes=20)
    session.commit()
    rounds = make_rounds()
    rounds.shadows.monotonic = itertools.count().__next__  # each look takes a second
    done = []
    for _ in range(3):
        make_job(session, cell=cell.id)
        session.commit()
        rounds.clear_cell(cell.id)
        done.append(rounds.shadow())
    assert done == [True, False, True]


def test_cell_clears_while_the_root_is_slow(session, make_rounds):
    cell, _ = crowd(session, jobs=1, nodes=0)
    session.commit()
    asked, answer = threading.Event(), threading.Event()

    def slow(*_args, **_fields):
        asked.set()
        assert answer.wait(30)
        return 0

    behind = threading.Thread(
        target=make_rounds(send_up=slow).clear_cell, args=(cell.id,), kwargs={"timed": True}
    )
    behind.start()
    assert asked.wait(30)
    make_node(session, cell=cell)
    session.commit()
    began = time.monotonic()
    report = make_rounds().clear_cell(cell.id)
    assert (report.ran, report.slots_applied) == (True, 3)
    assert time.monotonic() - began < 10
    assert behind.is_alive()
    answer.set()
    behind.join(30)


def test_cell_clears_though_the_root_is_dead(session, make_rounds):
    cell, jobs = crowd(session, jobs=2, nodes=1)
    session.commit()

    def dead(*_args, **_fields):
        raise OperationalError("SELECT", {}, Exception("canceling statement due to timeout"))

    report = make_rounds(send_up=dead).clear_cell(cell.id, timed=True)
    assert (report.slots_applied, report.sent_up) == (4, 0)
    session.expire_all()
    assert {session.get(type(job), job.id).state for job in jobs} == {"matched"}
