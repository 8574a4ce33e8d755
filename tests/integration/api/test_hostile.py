"""Whatever is sent, the answer is a problem document with a code, never a 500."""

from typing import Any

import pytest

from tests.integration.api.arrange import DIGEST, job_body
from tests.integration.api.world import World

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"[]", 422),
        (b"null", 422),
        (b"\xff\xfe", 400),
        (b'{"name": "\\u0000", "role": "tenant"}', 400),
        (b'{"name": "\\ud800", "role": "tenant"}', 400),
        (b'{"name": 1, "role": "tenant"}', 422),
        (b'{"fair_weight": NaN, "name": "n", "role": "tenant"}', 400),
        (b'{"fair_weight": 1e999, "name": "n", "role": "tenant"}', 400),
        (b'{"fair_weight": ' + b"9" * 5_000 + b', "name": "n", "role": "tenant"}', 400),
        (b"[" * 100_000 + b"]" * 100_000, 400),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400),
        (b'{"name": "' + b"n" * 10_000 + b'", "role": "tenant"}', 422),
    ],
)
def test_hostile_body_is_refused(world: World, body: bytes, status: int) -> None:
    answer = world.operator.client.post("/v1/accounts", content=body, headers=JSON)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"/problems/{problem['code']}"
    assert problem["trace_id"] == answer.headers["x-trace-id"]


def test_body_too_large_is_refused(world: World) -> None:
    size = world.platform.settings.request_bytes_max + 1
    answer = world.operator.client.post("/v1/accounts", content=b" " * size, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/jobs", 405),
        ("GET", "/v1/jobs/%00", 400),
        ("GET", "/v1/jobs?name=%00", 400),
        ("GET", "/v1/jobs?limit=0", 422),
        ("GET", "/v1/jobs?limit=501", 422),
        ("GET", "/v1/jobs?limit=x", 422),
        ("GET", "/v1/jobs?state=nonsense", 422),
        ("GET", "/v1/jobs?cursor=nonsense", 422),
        ("GET", "/v1/jobs?cursor=WzEsMV0", 422),
        ("GET", "/v1/jobs?cursor=Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OSwieCJd", 422),
        ("GET", "/v1/jobs/" + "x" * 300, 422),
        ("GET", "/v1/jobs/%ED%A0%80", 404),
        ("GET", "/v1/artifacts/sha256:zz", 422),
        ("GET", "/v1/jobs/x/tasks/99999999999999999999/result", 422),
        ("GET", "/v1/jobs/x/events?cursor=1-2-3", 422),
        ("GET", "/v1/events?cursor=x", 422),
        ("GET", "/v1/nodes/x/telemetry?key=a&from=0001-01-01T00:00:00Z", 422),
        ("GET", "/v1/market/prices/history?cell_id=home&resource=gold", 422),
        ("POST", "/v1/jobs", 422),
        ("GET", "/problems/nonsense", 404),
        ("GET", "/docs/../../etc/passwd", 404),
        ("GET", "/assets/..%2f..%2fpyproject.toml", 404),
    ],
)
def test_hostile_address_is_refused(world: World, method: str, path: str, status: int) -> None:
    answer = world.operator.client.request(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_method_not_allowed_says_which_are(world: World) -> None:
    answer = world.operator.client.put("/v1/jobs", json={})
    assert answer.json()["code"] == "method_not_allowed"
    assert "GET" in answer.headers["allow"] or "POST" in answer.headers["allow"]


def test_every_answer_has_security_headers(world: World) -> None:
    for path in ("/v1/jobs", "/v1/nothing", "/healthz", "/problems", "/docs"):
        headers = world.operator.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"


def test_rate_limit_says_when_to_come_back(world: World) -> None:
    limiter = world.platform.requests
    limiter.burst, limiter.per_s = 3, 0.01
    codes = [world.tenant.client.get("/v1/jobs") for _ in range(4)]
    assert [answer.status_code for answer in codes] == [200, 200, 200, 429]
    assert codes[-1].json()["retryable"] is True
    assert int(codes[-1].headers["retry-after"]) > 0
    upload = world.tenant.client.post("/v1/artifacts", content=b"bytes")
    assert upload.status_code == 429  # artifacts have a way in of their own
    assert world.owner.client.get("/v1/jobs").status_code == 200


def test_trace_of_the_caller_is_kept(world: World) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    answer = world.operator.client.get("/v1/nothing", headers=headers)
    assert answer.json()["trace_id"] == trace


@pytest.mark.parametrize(
    "fields",
    [
        {"tasks": [{"args": ["\x01" * 10]}] * 3},
        {"tasks": [{"input": {"json": {"a": [[[[1.5, None, True]]]]}}}]},
        {"wasm": {"module": DIGEST, "env": {"A=B": "x"}}},
        {"constraints": {"labels": {"💥": "𝄞"}}},
        {"array": {"count": 10_001}},
        {"array": {"count": -1}},
        {"limits": {"max_run_s": 1e308}},
        {"retry": {"attempts_max": 2**70}},
        {"cell": "x" * 201},
        {"budget_micros": -1},
    ],
)
def test_odd_jobs_get_an_answer(world: World, fields: dict[str, Any]) -> None:
    answer = world.tenant.client.post("/v1/jobs", json=job_body(DIGEST, **fields))
    assert answer.status_code in (404, 422), answer.text


def test_unexpected_failure_is_a_problem_too(world: World, monkeypatch: Any) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("broker.services.jobs.show", broken)
    answer = world.tenant.client.get("/v1/jobs/x")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "a bug" not in answer.text
