"""Prices, rounds, the book, leases and policies as each role sees them."""

from datetime import datetime, timedelta

from sqlalchemy import select

from db.ids import new_id
from db.tables import (
    Account,
    BidOutcome,
    Cell,
    Demand,
    Lease,
    Node,
    Price,
    StandingPrice,
    UpperRound,
)
from tests import factories
from tests.integration.api.arrange import node_of, submit
from tests.integration.api.world import World


def test_prices_in_force_and_before(world: World, now: datetime) -> None:
    with world.platform.sessions.begin() as session:
        cell = session.get_one(Cell, world.cell_id)
        row = factories.make_round(session, cell=cell)
        key = {"cell_id": cell.id, "resource": "cpu_millis", "utilisation": 0.5}
        session.add(StandingPrice(**key, price_micros=1234.6, at=now))
        session.add(Price(**key, round_id=row.id, price_micros=1000.4, at=now))
        old = factories.make_round(session, cell=cell)
        session.add(Price(**key, round_id=old.id, price_micros=1.0, at=now - timedelta(hours=2)))
    found = world.tenant.client.get("/v1/market/prices", params={"cell_id": "home"}).json()
    assert [(each["resource"], each["price_micros"]) for each in found["items"]] == [
        ("cpu_millis", 1235)
    ]
    history = world.tenant.client.get(
        "/v1/market/prices/history", params={"cell_id": "home", "resource": "cpu_millis"}
    ).json()
    assert [each["price_micros"] for each in history["items"]] == [1000]  # the other is too old
    assert world.tenant.client.get("/v1/cells/home").json()["prices"]["cpu_millis"] == {
        "price_micros": 1235,
        "utilisation": 0.5,
    }
    nowhere = world.tenant.client.get("/v1/market/prices", params={"cell_id": "nowhere"})
    assert nowhere.status_code == 404


def test_round_shows_the_outcomes_of_ones_own_bids(world: World) -> None:
    node_of(world, world.owner)
    job_id = submit(world, world.tenant)
    with world.platform.sessions.begin() as session:
        cell = session.get_one(Cell, world.cell_id)
        row = factories.make_round(session, cell=cell, slots_sent_up=7)
        demand = session.scalars(select(Demand).where(Demand.job_id == job_id)).one()
        outcome = {"slots_asked": 1, "slots_won": 0, "loss": "outbid", "detail": "dearer ones won"}
        session.add(BidOutcome(round_id=row.id, demand_id=demand.id, **outcome))
        round_id = row.id
    rounds = world.tenant.client.get("/v1/market/rounds").json()["items"]
    assert [each["id"] for each in rounds] == [round_id]
    assert 0 <= rounds[0]["gap"] <= 1
    assert rounds[0]["slots_sent_up"] == 7
    path = "/v1/market/rounds"
    assert world.tenant.client.get(path, params={"with_bids": True}).json()["items"] == []
    path = f"/v1/market/rounds/{round_id}"
    mine = world.tenant.client.get(path).json()["outcomes"]
    assert [(each["job_id"], each["loss"]) for each in mine] == [(job_id, "outbid")]
    assert world.other_tenant.client.get(path).json()["outcomes"] == []
    assert len(world.operator.client.get(path).json()["outcomes"]) == 1
    explained = world.tenant.client.get(f"/v1/jobs/{job_id}/explain").json()
    assert [each["round_id"] for each in explained["rounds"]] == [round_id]


def test_rounds_above_the_cells_by_place_and_page(world: World, now: datetime) -> None:
    region = world.operator.client.post("/v1/cells", json={"name": "coast", "level": "region"})
    places = [region.json()["id"], "root", "root"]
    counts = {"bid_count": 2, "cell_count": 3, "step_count": 4, "bytes_up": 500}
    down = {"slots_asked": 6, "slots_handed_down": 5, "bids_handed_down": 1}
    with world.platform.sessions.begin() as session:
        for age, place in enumerate(places):
            at = now - timedelta(seconds=age)
            row = UpperRound(id=new_id("upper", at), place=place, created_at=at, **counts, **down,
                             timings_ms={"clear": 1.5})  # fmt: skip
            session.add(row)
    client = world.tenant.client
    path = "/v1/market/upper-rounds"
    first = client.get(path, params={"limit": 2}).json()
    rest = client.get(path, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    found = [*first["items"], *rest["items"]]
    assert [each["place"] for each in found] == places
    assert [each["place_name"] for each in found] == ["coast", "root", "root"]
    assert rest["next_cursor"] is None
    assert found[0].items() >= {**counts, **down, "timings_ms": {"clear": 1.5}}.items()
    assert client.get(f"{path}/{found[0]['id']}").json() == found[0]
    for place, count in [("coast", 1), (places[0], 1), ("root", 2)]:
        assert len(client.get(path, params={"place": place}).json()["items"]) == count, place
    for gone in (f"{path}/none", f"{path}?place=nowhere"):
        answer = client.get(gone)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_book_has_both_sides(world: World) -> None:
    node_of(world, world.owner, reserve={"cpu_millis": 10, "memory_bytes": 1})
    submit(world, world.tenant)
    book = world.tenant.client.get("/v1/market/book", params={"cell_id": "home"}).json()
    asks = {each["resource"]: each for each in book["asks"]}
    assert (asks["cpu_millis"]["price_micros"], asks["cpu_millis"]["units"]) == (10, 4_000)
    bids = {each["resource"]: each for each in book["bids"]}
    assert (bids["cpu_millis"]["price_micros"], bids["cpu_millis"]["units"]) == (1_000_000, 1_000)


def test_leases_are_for_their_two_sides(world: World) -> None:
    node_id = node_of(world, world.owner)
    with world.platform.sessions.begin() as session:
        tenant = session.get_one(Account, world.tenant.id)
        factories.deposit(session, tenant.id, 1_000_000_000)
        node = session.get_one(Node, node_id)
        factories.make_job(session, account=tenant, leased=[(node, 2)])
    for role, count in [("tenant", 1), ("owner", 1), ("other_tenant", 0), ("operator", 1)]:
        items = (
            world.party(role).client.get("/v1/leases", params={"state": "active"}).json()["items"]
        )
        assert len(items) == count, role
    lease = world.owner.client.get("/v1/leases").json()["items"][0]
    assert (lease["slots"], lease["node_id"]) == (2, node_id)
    assert lease["resources"]["cpu_millis"] > 0
    assert world.tenant.client.get(f"/v1/leases/{lease['id']}").json() == lease
    assert world.other_owner.client.get(f"/v1/leases/{lease['id']}").status_code == 404
    ended = world.owner.client.get("/v1/leases", params={"state": "released"}).json()["items"]
    assert ended == []


def test_policy_is_added_activated_and_rolled_back(world: World) -> None:
    operator = world.operator.client
    body = {"name": "greener", "body": {"weight_energy": 1, "mechanism": "exact"}, "activate": True}
    made = operator.post("/v1/policies", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["activated_at"] is not None
    assert operator.get("/v1/overview").json()["control"]["mechanism"] == "exact"
    first = operator.get("/v1/policies").json()["items"][-1]
    assert operator.post(f"/v1/policies/{first['id']}/activate").status_code == 200
    assert operator.get("/v1/overview").json()["control"]["mechanism"] != "exact"
    nothing = {f"weight_{term}": 0 for term in ("cost", "qos", "energy", "fairness")}
    refused = operator.post("/v1/policies", json={"name": "no weights", "body": nothing})
    assert refused.json()["errors"][0]["pointer"] == "/body/weight_cost"
    assert operator.post("/v1/policies/none/activate").status_code == 404


def test_logs_show_the_last_lines(world: World) -> None:
    node_id = node_of(world, world.owner)
    with world.platform.sessions.begin() as session:
        tenant = session.get_one(Account, world.tenant.id)
        factories.deposit(session, tenant.id, 1_000_000_000)
        job = factories.make_job(
            session, account=tenant, leased=[(session.get_one(Node, node_id), 1)]
        )
        lease = session.scalars(select(Lease).where(Lease.job_id == job.id)).one()
        task = factories.tasks_of(session, job)[0]
        factories.make_attempt(session, task=task, lease=lease, log_tail="one\ntwo\nthree\n")
        job_id = job.id
    path = f"/v1/jobs/{job_id}/logs"
    assert world.tenant.client.get(path).json()["items"][0]["log_tail"] == "one\ntwo\nthree\n"
    last = world.tenant.client.get(path, params={"tail": 1, "task": 0}).json()["items"]
    assert [each["log_tail"] for each in last] == ["three\n"]
    attempts = world.tenant.client.get(f"/v1/jobs/{job_id}/attempts").json()["items"]
    assert [(each["node_id"], each["task_index"]) for each in attempts] == [(node_id, 0)]
