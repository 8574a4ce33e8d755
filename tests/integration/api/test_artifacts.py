"""Artifacts: content-addressed, scoped, in ranges; and models."""

import hashlib
from datetime import datetime, timedelta

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from broker.services.grants import make_grant
from db.tables import Node
from tests.integration.api.arrange import node_of, submit, upload
from tests.integration.api.world import World

DATA = bytes(range(256)) * 8


def test_artifact_round_trip_in_ranges(world: World) -> None:
    digest = upload(world.tenant, DATA)
    assert digest == f"sha256:{hashlib.sha256(DATA).hexdigest()}"
    path, client = f"/v1/artifacts/{digest}", world.tenant.client
    whole = client.get(path)
    assert whole.content == DATA
    assert whole.headers["content-type"] == "application/octet-stream"
    for asked, starts, ends in [("0-9", 0, 10), ("2000-", 2000, 2048), ("-5", 2043, 2048)]:
        part = client.get(path, headers={"Range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, DATA[starts:ends])
        assert part.headers["content-range"] == f"bytes {starts}-{ends - 1}/2048"
    beyond = client.get(path, headers={"Range": "bytes=5000-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */2048")
    head = client.head(path)
    assert (head.status_code, head.headers["content-length"]) == (200, "2048")
    same = client.get(path, headers={"If-None-Match": whole.headers["etag"]})
    assert same.status_code == 304


def test_artifact_put_checks_the_digest(world: World) -> None:
    path = f"/v1/artifacts/sha256:{hashlib.sha256(DATA).hexdigest()}"
    wrong = world.tenant.client.put(path, content=b"something else")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "digest_mismatch")
    assert world.tenant.client.get(path).status_code == 404
    assert world.tenant.client.put(path, content=DATA).status_code == 201
    assert world.tenant.client.put(path, content=DATA).status_code == 201
    uploads = list((world.platform.settings.home / "artifacts" / "uploads").iterdir())
    assert uploads == []


def test_artifact_of_another_tenant_is_not_there(world: World) -> None:
    digest = upload(world.tenant, DATA)
    assert world.other_tenant.client.get(f"/v1/artifacts/{digest}").status_code == 404
    assert world.other_tenant.client.head(f"/v1/artifacts/{digest}").status_code == 404
    assert world.other_tenant.client.get("/v1/artifacts").json()["items"] == []
    assert world.owner.client.post("/v1/artifacts", content=DATA).status_code == 403


def test_artifact_too_large_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    small = world.platform.settings.model_copy(update={"artifact_bytes_max": 1_000})
    monkeypatch.setattr(world.platform, "settings", small)
    answer = world.tenant.client.post("/v1/artifacts", content=DATA)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_grant_lets_a_node_read_and_return_results(world: World, now: datetime) -> None:
    node_id = node_of(world, world.owner)
    digest = upload(world.tenant, DATA)
    job_id = submit(
        world,
        world.tenant,
        limits={"output_bytes_max": 100},
        tasks=[{"input": {"digest": digest}}],
    )

    def headers(minutes: int = 5) -> dict[str, str]:
        token = make_grant(
            world.platform.secret,
            node_id=node_id,
            job_id=job_id,
            account_id=world.tenant.id,
            expires_at=now + timedelta(minutes=minutes),
        )
        return {"Authorization": f"Bearer {token}"}

    node = world.anonymous
    assert node.get(f"/v1/artifacts/{digest}", headers=headers()).content == DATA
    foreign = upload(world.other_tenant, b"not for this node")
    assert node.get(f"/v1/artifacts/{foreign}", headers=headers()).status_code == 404
    unneeded = upload(world.tenant, b"not for this job")
    assert node.get(f"/v1/artifacts/{unneeded}", headers=headers()).status_code == 404
    result = b"the result"
    path = f"/v1/artifacts/sha256:{hashlib.sha256(result).hexdigest()}"
    assert node.put(path, content=result, headers=headers()).status_code == 201
    assert world.tenant.client.get(path).content == result
    large = f"/v1/artifacts/sha256:{hashlib.sha256(DATA).hexdigest()}"
    assert node.put(large, content=DATA, headers=headers()).status_code == 413
    expired = node.get(f"/v1/artifacts/{digest}", headers=headers(minutes=-1))
    assert (expired.status_code, expired.json()["code"]) == (401, "grant_invalid")
    with world.platform.sessions.begin() as session:
        session.get_one(Node, node_id).state = "revoked"
    revoked = node.get(f"/v1/artifacts/{digest}", headers=headers())
    assert (revoked.status_code, revoked.json()["code"]) == (401, "grant_invalid")


def test_model_is_read_and_named(world: World) -> None:
    weights = numpy_helper.from_array(np.ones((4, 2), dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [weights],
    )
    digest = upload(world.tenant, helper.make_model(graph).SerializeToString())
    body = {"name": "tiny", "digest": digest}
    answer = world.tenant.client.post("/v1/models", json=body)
    assert answer.status_code == 201, answer.text
    model = answer.json()
    assert model["inputs"] == [{"name": "x", "dtype": "float", "shape": ["batch", 4]}]
    assert model["parameter_count"] == 8  # 4 × 2
    assert world.tenant.client.get("/v1/models/tiny").json() == model
    again = world.tenant.client.post("/v1/models", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "name_taken")
    assert world.other_tenant.client.get(f"/v1/models/{model['id']}").status_code == 404


@pytest.mark.parametrize("garbage", [b"", b"\x08" * 100, b"not a model" * 1000, b"\xff" * 4096])
def test_model_of_garbage_is_refused(world: World, garbage: bytes) -> None:
    digest = upload(world.tenant, garbage)
    answer = world.tenant.client.post("/v1/models", json={"name": "bad", "digest": digest})
    assert (answer.status_code, answer.json()["code"]) == (422, "model_invalid")
