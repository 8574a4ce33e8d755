"""The ONNX sandbox in real children: right results, checked inputs, typed ends, bounded memory."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures.modules import (
    affine_model,
    endless_model,
    hungry_model,
    model_with_outside_weights,
)
from tests.integration.agent.children import Bench, bench

MIB = 1 << 20


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("onnx")) as made:
        yield made


def given(**inputs: Any) -> bytes:
    return json.dumps(inputs).encode()


def test_onnx_json_in_json_out(warm: Bench) -> None:
    job = warm.job("onnx", affine_model())
    finish, output = warm.run(job, given(x=[[1, 2, 3], [0, -1, 0.5]]))
    assert (finish.reason, finish.detail) == ("ok", "")
    assert output == b'{"y":[[3.0,5.0,7.0],[1.0,-1.0,2.0]]}'
    assert finish.memory_peak_bytes > 0


def test_onnx_npz_in_npz_out_is_the_same_each_time(warm: Bench) -> None:
    archive = io.BytesIO()
    np.savez(archive, x=np.ones((2, 3), np.float32))
    changes = {"input_encoding": "npz", "output_encoding": "npz"}
    _, first = warm.run(warm.job("onnx", affine_model(), **changes), archive.getvalue())
    _, second = warm.run(warm.job("onnx", affine_model(), **changes), archive.getvalue())
    assert first == second
    with np.load(io.BytesIO(first)) as loaded:
        np.testing.assert_array_equal(loaded["y"], np.full((2, 3), 3, np.float32))


def test_onnx_not_finite_results_are_named(warm: Bench) -> None:
    job = warm.job("onnx", affine_model(scale=3e38))
    assert warm.run(job, given(x=[[2, -2, 0]]))[1] == b'{"y":[["Infinity","-Infinity",1.0]]}'


BAD_INPUTS: list[tuple[bytes, str]] = [
    (b"", "not json"),
    (b"[1]", "expected an object"),
    (b'{"x":', "not json"),
    (given(x="text"), "not a number"),
    (given(x=[[1, 2, 3], [4]]), "not json"),
    (given(x=[[1, 2]]), "shape [1, 2]"),
    (given(x=[1, 2, 3]), "shape [3]"),
    (given(x=[[True, False, True]]), "bool values do not fit float32"),
    (given(y=[[1, 2, 3]]), "missing inputs: x"),
    (given(x=[[1, 2, 3]], z=1), "has no inputs z"),
]


@pytest.mark.parametrize(("data", "said"), BAD_INPUTS, ids=[said for _, said in BAD_INPUTS])
def test_onnx_bad_input_says_why(warm: Bench, data: bytes, said: str) -> None:
    finish, _ = warm.run(warm.job("onnx", affine_model()), data)
    assert finish.reason == "invalid_input"
    assert said in finish.detail


@pytest.mark.parametrize(
    "model", [b"", b"garbage", affine_model()[:-30]], ids=["empty", "garbage", "cut"]
)
def test_onnx_bad_model_is_invalid_input(warm: Bench, model: bytes) -> None:
    finish, _ = warm.run(warm.job("onnx", model), given(x=[[1, 2, 3]]))
    assert finish.reason == "invalid_input"
    assert finish.detail


@pytest.mark.parametrize("location", ["/etc/hostname", "../../../../../../etc/hostname"])
def test_onnx_weights_outside_the_model_are_refused(warm: Bench, location: str) -> None:
    job = warm.job("onnx", model_with_outside_weights(location))
    finish, output = warm.run(job, given(x=[1]))
    assert (finish.reason, output) == ("invalid_input", b"")


def test_onnx_memory_limit_holds(warm: Bench) -> None:
    model, count = hungry_model(count=4), 256 * MIB // 4
    finish, _ = warm.run(
        warm.job("onnx", model, memory_bytes=32 * MIB), given(shape_in=[count], x=[1])
    )
    assert finish.reason == "memory", finish
    finish, _ = warm.run(warm.job("onnx", model, memory_bytes=32 * MIB), given(shape_in=[9], x=[1]))
    assert finish.reason == "ok", finish


def test_onnx_time_limit_holds(warm: Bench) -> None:
    job = warm.job("onnx", endless_model(), run_ms=200)
    finish, _ = warm.run(job, given(turns=2**40, x=[1]))
    assert finish.reason == "timeout", finish


def test_onnx_output_limit_holds(warm: Bench) -> None:
    job = warm.job("onnx", affine_model(), output_bytes_max=20)
    assert warm.run(job, given(x=[[1, 2, 3]]))[0].reason == "output_limit"


def test_onnx_warm_inference_is_quick(warm: Bench) -> None:
    job = warm.job("onnx", affine_model())
    used = sorted(warm.run(job, given(x=[[1, 2, 3]]))[0].cpu_us for _ in range(30))
    assert used[15] < 10_000


def test_onnx_and_wasm_children_are_apart(tmp_path: Path) -> None:
    from tests.fixtures.modules import wasm

    with bench(tmp_path) as made:
        first = made.start(made.job("onnx", affine_model()), given(x=[[1, 2, 3]]))
        second = made.start(made.job("wasm", wasm("words")), b"a b")
        assert len(made.pool.pids) == 2
        made.wait(first)
        made.wait(second)
        assert second.heard[0][1] == b"2"
