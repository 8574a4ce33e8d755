"""Frames, headers, metering, and tensors: the parts of the executors that need no child."""

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.executors import tensors
from edge_agent.executors.frames import FrameError, Unpacker, pack
from edge_agent.executors.job import Finish, Job, TaskFailure
from edge_agent.executors.metering import PowerModel, usage

FRAMES = st.lists(
    st.tuples(st.dictionaries(st.text(max_size=5), st.integers(), max_size=3), st.binary()),
    max_size=5,
)


@given(frames=FRAMES, cuts=st.lists(st.integers(1, 7), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_unpacker_gives_the_frames_however_they_are_cut(
    frames: list[tuple[dict[str, Any], bytes]], cuts: list[int]
) -> None:
    data = b"".join(pack(header, body) for header, body in frames)
    unpacker, found, at = Unpacker(), [], 0
    while at < len(data):
        step = cuts[at % len(cuts)]
        found += unpacker.feed(data[at : at + step])
        at += step
    assert found == frames


LENGTHS_2_0 = b"\0\0\0\2" + b"\0" * 8


@pytest.mark.parametrize(
    "data",
    [b"\xff" * 12, pack({}, b"x" * 11), LENGTHS_2_0 + b"no", LENGTHS_2_0 + b"[]"],
    ids=["long", "long body", "not JSON", "not an object"],
)
def test_unpacker_refuses_what_is_no_frame(data: bytes) -> None:
    with pytest.raises(FrameError):
        Unpacker(body_bytes_max=10).feed(data)


def test_job_and_finish_survive_the_header() -> None:
    job = Job(
        id="a#1",
        kind="wasm",
        artifact_path="/p",
        artifact_digest="sha256:0",
        memory_bytes=1,
        run_ms=2,
        output_bytes_max=3,
        args=("x",),
        env={"K": "V"},
    )
    assert Job.parse(json.loads(json.dumps(job.header()))) == job
    finish = Finish(reason="exit_code", exit_code=3, log_tail="why", wall_us=1)
    assert Finish.parse(json.loads(json.dumps(finish.header()))) == finish


WHOLE = Finish(reason="ok").header()["finish"]


@pytest.mark.parametrize(
    "header", [{}, {"finish": 1}, {"finish": {}}, {"finish": WHOLE | {"wall_us": "1"}}]
)
def test_finish_of_a_broken_child_is_refused(header: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"finish|missing"):
        Finish.parse(header)


MODEL = PowerModel(idle_milliwatts=2_000, max_milliwatts=10_000, cores=4)
# wall s, cpu s, leased millis, millijoules
ENERGIES = [
    (10, 0, 4000, 20_000),  # 10 s x 2 W x 4/4
    (10, 0, 1000, 5_000),  # 10 s x 2 W x 1/4
    (10, 10, 1000, 25_000),  # the same + 10 s x 8 W / 4 cores
    (10, 40, 4000, 100_000),  # all cores for 10 s: 10 s x 10 W
    (10, 0, 9000, 20_000),  # no more than the whole device
    (0, 0, 1000, 0),
]


@pytest.mark.parametrize(("wall_s", "cpu_s", "cpu_millis", "millijoules"), ENERGIES)
def test_energy_by_the_power_model(
    wall_s: int, cpu_s: int, cpu_millis: int, millijoules: int
) -> None:
    found = MODEL.millijoules(
        wall_us=wall_s * 1_000_000, cpu_us=cpu_s * 1_000_000, cpu_millis=cpu_millis
    )
    assert found == millijoules


def test_usage_rounds_times_up() -> None:
    finish = Finish(reason="ok", wall_us=1_001, cpu_us=1, bytes_in=5)
    found = usage(finish, model=MODEL, cpu_millis=1000, bytes_out=7)
    assert (found.wall_ms, found.cpu_ms, found.bytes_in, found.bytes_out) == (2, 1, 5, 7)


FITS: list[tuple[Any, str, list[Any], Any]] = [
    ([[1, 2]], "tensor(float)", [1, 2], np.float32),
    ([[1, 2]], "tensor(float)", ["batch", 2], np.float32),
    ([1.5], "tensor(float16)", [None], np.float16),
    ([255], "tensor(uint8)", [1], np.uint8),
    ([True], "tensor(bool)", [1], np.bool_),
    ([], "tensor(int64)", [None], np.int64),
    (3, "tensor(int64)", [], np.int64),
]


@pytest.mark.parametrize(("value", "kind", "shape", "dtype"), FITS)
def test_fit_converts_without_loss(value: Any, kind: str, shape: list[Any], dtype: Any) -> None:
    found = tensors.fit("x", np.asarray(value), kind=kind, shape=shape)
    assert found.dtype == dtype
    assert found.tolist() == value


MISFITS: list[tuple[Any, str, list[Any]]] = [
    ([1.5], "tensor(int64)", [1]),
    ([256], "tensor(uint8)", [1]),
    ([-1], "tensor(uint64)", [1]),
    ([1], "tensor(bool)", [1]),
    ([True], "tensor(float)", [1]),
    ([1, 2], "tensor(float)", [1]),
    ([[1]], "tensor(float)", [1]),
    ([1], "tensor(string)", [1]),
    ([1], "seq(tensor(float))", [1]),
]


@pytest.mark.parametrize(("value", "kind", "shape"), MISFITS)
def test_fit_refuses_what_would_be_changed(value: Any, kind: str, shape: list[Any]) -> None:
    with pytest.raises(TaskFailure) as caught:
        tensors.fit("x", np.asarray(value), kind=kind, shape=shape)
    assert caught.value.reason == "invalid_input"


def test_npz_with_a_pickle_is_refused() -> None:
    data = io.BytesIO()
    np.savez(data, x=np.array([{"code": 1}], dtype=object))
    with pytest.raises(TaskFailure, match="not npz"):
        tensors.read(data.getvalue(), "npz")


@given(st.binary(max_size=200), st.sampled_from(["json", "npz"]))
@settings(max_examples=100, deadline=None)
def test_read_garbage_is_a_task_failure(data: bytes, encoding: str) -> None:
    try:
        tensors.read(data, encoding)
    except TaskFailure as failure:
        assert failure.reason == "invalid_input"  # noqa: PT017 valid input may be drawn too
