"""Rounds on a real database: leases, refusals, reasons, prices, forwarding, explanations."""

import datetime as dt
import threading

import pytest
from sqlalchemy import select, text

from broker.plan_apply import apply_plan
from broker.rounds import Rounds
from broker.rounds.single_flight import SingleFlight
from broker.services import explain
from broker.services.explain import explain_job
from broker.services.job_spec import Constraints
from broker.services.plan import plan_job
from broker.services.snapshot_store import unpack
from db.tables import BidOutcome, Demand, Job, Lease, RoundRow, StandingPrice
from market import mechanisms
from market.lifecycle import NodeState
from tests.factories import (
    NOW,
    make_account,
    make_artifact,
    make_cell,
    make_job,
    make_lease,
    make_node,
    spec_of,
)

SOON = NOW + dt.timedelta(seconds=1)


@pytest.fixture
def rounds(sessions, database_url):
    made = Rounds(
        sessions=sessions,
        flight=SingleFlight(database_url),
        clock=lambda: SOON,
        mechanism="greedy",
        budget_ms=100,
        interval_s=5.0,
    )
    yield made
    made.flight.close()


def the(session, table, **where):
    return session.scalars(select(table).filter_by(**where)).one()


def job_in(session, cell, **fields):
    return make_job(session, cell=cell.id, **fields)


def test_round_leases_what_fits_and_says_why_the_rest_lost(session, rounds):
    cell = make_cell(session)
    node = make_node(session, cell=cell)  # four cores
    jobs = [job_in(session, cell, tasks=3) for _ in range(2)]  # six slots of a core wanted
    session.commit()
    report = rounds.clear_cell(cell.id, timed=True)
    assert (report.bids, report.slots_applied, report.slots_refused) == (2, 4, 0)
    session.expire_all()
    leases = session.scalars(select(Lease).where(Lease.node_id == node.id)).all()
    assert sum(lease.slots for lease in leases) == 4
    assert all(
        lease.reserve_micros_per_hour <= lease.rate_micros_per_hour <= lease.limit_micros_per_hour
        for lease in leases
    )
    assert len({lease.epoch for lease in leases}) == len(leases)
    demands = session.scalars(select(Demand).order_by(Demand.count_open)).all()
    assert [(d.state, d.count_open) for d in demands] == [("filled", 0), ("open", 2)]
    assert demands[1].last_loss in {"no_capacity", "outbid"}  # full, by bids of the same worth
    assert {session.get(Job, job.id).state for job in jobs} == {"matched"}
    outcomes = session.scalars(select(BidOutcome)).all()
    assert sorted(outcome.slots_won for outcome in outcomes) == [1, 3]


def test_round_again_does_not_sell_what_is_leased(session, rounds):
    cell = make_cell(session)
    make_node(session, cell=cell)
    job_in(session, cell, tasks=4)
    session.commit()
    rounds.clear_cell(cell.id)
    job_in(session, cell, tasks=1)
    session.commit()
    assert rounds.clear_cell(cell.id, timed=True).slots_applied == 0


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE nodes SET state = 'offline'",
        "UPDATE nodes SET state = 'quarantined'",
        "UPDATE nodes SET cooldown_until = :later",
        "UPDATE nodes SET certificate_expires_at = :soon",
        "UPDATE offers SET state = 'withdrawn'",
        "UPDATE offers SET closes_at = :soon",
        'UPDATE offers SET capacity = \'{"cpu_millis": 500, "memory_bytes": 500000000}\'',
        "UPDATE jobs SET cancel_requested_at = :soon",
        "UPDATE jobs SET expires_at = :soon",
        "UPDATE demands SET state = 'closed', count_open = 0",
    ],
)
def test_apply_refuses_what_is_no_longer_so(session, rounds, spoil):
    cell = make_cell(session)
    make_node(session, cell=cell)
    job_in(session, cell)
    session.commit()
    snapshot = rounds.snapshot(cell.id)
    plan = mechanisms.get("greedy").clear(snapshot, budget_ms=100)
    assert plan.count.sum() == 1
    times = {"soon": SOON, "later": SOON + dt.timedelta(hours=1)}
    session.execute(text(spoil), {name: at for name, at in times.items() if f":{name}" in spoil})
    applied = apply_plan(session, snapshot, plan, now=SOON, packed=None, every_loser=True)
    assert (applied.slots_applied, applied.slots_refused) == (0, 1)
    assert session.scalars(select(Lease)).all() == []


def test_apply_twice_leases_once(session, rounds):
    cell = make_cell(session)
    make_node(session, cell=cell, capacity={"cpu_millis": 1_000, "memory_bytes": 1 << 30})
    for _ in range(2):
        job_in(session, cell)
    session.commit()
    snapshot = rounds.snapshot(cell.id)
    plan = mechanisms.get("greedy").clear(snapshot, budget_ms=100)
    first = apply_plan(session, snapshot, plan, now=SOON, packed=None, every_loser=False)
    session.execute(text("DELETE FROM bid_outcomes; DELETE FROM prices; DELETE FROM rounds"))
    second = apply_plan(session, snapshot, plan, now=SOON, packed=None, every_loser=False)
    assert (first.slots_applied, second.slots_applied) == (1, 0)


def test_stored_snapshot_clears_to_the_same_plan(session, rounds):
    cell = make_cell(session)
    for _ in range(3):
        make_node(session, cell=cell)
        job_in(session, cell, tasks=2)
    session.commit()
    rounds.clear_cell(cell.id)
    row = the(session, RoundRow)
    again = mechanisms.get(row.mechanism).clear(unpack(row.snapshot), budget_ms=100)
    assert again.welfare == pytest.approx(row.welfare)
    assert int(again.count.sum()) == row.slots_matched


def test_price_moves_by_the_time_that_passed(session, rounds):
    cell = make_cell(session)
    make_node(session, cell=cell)
    session.commit()
    rounds.clear_cell(cell.id, timed=True)
    first = the(session, StandingPrice, cell_id=cell.id, resource="cpu_millis").price_micros
    session.execute(text("UPDATE standing_prices SET at = :at"), {"at": SOON})
    session.commit()
    rounds.clear_cell(cell.id, timed=True)  # no time has passed since
    session.expire_all()
    assert the(
        session, StandingPrice, cell_id=cell.id, resource="cpu_millis"
    ).price_micros == pytest.approx(first)
    session.execute(
        text("UPDATE standing_prices SET at = :at"), {"at": SOON - dt.timedelta(minutes=1)}
    )
    session.commit()
    rounds.clear_cell(cell.id, timed=True)
    session.expire_all()
    price = the(session, StandingPrice, cell_id=cell.id, resource="cpu_millis").price_micros
    assert price < first  # nothing is used


def test_single_flight_lets_one_wait_and_sends_the_third_away(database_url):
    flights = [SingleFlight(database_url) for _ in range(3)]
    order: list[str] = []
    with flights[0].turn("cell") as first:
        assert first

        def wait():
            with flights[1].turn("cell") as mine:
                order.append(f"second {mine}")

        waiting = threading.Thread(target=wait)
        waiting.start()
        deadline = dt.datetime.now() + dt.timedelta(seconds=10)
        turn = True
        while turn and dt.datetime.now() < deadline:  # until the second one waits
            with SingleFlight.turn(flights[2], "other"):
                pass
            waiting_now = flights[2]._ask(
                flights[2]._connect(),
                "SELECT %s::int * 0 + count(*) FROM pg_locks WHERE NOT granted AND %s = 'cell'",
                1,
                "cell",
            )
            turn = waiting_now == 0
        with flights[2].turn("cell") as third:
            assert not third
        order.append("first ends")
    waiting.join(10)
    assert order == ["first ends", "second True"]
    for flight in flights:
        flight.close()


def test_explain_says_what_would_have_won(session, rounds):
    cell = make_cell(session)
    make_node(session, cell=cell, reserve={"cpu_millis": 500_000})
    make_node(session, cell=cell, runtimes={})
    job = job_in(session, cell, limit_micros_per_hour=100_000)
    session.commit()
    rounds.clear_cell(cell.id, timed=True)
    found = explain_job(session, job.id, account_id=job.account_id, now=SOON)
    assert found.market is not None
    assert {name: count for name, count, _ in found.ruled_out} == {
        "constraint": 1,
        "limit_below_reserve": 1,
    }
    assert found.price_to_win_micros_per_hour >= 500_000
    assert "limit" in found.summary
    assert found.rounds[0].loss == "limit_below_reserve"


def test_a_bid_of_a_past_round_is_explained_once(session, rounds, monkeypatch):
    cell = make_cell(session)
    make_node(session, cell=cell, reserve={"cpu_millis": 500_000})
    job, other = (job_in(session, cell, limit_micros_per_hour=limit) for limit in (100_000, 90_000))
    session.commit()
    rounds.clear_cell(cell.id, timed=True)
    opened = []
    monkeypatch.setattr(
        explain, "unpack", lambda packed: opened.append(len(packed)) or unpack(packed)
    )
    first, again = (
        explain_job(session, job.id, account_id=job.account_id, now=SOON) for _ in range(2)
    )
    assert len(opened) == 1
    assert again == first
    others = explain_job(session, other.id, account_id=other.account_id, now=SOON)
    assert len(opened) == 2
    assert others.market.bid != first.market.bid


def test_explain_of_a_winner_shows_its_candidates(session, rounds):
    cell = make_cell(session)
    nodes = [make_node(session, cell=cell) for _ in range(3)]
    job = job_in(session, cell)
    session.commit()
    rounds.clear_cell(cell.id)
    found = explain_job(session, job.id, account_id=None, now=SOON)
    assert {candidate.node for candidate in found.candidates} == {node.id for node in nodes}
    assert sum(candidate.slots_won for candidate in found.candidates) == 1
    assert found.price_to_win_micros_per_hour is None
    assert len(found.leases) == 1


def test_explain_says_why_a_moved_job_bids_less_than_its_limit(session, rounds):
    cell = make_cell(session)
    make_node(session, cell=cell, reserve={"cpu_millis": 90_000, "memory_bytes": 0})
    job = job_in(session, cell)
    session.execute(text("UPDATE demands SET limit_micros_per_hour = 60000"))
    session.commit()
    rounds.clear_cell(cell.id)
    session.expire_all()
    summary = explain_job(session, job.id, account_id=None, now=SOON).summary
    assert "it offers 0.06 credits an hour, the cheapest fitting node asks 0.09. It bids" in summary
    assert "It bids 0.06 and not its limit price of 0.1: since its work has moved" in summary


def test_explain_of_a_low_limit_in_a_full_cell_promises_nothing(session, rounds):
    cell = make_cell(session)
    node = make_node(session, cell=cell, reserve={"cpu_millis": 200_000, "memory_bytes": 0})
    make_lease(session, job=job_in(session, cell), node=node, slots=4)
    session.execute(text("UPDATE demands SET state = 'closed'"))
    job = job_in(session, cell)
    session.commit()
    rounds.clear_cell(cell.id)
    session.expire_all()
    summary = explain_job(session, job.id, account_id=None, now=SOON).summary
    assert "the cheapest fitting node asks 0.2. No limit would have won then" in summary


def test_explain_says_how_much_the_nodes_ruled_out_lack(session):
    cell = make_cell(session)
    make_node(session, cell=cell, reserve={"cpu_millis": 200_000, "memory_bytes": 0})
    make_node(session, cell=cell, reserve={"cpu_millis": 300_000, "memory_bytes": 0})
    make_node(session, cell=cell, capacity={"cpu_millis": 500, "memory_bytes": 1 << 30})
    make_node(session, cell=cell, reserve={"cpu_millis": 1_000, "memory_bytes": 0})
    job = job_in(session, cell)
    found = explain_job(session, job.id, account_id=None, now=SOON)
    assert [detail for _, _, detail in found.ruled_out] == [
        "1 could not hold one slot even when empty"
        " (cpu: needs 1 cores, the largest of them offers 0.5 cores)",
        "2 ask more than the job's limit price"
        " (limit: offers 0.1 credits an hour, the cheapest of them asks 0.2)",
    ]


def test_explain_before_the_first_round(session):
    cell = make_cell(session)
    make_node(session, cell=cell)
    job = job_in(session, cell)
    found = explain_job(session, job.id, account_id=None, now=SOON)
    assert len(found.candidates) == 1
    assert "waits" in found.summary


def plan_for(session, cell, **fields):
    account = make_account(session, funds_micros=10**9)
    make_artifact(session, account)
    spec = spec_of(cell=cell.id, **fields)
    return plan_job(session, account_id=account.id, spec=spec, now=SOON)


def test_plan_predicts_price_and_chance(session):
    cell = make_cell(session)
    make_node(session, cell=cell, reserve={"cpu_millis": 1_000, "memory_bytes": 0})
    plan = plan_for(session, cell)
    assert plan.serviceable
    assert (plan.candidates, plan.chance) == (1, 1.0)
    price = plan.price_micros_per_hour
    assert price.low == 1_000
    assert price.low <= price.likely <= price.high == 100_000
    assert plan.cost_micros.low <= plan.cost_micros.likely <= plan.cost_micros.high
    assert plan.cost_micros.high <= plan.hold_micros
    assert plan.start_ms_p50 is not None


def test_plan_learns_from_the_last_rounds(session, rounds):
    cell = make_cell(session)
    make_node(session, cell=cell, capacity={"cpu_millis": 1_000, "memory_bytes": 1 << 30})
    for _ in range(3):  # each time the only slot goes to a dearer bid, and is free again
        job_in(session, cell, tasks=1, limit_micros_per_hour=200_000)
        session.commit()
        rounds.clear_cell(cell.id)
        session.execute(text("UPDATE leases SET state = 'released', ended_at = created_at"))
        session.execute(text("UPDATE demands SET state = 'closed'"))
    plan = plan_for(session, cell, limit_micros_per_hour=100_000)
    assert 0.4 < plan.chance < 0.5  # the present counts as 2.5 rounds, and three speak against it
    assert plan.start_ms_p50 > 5_000
    dearer = plan_for(session, cell, limit_micros_per_hour=300_000)
    assert dearer.chance == 1.0
    assert dearer.start_ms_p90 < 5_000
    price = dearer.price_micros_per_hour
    assert price.low <= price.likely <= price.high < 300_000


def test_plan_of_a_full_cell_has_no_chance_now(session):
    cell = make_cell(session)
    node = make_node(session, cell=cell)
    make_lease(session, job=job_in(session, cell), node=node, slots=4)
    plan = plan_for(session, cell)
    assert plan.serviceable
    assert plan.chance == 0.0
    assert plan.start_ms_p50 > 1_000


def test_plan_says_what_no_node_could_ever_do(session):
    cell = make_cell(session)
    make_node(session, cell=cell)
    plan = plan_for(session, cell, constraints=Constraints(labels={"gpu": "yes"}))
    assert not plan.serviceable
    assert [(reason.constraint, reason.count) for reason in plan.reasons] == [("constraint", 1)]
    assert (plan.price_micros_per_hour, plan.cost_micros) == (None, None)
    assert plan.no_price.startswith("No price wins. None of the 1 known nodes could ever serve")


def test_plan_under_every_reserve_says_what_the_cheapest_asks(session):
    cell = make_cell(session)
    make_node(session, cell=cell, reserve={"cpu_millis": 200_000, "memory_bytes": 0})
    plan = plan_for(session, cell)
    assert (plan.price_micros_per_hour, plan.cost_micros) == (None, None)
    assert plan.no_price == (
        "The limit price is too low to win: offers 0.1 credits an hour, "
        "the cheapest fitting node asks 0.2."
    )


def test_plan_that_nobody_can_serve_now_has_no_price(session):
    cell = make_cell(session)
    make_node(session, cell=cell, state=NodeState.OFFLINE)
    plan = plan_for(session, cell)
    assert plan.serviceable
    assert plan.price_micros_per_hour is None
    assert plan.no_price == (
        "No price wins at this moment: no node of this cell has anything free to offer now."
    )
