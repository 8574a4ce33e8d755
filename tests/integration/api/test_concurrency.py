"""Requests at the same time, over real sockets."""

from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.integration.api.arrange import funds, job_body, node_of, upload
from tests.integration.api.live import served
from tests.integration.api.world import World

AT_ONCE = 8


def test_same_idempotency_key_at_once_has_one_effect(world: World) -> None:
    node_of(world, world.owner)
    funds(world, world.tenant)
    body = job_body(upload(world.tenant))
    with served(world.app, world.platform) as base:

        def post(_: int) -> httpx.Response:
            headers = world.tenant.headers | {"Idempotency-Key": "all at once"}
            return httpx.post(f"{base}/v1/jobs", json=body, headers=headers, timeout=30)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(post, range(AT_ONCE)))
    accepted = [answer for answer in answers if answer.status_code == 202]
    in_flight = [answer for answer in answers if answer.status_code == 409]
    assert len(accepted) + len(in_flight) == AT_ONCE
    assert {answer.json()["id"] for answer in accepted} == {
        job["id"] for job in world.tenant.client.get("/v1/jobs").json()["items"]
    }
    assert len(world.tenant.client.get("/v1/jobs").json()["items"]) == 1
    assert all(answer.json()["code"] == "idempotency_in_flight" for answer in in_flight)


def test_purse_is_never_overdrawn_by_jobs_at_once(world: World) -> None:
    node_of(world, world.owner)
    funds(world, world.tenant, 50_001)  # 1 credit an hour × 60 s = 16,667 a job: room for three
    body = job_body(upload(world.tenant))
    with served(world.app, world.platform) as base:

        def post(_: int) -> int:
            answer = httpx.post(
                f"{base}/v1/jobs", json=body, headers=world.tenant.headers, timeout=30
            )
            return answer.status_code

        with ThreadPoolExecutor(AT_ONCE) as pool:
            codes = list(pool.map(post, range(AT_ONCE)))
    assert sorted(codes) == [202] * 3 + [402] * (AT_ONCE - 3)
    balance = world.tenant.client.get("/v1/accounts/me").json()["balance"]
    assert balance["held_micros"] == 50_001  # 3 × 16,667
    assert world.operator.client.get("/v1/ledger/invariants").json()["ok"]
