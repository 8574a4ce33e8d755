"""Jobs over REST: submit, read, cancel, and every refusal of a submission."""

from typing import Any

import pytest

from tests.integration.api.arrange import DIGEST, funds, job_body, node_of, submit, upload
from tests.integration.api.world import World


@pytest.fixture
def ready(world: World) -> World:
    """A world with a node to run on and a tenant who can pay."""
    node_of(world, world.owner)
    funds(world, world.tenant)
    return world


def test_job_submit_holds_the_most_that_it_may_cost(ready: World) -> None:
    digest = upload(ready.tenant)
    body = job_body(digest, array={"count": 3, "args": ["--index", "{index}"]})
    answer = ready.tenant.client.post("/v1/jobs", json=body)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    # 1 credit an hour × 60 s × 3 tasks = 180 credit-seconds = 0.05 credits
    assert job["hold_micros"] == 50_000
    assert job["state"] == "queued"
    assert job["tasks"] == {"queued": 3, "placed": 0, "succeeded": 0, "failed": 0, "cancelled": 0}
    assert job["cell_id"] == ready.cell_id
    assert ready.tenant.client.get("/v1/accounts/me").json()["balance"]["held_micros"] == 50_000
    shown = ready.tenant.client.get(f"/v1/jobs/{job['id']}")
    assert shown.json() == job
    assert shown.headers["etag"] == '"1"'
    tasks = ready.tenant.client.get(f"/v1/jobs/{job['id']}/tasks?limit=2").json()
    assert [task["index"] for task in tasks["items"]] == [0, 1]
    rest = ready.tenant.client.get(
        f"/v1/jobs/{job['id']}/tasks", params={"cursor": tasks["next_cursor"]}
    ).json()
    assert ([task["index"] for task in rest["items"]], rest["next_cursor"]) == ([2], None)


def test_job_submit_is_idempotent(ready: World) -> None:
    body, key = job_body(upload(ready.tenant)), {"Idempotency-Key": "job"}
    first = ready.tenant.client.post("/v1/jobs", json=body, headers=key)
    again = ready.tenant.client.post("/v1/jobs", json=body, headers=key)
    assert (again.status_code, again.json()) == (202, first.json())
    assert len(ready.tenant.client.get("/v1/jobs").json()["items"]) == 1


def test_job_of_another_tenant_is_not_there(ready: World) -> None:
    job_id = submit(ready, ready.tenant)
    for path in ("", "/tasks", "/attempts", "/logs", "/events", "/tasks/0/result"):
        answer = ready.other_tenant.client.get(f"/v1/jobs/{job_id}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    assert ready.other_tenant.client.post(f"/v1/jobs/{job_id}/cancel").status_code == 404
    assert ready.other_tenant.client.get("/v1/jobs").json()["items"] == []
    assert ready.viewer.client.get(f"/v1/jobs/{job_id}").status_code == 200


def test_job_cancel_notes_the_wish(ready: World) -> None:
    job_id = submit(ready, ready.tenant)
    answer = ready.tenant.client.post(f"/v1/jobs/{job_id}/cancel")
    assert answer.status_code == 202
    assert answer.json()["cancel_requested_at"] is not None
    assert ready.tenant.client.post("/v1/jobs/job_none/cancel").status_code == 404


def test_job_events_tell_of_the_submission(ready: World) -> None:
    job_id = submit(ready, ready.tenant)
    events = ready.tenant.client.get(f"/v1/jobs/{job_id}/events").json()
    assert [event["kind"] for event in events["items"]] == ["job.submitted"]
    after = {"cursor": events["items"][-1]["id"]}
    assert ready.tenant.client.get(f"/v1/jobs/{job_id}/events", params=after).json()["items"] == []


def test_job_list_pages_newest_first(ready: World) -> None:
    made = [submit(ready, ready.tenant, name=f"job {number}") for number in range(3)]
    first = ready.tenant.client.get("/v1/jobs?limit=2").json()
    rest = ready.tenant.client.get(
        "/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]}
    ).json()
    seen = [job["id"] for page in (first, rest) for job in page["items"]]
    assert seen == made[::-1]
    assert rest["next_cursor"] is None
    named = ready.tenant.client.get("/v1/jobs", params={"name": "job 1"}).json()["items"]
    assert [job["id"] for job in named] == [made[1]]


def test_job_submit_refuses_an_empty_purse(world: World) -> None:
    node_of(world, world.owner)
    answer = world.tenant.client.post("/v1/jobs", json=job_body(upload(world.tenant)))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (402, "insufficient_funds")
    # 1 credit an hour × 60 s = 1/60 credit, rounded up
    assert problem["missing_micros"] == 16_667
    assert world.tenant.client.get("/v1/jobs").json()["items"] == []


def test_job_submit_refuses_what_no_node_can_serve(ready: World) -> None:
    body = job_body(upload(ready.tenant), constraints={"labels": {"gpu": "yes"}})
    answer = ready.tenant.client.post("/v1/jobs", json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "unserviceable")
    assert problem["ruled_out"][0]["count"] == 1


def test_job_submit_refuses_unknown_and_foreign_artifacts(ready: World) -> None:
    answer = ready.tenant.client.post("/v1/jobs", json=job_body(DIGEST))
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_artifact")
    foreign = upload(ready.other_tenant, b"theirs")
    answer = ready.tenant.client.post("/v1/jobs", json=job_body(foreign))
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_artifact")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"kind": "onnx"}, "/kind"),
        ({"onnx": {"model": "m"}}, "/onnx"),
        ({"tasks": [{}], "array": {"count": 1}}, "/array"),
        ({"constraints": {"cell_only": True}}, "/constraints/cell_only"),
        (
            {"constraints": {"labels": {"a": "b"}, "not_labels": {"a": "b"}}},
            "/constraints/not_labels",
        ),
        ({"limits": {"max_run_s": 10.0, "max_total_s": 5.0}}, "/limits/max_run_s"),
        ({"qos": {"deadline_s": 7200}}, "/qos/deadline_s"),
        ({"disconnect": {"stop_on_node": False}}, "/disconnect/stop_on_node"),
        ({"tasks": [{"input": {"base64": "%%"}}]}, "/tasks/0/input/base64"),
        ({"tasks": [{"input": {"text": "a", "json": {}}}]}, "/tasks/0/input"),
        ({"tasks": []}, "/tasks"),
        ({"limit_price_micros_per_hour": 0}, "/limit_price_micros_per_hour"),
        ({"limit_price_micros_per_hour": 10**30}, "/limit_price_micros_per_hour"),
        ({"resources": {"cpu_millis": 0}}, "/resources/cpu_millis"),
        ({"nonsense": 1}, "/nonsense"),
        ({"name": "line\nbreak"}, "/name"),
    ],
)
def test_job_submit_refuses_contradictions(
    ready: World, fields: dict[str, Any], pointer: str
) -> None:
    answer = ready.tenant.client.post("/v1/jobs", json=job_body(upload(ready.tenant), **fields))
    problem = answer.json()
    assert answer.status_code == 422, answer.text
    assert [each["pointer"] for each in problem["errors"]] == [pointer]


def test_job_cell_may_be_named(ready: World) -> None:
    job_id = submit(ready, ready.tenant, cell="home")
    assert ready.tenant.client.get(f"/v1/jobs/{job_id}").json()["spec"]["cell"] == ready.cell_id
    answer = ready.tenant.client.post("/v1/jobs", json=job_body(DIGEST, cell="nowhere"))
    assert answer.status_code == 404
    answer = ready.tenant.client.post("/v1/jobs", json=job_body(DIGEST, cell="root"))
    assert answer.json()["errors"][0]["pointer"] == "/cell"


def test_job_plan_says_price_and_chance_and_writes_nothing(ready: World) -> None:
    body = job_body(upload(ready.tenant))
    answer = ready.tenant.client.post("/v1/jobs/plan", json=body)
    assert answer.status_code == 200, answer.text
    plan = answer.json()
    assert (plan["serviceable"], plan["candidates"]) == (True, 1)
    assert plan["hold_micros"] == 16_667  # 1 credit an hour × 60 s, rounded up
    price = plan["price_micros_per_hour"]
    assert price["low"] <= price["likely"] <= price["high"] <= 1_000_000
    assert 0 < plan["chance"] <= 1
    assert ready.tenant.client.get("/v1/jobs").json()["items"] == []
    body["constraints"] = {"arch": ["riscv64"]}
    nowhere = ready.tenant.client.post("/v1/jobs/plan", json=body).json()
    assert (nowhere["serviceable"], nowhere["candidates"]) == (False, 0)
    assert nowhere["reasons"][0]["count"] == 1
    assert (nowhere["price_micros_per_hour"], nowhere["cost_micros"]) == (None, None)
    assert nowhere["no_price"].startswith("No price wins.")


def test_job_explain_names_the_candidates(ready: World) -> None:
    job_id = submit(ready, ready.tenant)
    answer = ready.tenant.client.get(f"/v1/jobs/{job_id}/explain")
    assert answer.status_code == 200, answer.text
    explained = answer.json()
    assert explained["summary"].endswith(".")
    assert [set(each["terms"]) for each in explained["candidates"]] == [
        {"cost", "qos", "energy", "fairness"}
    ]
    assert explained["demand"]["state"] == "open"
    assert ready.other_tenant.client.get(f"/v1/jobs/{job_id}/explain").status_code == 404
