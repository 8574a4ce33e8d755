"""Cells, nodes and offers: figures, changes, versions."""

from datetime import datetime, timedelta

from sqlalchemy import select

from db.tables import AuditEntry, Cell, Node, OutboxMessage
from db.telemetry import NewReading, TelemetryWriter, make_days
from tests import factories
from tests.integration.api.arrange import node_of
from tests.integration.api.world import World

GIB = 1 << 30


def test_cell_shows_what_is_offered_leased_and_free(world: World) -> None:
    node_id = node_of(world, world.owner)
    with world.platform.sessions.begin() as session:
        node = session.get_one(Node, node_id)
        factories.make_job(session, leased=[(node, 2)])
    cell = world.tenant.client.get("/v1/cells/home").json()
    assert cell["nodes"] == {"online": 1, "offline": 0, "total": 1}
    total, leased, free = (cell["capacity"][part] for part in ("total", "leased", "free"))
    assert total == {"cpu_millis": 4_000, "memory_bytes": 4 * GIB}
    assert leased["cpu_millis"] > 0
    assert free["cpu_millis"] == total["cpu_millis"] - leased["cpu_millis"]
    shown = world.owner.client.get(f"/v1/nodes/{node_id}").json()
    assert shown["leased"] == leased
    assert shown["free"] == free
    assert 0 < shown["reliability"] <= 1


def test_cell_create_and_change(world: World) -> None:
    operator = world.operator.client
    body = {"name": "kerb", "latitude": -37.8, "longitude": 144.9}
    made = operator.post("/v1/cells", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["parent_id"] == operator.get("/v1/cells/root").json()["id"]
    assert operator.post("/v1/cells", json=body).json()["code"] == "name_taken"
    assert operator.post("/v1/cells", json={"name": "r2", "level": "root"}).status_code == 409
    below = {"name": "x", "parent_id": made.json()["id"]}
    assert operator.post("/v1/cells", json=below).json()["errors"][0]["pointer"] == "/parent_id"
    tag = {"If-Match": made.headers["etag"]}
    changed = operator.patch("/v1/cells/kerb", json={"carbon_g_per_kwh": 300}, headers=tag)
    assert (changed.json()["carbon_g_per_kwh"], changed.json()["version"]) == (300, 2)
    assert operator.patch("/v1/cells/kerb", json={"name": "k"}, headers=tag).status_code == 412


def test_node_drain_writes_a_command(world: World) -> None:
    node_id = node_of(world, world.owner)
    path = f"/v1/nodes/{node_id}"
    answer = world.owner.client.patch(path, json={"draining": True})
    assert (answer.status_code, answer.json()["state"]) == (200, "draining")
    assert world.owner.client.patch(path, json={"draining": False}).json()["state"] == "online"
    with world.platform.sessions() as session:
        commands = session.scalars(select(OutboxMessage).order_by(OutboxMessage.id)).all()
        assert [(each.type, each.data) for each in commands] == [
            ("drain", {"on": True}),
            ("drain", {"on": False}),
        ]
        audit = session.scalars(select(AuditEntry).where(AuditEntry.subject_id == node_id)).all()
        assert {entry.action for entry in audit} == {"node.change"}
        assert {entry.account_id for entry in audit} == {world.owner.id}


def test_node_that_is_away_drains_when_it_is_back(world: World) -> None:
    path = f"/v1/nodes/{node_of(world, world.owner, state='offline')}"
    drained = world.owner.client.patch(path, json={"draining": True}).json()
    assert (drained["state"], drained["state_reason"]) == ("offline", "drained on request")
    again = world.owner.client.patch(path, json={"draining": False}).json()
    assert (again["state"], again["state_reason"]) == ("offline", "")
    never_seen = f"/v1/nodes/{node_of(world, world.owner, state='enrolled')}"
    refused = world.owner.client.patch(never_seen, json={"draining": True})
    assert (refused.status_code, refused.json()["code"]) == (409, "node_state")


def test_node_move_takes_its_offer_along(world: World) -> None:
    node_id = node_of(world, world.owner)
    with world.platform.sessions.begin() as session:
        other = factories.make_cell(session).id
    answer = world.owner.client.patch(f"/v1/nodes/{node_id}", json={"cell_id": other})
    assert answer.json()["cell_id"] == other
    offer = world.owner.client.get("/v1/offers", params={"node_id": node_id}).json()["items"][0]
    assert offer["cell_id"] == other


def test_offer_change_keeps_what_is_not_named(world: World) -> None:
    node_of(world, world.owner, reserve={"cpu_millis": 10, "memory_bytes": 20})
    offer = world.owner.client.get("/v1/offers").json()["items"][0]
    path = f"/v1/offers/{offer['id']}"
    body = {"reserve": {"cpu_millis": 99}, "refuses": ["bad tenant"]}
    tag = {"If-Match": world.owner.client.get(path).headers["etag"]}
    changed = world.owner.client.patch(path, json=body, headers=tag).json()
    assert changed["reserve"] == {"cpu_millis": 99, "memory_bytes": 20}
    assert changed["refuses"] == ["bad tenant"]
    assert changed["version"] == offer["version"] + 1
    assert world.owner.client.patch(path, json=body, headers=tag).status_code == 412
    unknown = world.owner.client.patch(path, json={"reserve": {"gold": 1}})
    assert unknown.json()["errors"][0]["pointer"] == "/reserve/gold"
    assert world.other_owner.client.get(path).status_code == 404
    assert world.owner.client.delete(path).status_code == 204
    assert world.owner.client.get(path).json()["state"] == "withdrawn"
    gone = world.owner.client.patch(path, json=body)
    assert (gone.status_code, gone.json()["code"]) == (409, "offer_state")


def test_telemetry_of_a_window(world: World, now: datetime) -> None:
    node_id = node_of(world, world.owner)
    path = f"/v1/nodes/{node_id}/telemetry"
    reading = NewReading(node_id=node_id, key="load_1m", at=now - timedelta(minutes=1), value=0.5)
    with world.platform.sessions.begin() as session:
        make_days(session, now=now)
        TelemetryWriter().write(session, [reading], now=now)
    items = world.owner.client.get(path, params={"key": "load_1m"}).json()["items"]
    assert [(item["key"], item["value"], item["count"]) for item in items] == [("load_1m", 0.5, 1)]
    at = now.isoformat().replace("+00:00", "Z")
    empty = world.owner.client.get(path, params={"key": "load_1m", "from": at, "to": at})
    assert empty.status_code == 422
    assert world.other_owner.client.get(path).status_code == 404


def test_cells_page_over_names(world: World) -> None:
    with world.platform.sessions.begin() as session:
        for _ in range(3):
            factories.make_cell(session)
        count = len(session.scalars(select(Cell.id)).all())
    seen, cursor = 0, None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = world.viewer.client.get("/v1/cells", params=params).json()
        seen, cursor = seen + len(page["items"]), page["next_cursor"]
        if cursor is None:
            break
    assert seen == count
