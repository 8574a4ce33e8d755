"""Jobs that are submitted while others are being written: one transaction, each its own answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.integration.api.arrange import DIGEST, funds, job_body, node_of, upload
from tests.integration.api.world import Party, World

COST = 16_667  # 1 credit an hour × 60 s, rounded up
WAIT_MAX_S = 10.0


@dataclass(frozen=True, slots=True)
class Post:
    """A submission."""

    party: Party
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def ready(world: World) -> World:
    node_of(world, world.owner)
    funds(world, world.tenant)
    funds(world, world.other_tenant)
    return world


def together(world: World, runner: asyncio.Runner, posts: Sequence[Post]) -> list[httpx.Response]:
    """Send ``posts`` while one submission before them waits for its balance; their answers."""
    first = Post(world.tenant, job_body(upload(world.tenant), name="first"))
    submissions = world.app.state.submissions

    async def send(client: httpx.AsyncClient, post: Post) -> httpx.Response:
        headers = {**post.party.headers, **post.headers}
        return await client.post("/v1/jobs", json=post.body, headers=headers)

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(world.app, raise_app_exceptions=False)
        with world.platform.engine.begin() as connection:
            connection.execute(
                text("SELECT FROM balances WHERE account_id = :id FOR UPDATE"),
                {"id": world.tenant.id},
            )
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                waits = asyncio.create_task(send(client, first))
                async with asyncio.timeout(WAIT_MAX_S):
                    while not submissions.busy or submissions.waiting:
                        await asyncio.sleep(0.001)
                    sent = [asyncio.create_task(send(client, post)) for post in posts]
                    while submissions.waiting < len(posts):
                        await asyncio.sleep(0.001)
                connection.rollback()
                assert (await waits).status_code == 202
                return list(await asyncio.gather(*sent))

    return runner.run(run())


def jobs_of(world: World) -> dict[str, str]:
    """Writing transaction by job id."""
    with world.platform.engine.connect() as connection:
        rows = connection.execute(text("SELECT id, xmin::text FROM jobs")).all()
    return {row[0]: row[1] for row in rows}


def held(party: Party) -> int:
    micros: int = party.client.get("/v1/accounts/me").json()["balance"]["held_micros"]
    return micros


def test_jobs_that_come_together_are_written_in_one_transaction(
    ready: World, runner: asyncio.Runner
) -> None:
    mine, other = upload(ready.tenant), upload(ready.other_tenant)
    posts = [Post(ready.tenant, job_body(mine, name=f"job {k}")) for k in range(4)]
    posts.append(Post(ready.other_tenant, job_body(other, array={"count": 3})))
    answers = together(ready, runner, posts)
    assert [answer.status_code for answer in answers] == [202] * 5
    written = jobs_of(ready)
    assert len({written[answer.json()["id"]] for answer in answers}) == 1
    assert len(set(written.values())) == 2
    for post, answer in zip(posts, answers, strict=True):
        assert answer.json()["name"] == post.body.get("name", "")
        assert answer.json()["account_id"] == post.party.id
        shown = post.party.client.get(f"/v1/jobs/{answer.json()['id']}")
        assert shown.json() == answer.json()
    assert (held(ready.tenant), held(ready.other_tenant)) == (5 * COST, 50_000)
    assert ready.operator.client.get("/v1/ledger/invariants").json()["ok"]


def test_what_is_refused_in_a_batch_is_refused_by_itself(
    ready: World, runner: asyncio.Runner
) -> None:
    digest = upload(ready.tenant)
    good = Post(ready.tenant, job_body(digest))
    large = {"resources": {"cpu_millis": 1_000_000}}
    posts = [
        good,
        Post(ready.tenant, job_body(digest, cell="nowhere")),
        Post(ready.tenant, job_body(DIGEST)),
        Post(ready.tenant, job_body(digest, **large)),
        Post(ready.tenant, job_body(digest, cell="root")),
        good,
    ]
    answers = together(ready, runner, posts)
    codes = [answer.json().get("code", "accepted") for answer in answers]
    assert codes == [
        "accepted", "not_found", "unknown_artifact", "unserviceable", "invalid", "accepted",
    ]  # fmt: skip
    assert len(set(jobs_of(ready).values())) == 2
    assert held(ready.tenant) == 3 * COST


def test_short_purse_keeps_back_its_own_account_alone(ready: World, runner: asyncio.Runner) -> None:
    rich, poor = ready.tenant, ready.other_tenant
    spare = poor.client.get("/v1/accounts/me").json()["balance"]["posted_micros"] - 2 * COST - 1
    path = f"/v1/accounts/{poor.id}/withdrawals"
    took = ready.operator.client.post(path, json={"amount_micros": spare})
    assert took.status_code == 201, took.text
    mine, theirs = upload(rich), upload(poor)
    posts = [Post(rich, job_body(mine)), *[Post(poor, job_body(theirs))] * 3]
    posts.append(Post(rich, job_body(mine)))
    answers = together(ready, runner, posts)
    assert sorted(answer.status_code for answer in answers[1:4]) == [202, 202, 402]
    assert [answers[0].status_code, answers[4].status_code] == [202, 202]
    assert (held(rich), held(poor)) == (3 * COST, 2 * COST)
    assert ready.operator.client.get("/v1/ledger/invariants").json()["ok"]


def test_idempotency_key_counts_within_a_batch_and_across(
    ready: World, runner: asyncio.Runner
) -> None:
    body = job_body(upload(ready.tenant))
    before = ready.tenant.client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "old"})
    posts = [
        Post(ready.tenant, body, {"Idempotency-Key": "new"}),
        Post(ready.tenant, body, {"Idempotency-Key": "old"}),
        Post(ready.tenant, {**body, "name": "other"}, {"Idempotency-Key": "old"}),
        Post(ready.tenant, body, {"Idempotency-Key": "new"}),
        Post(ready.tenant, body, {"Idempotency-Key": "next"}),
    ]
    new, old, mismatch, again, following = together(ready, runner, posts)
    assert (new.status_code, following.status_code) == (202, 202)
    assert (old.json(), old.headers["idempotency-replayed"]) == (before.json(), "true")
    assert mismatch.json()["code"] == "idempotency_mismatch"
    assert (again.json(), again.headers["idempotency-replayed"]) == (new.json(), "true")
    assert len(jobs_of(ready)) == 4  # old, first, new, next
    later = ready.tenant.client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "new"})
    assert later.json() == new.json()
