"""Versions of the policy, shadows, recorded rounds and market data over REST."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from broker.services.snapshot_store import pack
from db.tables import AuditEntry, Cell, Demand, Job, Price, ShadowPlan
from market.mechanisms import get, names, payments
from market.outcome import PaymentUnavailable
from market.snapshot import Policy
from sim.generators import random_snapshot
from sim.instances import from_json, from_npz
from tests import factories
from tests.integration.api.arrange import node_of, submit
from tests.integration.api.world import World


def make(world: World, **body: object) -> str:
    answer = world.operator.client.post("/v1/policies", json={"name": "p", "body": body})
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["id"]
    return made


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        ({"mechanism": "magic"}, "/body/mechanism", "there are bilateral, exact"),
        ({"mechanism": "greedy", "payment": "vcg"}, "/body/payment", "pay_as_bid, uniform, crit"),
        ({"payment": "critical"}, "/body/payment", "a policy without a mechanism"),
        ({"parameters": {"magic": 1.0}}, "/body/parameters", "fairness_steepness"),
        ({"parameters": {"repeatable": 2.0}}, "/body/parameters/repeatable", "between 0 and 1"),
        ({"price_floor_micros": 2, "price_cap_micros": 1}, "/body/price_floor_micros", "above"),
    ],
)
def test_policy_is_refused_with_a_sentence(
    world: World, body: dict[str, object], pointer: str, says: str
) -> None:
    answer = world.operator.client.post("/v1/policies", json={"name": "p", "body": body})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert says in answer.json()["detail"]


@pytest.mark.parametrize("name", names())
def test_every_mechanism_takes_the_payment_rules_that_policies_may_name(name: str) -> None:
    for rule in ("pay_as_bid", "uniform", "critical", "vcg"):
        snapshot = random_snapshot(bids=4, asks=3, seed=1, policy=Policy(payment=rule))
        try:
            get(name).clear(snapshot, budget_ms=200)
            worked = True
        except PaymentUnavailable:
            worked = False
        # A mechanism that prices for itself never asks for the rule; a policy may not pretend.
        assert worked or rule not in payments(name)


def test_shadow_is_set_replaced_and_ended(world: World) -> None:
    operator = world.operator.client
    live, first, second = make(world), make(world, mechanism="exact"), make(world)
    assert operator.post(f"/v1/policies/{live}/activate").status_code == 200
    assert operator.post(f"/v1/policies/{live}/shadow").json()["code"] == "conflict"
    assert operator.post(f"/v1/policies/{first}/shadow").json()["shadow"] is True
    assert operator.post(f"/v1/policies/{second}/shadow").json()["shadow"] is True
    shown = {each["id"]: each["shadow"] for each in operator.get("/v1/policies").json()["items"]}
    assert {key for key, shadow in shown.items() if shadow} == {second}
    assert operator.delete(f"/v1/policies/{first}/shadow").status_code == 409
    assert operator.delete(f"/v1/policies/{second}/shadow").status_code == 204
    assert world.tenant.client.get(f"/v1/policies/{second}").json()["shadow"] is False
    with world.platform.sessions() as session:
        actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert [each for each in actions if each.startswith("policy.")] == [
        *["policy.create"] * 3,
        "policy.activate",
        *["policy.shadow"] * 2,
        "policy.shadow_end",
    ]


def test_shadow_is_compared_over_its_rounds(world: World, now: datetime) -> None:
    policy = make(world, mechanism="exact")
    with world.platform.sessions.begin() as session:
        cell = session.get_one(Cell, world.cell_id)
        for k, at in enumerate((now, now, now - timedelta(days=9))):
            row = factories.make_round(session, cell=cell, created_at=at)
            live, shadow = {"welfare": 1.0 + k, "jain": 0.5}, {"welfare": 2.0 + k, "jain": 0.5}
            session.add(
                ShadowPlan(
                    round_id=row.id, policy_id=policy, cell_id=cell.id, live=live, shadow=shadow,
                    created_at=at,
                )
            )  # fmt: skip
        newest = row.id
    found = world.viewer.client.get(f"/v1/policies/{policy}/shadow").json()
    assert found["rounds"] == 2  # the third is too old
    figures = {each["name"]: each for each in found["items"]}
    assert (figures["welfare"]["live"], figures["welfare"]["shadow"]) == (1.5, 2.5)
    assert figures["welfare"]["change"] == pytest.approx(2 / 3)
    shown = world.viewer.client.get(f"/v1/market/rounds/{newest}").json()["shadow"]
    assert (shown["policy_id"], shown["shadow"]["welfare"]) == (policy, 4.0)


def test_snapshot_of_a_round_is_an_instance_that_makes_the_same_plan(world: World) -> None:
    snapshot = random_snapshot(
        bids=60, asks=8, seed=2, load=2.0, policy=Policy(mechanism="hierarchical")
    )
    plan = get("hierarchical").clear(snapshot, budget_ms=4)
    with world.platform.sessions.begin() as session:
        cell = session.get_one(Cell, world.cell_id)
        values = {"digest": plan.digest(), "effort": plan.effort, "budget_ms": 4}
        row = factories.make_round(session, cell=cell, snapshot=pack(snapshot), **values)
        path = f"/v1/market/rounds/{row.id}"
        without = factories.make_round(session, cell=cell).id
    client = world.operator.client
    recorded = client.get(path).json()
    text = client.get(f"{path}/snapshot")
    archive = client.get(f"{path}/snapshot", params={"form": "npz"})
    assert text.headers["content-type"] == "application/json"
    for found in (from_json(text.text), from_npz(archive.content)):
        again = get("hierarchical").clear(found, budget_ms=recorded["budget_ms"])
        assert again.digest() == recorded["digest"]
    gone = client.get(f"/v1/market/rounds/{without}/snapshot")
    assert (gone.status_code, gone.json()["code"]) == (404, "snapshot_gone")
    assert client.get("/v1/market/rounds/none/snapshot").json()["code"] == "not_found"


def test_statistics_by_step(world: World, now: datetime) -> None:
    node_of(world, world.owner)
    begin = now.replace(microsecond=0, second=0) - timedelta(minutes=4)
    with world.platform.sessions.begin() as session:
        home = session.get_one(Cell, world.cell_id)
        other = factories.make_cell(session)
        for minute, (price, asked, taken) in enumerate([(10, 8, 8), (30, 8, 2), (None, 4, 4)]):
            at = begin + timedelta(minutes=minute, seconds=1)
            depth = {"cpu_millis": [6, asked, taken]}
            row = factories.make_round(session, cell=home, created_at=at, depth=depth)
            if price is not None:
                session.add(
                    Price(
                        round_id=row.id, cell_id=home.id, resource="cpu_millis",
                        price_micros=price, utilisation=0.5, at=at,
                    )
                )  # fmt: skip
        other_id = other.id
    stays, goes = submit(world, world.tenant), submit(world, world.tenant)
    with world.platform.sessions.begin() as session:
        for job_id in (stays, goes):
            session.get_one(Job, job_id).created_at = begin + timedelta(seconds=30)
        moved = session.scalars(select(Demand).where(Demand.job_id == goes)).one()
        moved.cell_id = other_id
    where = {"cell_id": "home", "from": begin.isoformat()}
    found = world.tenant.client.get("/v1/market/statistics", params={**where, "step_s": 60}).json()
    first, second, third = found["items"]
    assert (first["price_p50_micros"], first["fill_rate"], first["depth_free"]) == (10, 1.0, 6)
    assert (first["demands"], first["share_forwarded"]) == (2, 0.5)
    assert (second["price_p50_micros"], second["fill_rate"]) == (30, 0.25)
    assert (second["demands"], second["share_forwarded"]) == (0, None)
    assert (third["price_p10_micros"], third["fill_rate"]) == (30, 1.0)  # the price stayed
    whole = world.tenant.client.get(
        "/v1/market/statistics", params={**where, "step_s": 86_400}
    ).json()["items"][-1]
    assert whole["price_p50_micros"] == pytest.approx(20)
    assert (whole["price_p10_micros"], whole["price_p90_micros"]) == pytest.approx((12, 28))
    assert whole["fill_rate"] == pytest.approx(14 / 20)
    refused = world.tenant.client.get("/v1/market/statistics", params={"step_s": 1})
    assert refused.json()["errors"][0]["pointer"] == "query:step_s"
