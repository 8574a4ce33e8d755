"""Submitting, waiting, results, events and artifacts over the platform in memory."""

import hashlib
import json

import httpx
import pytest

from client.errors import DigestMismatch, NotFound, Unreachable, WaitTimeout
from client.events import read_frames
from client.mock import MockPlatform, problem
from client.requests import Array, OnnxCode, Task, WasmCode

from .factories import make_client, make_request


def test_request_body_has_what_was_said_and_no_more():
    body = make_request(name="primes", cell="north").body()
    assert body == {
        "name": "primes",
        "kind": "wasm",
        "wasm": {"module": "sha256:" + "0" * 64},
        "tasks": [{"args": ["1"]}],
        "resources": {"cpu_millis": 500, "memory_bytes": 1 << 26},
        "limit_price_micros_per_hour": 50_000,
        "cell": "north",
    }


@pytest.mark.parametrize(
    ("task", "source"),
    [
        (Task(text="hi"), {"text": "hi"}),
        (Task(data=b"\xff"), {"base64": "/w=="}),
        (Task(json={"x": [1]}), {"json": {"x": [1]}}),
        (Task(digest="sha256:ab", encoding="npz"), {"digest": "sha256:ab", "encoding": "npz"}),
    ],
)
def test_task_input_forms(task, source):
    assert task.body() == {"input": source}


def test_task_takes_one_input():
    with pytest.raises(ValueError, match="one input"):
        Task(text="a", data=b"b").body()


def test_request_of_an_array_and_a_model():
    request = make_request(
        code=OnnxCode(model="mlp", threads=2),
        tasks=Array(count=10, task=Task(args=["{index}"])),
        budget_micros=7,
    )
    body = request.body()
    assert body["kind"] == "onnx"
    assert body["onnx"] == {"model": "mlp", "threads": 2, "output_encoding": "json"}
    assert body["array"] == {"count": 10, "args": ["{index}"]}
    assert body["budget_micros"] == 7


def test_wasm_code_with_environment():
    body = make_request(code=WasmCode(module="m", env={"A": "1"}, fuel_max=9)).body()
    assert body["wasm"] == {"module": "m", "env": {"A": "1"}, "fuel_max": 9}


def test_wait_returns_when_the_event_says_so():
    platform = MockPlatform()
    with make_client(platform) as souk:
        job = souk.jobs.submit(make_request())
        seen = []

        def end_after_first_look(found):
            seen.append(found.state)
            if len(seen) == 1:
                platform.finish(job.id, results=[b"42"])

        ended = souk.jobs.wait(job.id, timeout_s=30, on_change=end_after_first_look)
        assert ended.succeeded
        assert seen == ["queued", "succeeded"]
        assert souk.jobs.result(job.id) == b"42"
        with pytest.raises(NotFound):
            souk.jobs.result(job.id, 1)


def test_wait_polls_where_events_fail():
    platform, slept = MockPlatform(), []
    with make_client(platform, slept=slept) as souk:
        job = souk.jobs.submit(make_request())
        platform.answer_next(
            "GET",
            "/v1/events",
            *[problem(500, code="internal", detail="No events.")] * 3,
            lambda _: (platform.finish(job.id), httpx.Response(404))[1],
        )
        assert souk.jobs.wait(job.id).succeeded
    assert len(slept) >= 3  # it did not spin


def test_wait_gives_up_in_time():
    platform = MockPlatform()
    with make_client(platform) as souk:
        job = souk.jobs.submit(make_request())
        with pytest.raises(WaitTimeout, match="goes on"):
            souk.jobs.wait(job.id, timeout_s=0.05)


def test_wait_raises_a_refusal():
    platform = MockPlatform()
    platform.answer_next("GET", "/v1/events", problem(401, code="no_key", detail="Who?"))
    with make_client(platform) as souk, pytest.raises(Exception, match="Who"):
        souk.jobs.wait("job_1")


def test_frames_of_an_event_stream():
    lines = [": hello", "", "id: 4", "event: job.running", "data: {", "data: }", "", "data: 2", ""]
    frames = list(read_frames(lines))
    assert frames[0].data == ""
    assert (frames[1].id, frames[1].kind, frames[1].data) == ("4", "job.running", "{\n}")
    assert frames[2].data == "2"


def test_follow_takes_up_after_the_last_event():
    platform = MockPlatform()
    platform.emit("job.submitted", "job_1")
    platform.emit("job.submitted", "job_2")
    with make_client(platform) as souk:
        events = souk.events.follow(subject_id="job_1")
        assert next(events).subject_id == "job_1"
        platform.emit("job.running", "job_1", node="node_1")
        event = next(events)  # the first answer has ended: this one is another connection
    assert event.kind == "job.running"
    assert event.data == {"node": "node_1"}
    assert platform.requests[-1].headers["Last-Event-ID"] == "1"


def test_follow_gives_up_after_many_failures():
    platform = MockPlatform()

    def refuse(request):
        raise httpx.ConnectError("refused", request=request)

    platform.answer_next("GET", "/v1/events", *[refuse] * 20)
    with make_client(platform) as souk, pytest.raises(Unreachable):
        next(souk.events.follow())


def test_put_sends_once(tmp_path):
    platform = MockPlatform()
    path = tmp_path / "module.wasm"
    path.write_bytes(b"\0asm" * 1000)
    with make_client(platform) as souk:
        first, second = souk.artifacts.put(path), souk.artifacts.put(path.read_bytes())
        assert souk.artifacts.get(first.digest) == path.read_bytes()
    assert first.digest == second.digest
    assert [request.method for request in platform.requests] == ["HEAD", "PUT", "HEAD", "GET"]


def test_put_is_repeated_whole_after_a_break():
    platform = MockPlatform()
    data = b"x" * 3_000_000
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    platform.answer_next("PUT", f"/v1/artifacts/{digest}", httpx.Response(503))
    with make_client(platform) as souk:
        souk.artifacts.put(data)
    assert platform.artifacts[digest] == data


def test_get_refuses_other_bytes():
    platform = MockPlatform()
    platform.artifacts["sha256:" + "a" * 64] = b"not these"
    with make_client(platform) as souk, pytest.raises(DigestMismatch):
        souk.artifacts.get("sha256:" + "a" * 64)


def test_save_continues_a_part(tmp_path):
    platform = MockPlatform()
    with make_client(platform) as souk:
        digest = souk.artifacts.put(b"abcdef").digest
        (tmp_path / "out.part").write_bytes(b"abc")
        assert souk.artifacts.save(digest, tmp_path / "out") == 6
    assert (tmp_path / "out").read_bytes() == b"abcdef"
    assert platform.requests[-1].headers["Range"] == "bytes=3-"


def test_patch_and_create_elsewhere():
    platform = MockPlatform()
    platform.add("nodes", {"id": "node_1", "name": "n", "state": "online"})
    with make_client(platform) as souk:
        souk.nodes.drain("node_1")
        assert json.loads(platform.requests[-1].content) == {"draining": True}
        assert souk.cells.create("north", latitude=1.5).name == "north"
        assert json.loads(platform.requests[-1].content) == {"name": "north", "latitude": 1.5}
