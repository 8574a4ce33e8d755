"""The demo's modules and model give the answers that are worked out directly."""

import numpy as np
import onnxruntime
import pytest
import wasmtime

from stack.demo_workloads import digits
from stack.demo_workloads.modules import (
    mandelbrot_directly,
    module,
    primes_directly,
    words_directly,
)


@pytest.fixture
def run(tmp_path):
    """Run a module as an agent does: arguments after a name, standard input from a file."""

    def run(name, *args, stdin=b""):
        (tmp_path / "in").write_bytes(stdin)
        engine = wasmtime.Engine()
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        store = wasmtime.Store(engine)
        wasi = wasmtime.WasiConfig()
        wasi.argv = ["main", *args]
        wasi.stdin_file = str(tmp_path / "in")
        wasi.stdout_file = str(tmp_path / "out")
        store.set_wasi(wasi)
        instance = linker.instantiate(store, wasmtime.Module(engine, module(name)))
        instance.exports(store)["_start"](store)
        return (tmp_path / "out").read_bytes()

    return run


@pytest.mark.parametrize(
    ("limit", "count"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (25, 9), (100, 25), (10_007, 1230)]
)
def test_primes(run, limit, count):
    assert run("primes", str(limit)) == primes_directly(limit) == f"{count}\n".encode()


def test_primes_without_an_argument_exits(run):
    with pytest.raises(wasmtime.ExitTrap) as ended:
        run("primes")
    assert ended.value.code == 2


@pytest.mark.parametrize(
    "text", [b"", b"one", b"a b\n c\n", b"\t\r\n\v\f x", b"x" * 70_000 + b" y\n" * 50_000]
)
def test_words(run, text):
    assert run("words", stdin=text) == words_directly(text)


@pytest.mark.parametrize("row", range(0, 24, 5))
def test_mandelbrot(run, row):
    assert run("mandelbrot", str(row), "78", "24") == mandelbrot_directly(row, 78, 24)


def test_model_reads_noisy_digits_and_agrees_with_the_network():
    session = onnxruntime.InferenceSession(digits.model(), providers=["CPUExecutionProvider"])
    labels = np.random.default_rng(3).integers(0, 10, 1000)
    pictures = digits.noisy(labels, seed=4)
    found, chance = session.run(["digit", "chance"], {"pixels": pictures})
    assert (found == labels).mean() > 0.97  # guessing would be right in one of ten
    assert np.array_equal(found, digits.read_directly(pictures))
    assert np.allclose(chance.sum(axis=1), 1.0, atol=1e-5)
