"""Events over SSE: live, resumed, scoped, and ended when the server stops."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api import stream
from api.routes import events as routes
from db import events
from db.events import NewEvent
from tests.integration.api.live import served
from tests.integration.api.world import Party, World


def tell(world: World, *subjects: str, party: Party | None = None) -> None:
    """Append one event for each subject."""
    account_id = None if party is None else party.id
    new = [NewEvent(kind="job.test", subject_id=each, account_id=account_id) for each in subjects]
    with world.platform.sessions.begin() as session:
        events.append(session, new, now=world.platform.now())


class Follower:
    """Reads a stream of events one by one."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()
        self.heard = ""  # the last comment

    def wait_until_live(self) -> None:
        """Until the server says that it listens."""
        while not self.heard:
            self._frame()

    def next(self) -> dict[str, Any]:
        while True:
            if (found := self._frame()) is not None:
                return found

    def rest(self) -> list[dict[str, Any]]:
        """What comes until the server ends the stream."""
        found = []
        try:
            while True:
                found.append(self.next())
        except StopIteration:
            return found

    def _frame(self) -> dict[str, Any] | None:
        fields: dict[str, str] = {}
        while line := next(self._lines):
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        self.heard = fields.get("", self.heard)
        if "data" not in fields:
            return None
        data: dict[str, Any] = json.loads(fields["data"])
        assert data["id"] == fields["id"]
        assert data["kind"] == fields["event"]
        return data


@pytest.fixture
def base(world: World) -> Iterator[str]:
    with served(world.app, world.platform) as url:
        yield url


def follow(base: str, party: Party, **options: Any) -> Any:
    headers = party.headers | options.pop("headers", {})
    return httpx.stream("GET", f"{base}/v1/events", headers=headers, timeout=10, **options)


def test_events_arrive_live_and_in_order(world: World, base: str) -> None:
    with follow(base, world.operator) as response:
        follower = Follower(response)
        follower.wait_until_live()
        tell(world, "one", "two")
        tell(world, "three")
        assert [follower.next()["subject_id"] for _ in range(3)] == ["one", "two", "three"]


def test_events_resume_after_the_last_one_seen(world: World, base: str) -> None:
    with follow(base, world.operator) as response:
        follower = Follower(response)
        follower.wait_until_live()
        tell(world, "seen")
        last = follower.next()["id"]
    tell(world, "missed 1", "missed 2")
    with follow(base, world.operator, headers={"Last-Event-ID": last}) as response:
        follower = Follower(response)
        assert [follower.next()["subject_id"] for _ in range(2)] == ["missed 1", "missed 2"]
        tell(world, "live again")
        assert follower.next()["subject_id"] == "live again"


def test_events_resume_from_the_database_beyond_the_ring(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RING_MAX", 3)
    world.platform.hub = stream.Hub(world.platform.settings.database_url, world.platform.sessions)
    names = [f"event {number}" for number in range(20)]
    with served(world.app, world.platform) as base:
        with follow(base, world.operator) as response:
            follower = Follower(response)
            follower.wait_until_live()
            tell(world, "first")
            first = follower.next()["id"]
            for name in names:
                tell(world, name)
            assert [follower.next()["subject_id"] for _ in names] == names
        with follow(base, world.operator, headers={"Last-Event-ID": first}) as response:
            follower = Follower(response)
            assert [follower.next()["subject_id"] for _ in names] == names


def test_events_are_scoped(world: World, base: str) -> None:
    with follow(base, world.tenant) as response:
        follower = Follower(response)
        follower.wait_until_live()
        tell(world, "for operators")
        tell(world, "for another", party=world.other_tenant)
        tell(world, "mine", party=world.tenant)
        assert follower.next()["subject_id"] == "mine"


def test_events_of_one_subject(world: World, base: str) -> None:
    with follow(base, world.viewer, params={"subject_id": "wanted"}) as response:
        follower = Follower(response)
        follower.wait_until_live()
        tell(world, "other", "wanted")
        assert follower.next()["subject_id"] == "wanted"


def test_event_stream_ends_when_the_server_stops(world: World) -> None:
    with served(world.app, world.platform) as base:
        context = follow(base, world.operator)
        follower = Follower(context.__enter__())
        follower.wait_until_live()
    assert follower.rest() == []
    context.__exit__(None, None, None)


def test_events_need_a_key(world: World, base: str) -> None:
    assert httpx.get(f"{base}/v1/events").status_code == 401


def test_event_stream_of_a_revoked_key_ends(
    world: World, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "HEARTBEAT_S", 0.05)
    key = world.operator.client.post("/v1/keys", json={}).json()
    headers = {"Authorization": f"Bearer {key['key']}"}
    with follow(base, world.operator, headers=headers) as response:
        follower = Follower(response)
        follower.wait_until_live()
        assert world.operator.client.delete(f"/v1/keys/{key['id']}").status_code == 204
        assert [event["kind"] for event in follower.rest()] == []
