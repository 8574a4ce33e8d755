"""A small real model: reads noisy 5×7 dot-matrix digits; trained here in a second, from a seed.

The plain way is to commit a model file; a network of 35-48-10 neurons trains faster than such a
file is reviewed, and shows that nothing is hidden in it. Same machine, same seed, same model.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SEED = 20_260_101
HIDDEN = 48
PIXELS = 35
EPOCHS = 60
SAMPLES_PER_DIGIT = 200
NOISE = 0.35  # standard deviation of what is added to each pixel, which is 0 or 1
_RATE = 0.2
_BATCH = 100
_GLYPHS = (
    "01110 10001 10011 10101 11001 10001 01110",
    "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00010 00100 01000 11111",
    "11111 00010 00100 00010 00001 10001 01110",
    "00010 00110 01010 10010 11111 00010 00010",
    "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110",
    "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110",
    "01110 10001 10001 01111 00001 00010 01100",
)


def glyphs() -> Floats:
    """The ten clean digits, shape (10, 35)."""
    rows = [[int(dot) for dot in glyph.replace(" ", "")] for glyph in _GLYPHS]
    return np.array(rows, dtype=np.float32)


def noisy(digits: NDArray[np.int64], *, seed: int) -> Floats:
    """Pictures of ``digits``, shape (n, 35), each pixel disturbed."""
    rng = np.random.default_rng(seed)
    clean = glyphs()[digits]
    return (clean + rng.normal(0.0, NOISE, clean.shape)).astype(np.float32)


@lru_cache(maxsize=1)
def weights() -> tuple[Floats, Floats, Floats, Floats]:
    """The trained network: (35, 48), (48,), (48, 10), (10,). Plain SGD on cross-entropy."""
    rng = np.random.default_rng(SEED)
    labels = np.repeat(np.arange(10), SAMPLES_PER_DIGIT)
    pictures = noisy(labels, seed=SEED + 1)
    w1 = rng.normal(0, PIXELS**-0.5, (PIXELS, HIDDEN)).astype(np.float32)
    w2 = rng.normal(0, HIDDEN**-0.5, (HIDDEN, 10)).astype(np.float32)
    b1, b2 = np.zeros(HIDDEN, np.float32), np.zeros(10, np.float32)
    for _ in range(EPOCHS):
        for batch in np.array_split(rng.permutation(len(labels)), len(labels) // _BATCH):
            x, y = pictures[batch], labels[batch]
            hidden = np.maximum(x @ w1 + b1, 0)
            slope = _softmax(hidden @ w2 + b2)
            slope[np.arange(len(y)), y] -= 1
            slope /= len(y)
            back = (slope @ w2.T) * (hidden > 0)
            w2 -= _RATE * hidden.T @ slope
            b2 -= _RATE * slope.sum(axis=0)
            w1 -= _RATE * x.T @ back
            b1 -= _RATE * back.sum(axis=0)
    return w1, b1, w2, b2


def read_directly(pictures: Floats) -> NDArray[np.int64]:
    """The digits that the network sees, without ONNX: shape (n, 35) to (n,)."""
    w1, b1, w2, b2 = weights()
    scores = np.maximum(pictures @ w1 + b1, 0) @ w2 + b2
    return np.asarray(np.argmax(scores, axis=1), dtype=np.int64)


@lru_cache(maxsize=1)
def model() -> bytes:
    """The network as ONNX: ``pixels`` float32 (n, 35) → ``digit`` int64 (n,) and ``chance``."""
    from onnx import TensorProto, checker, helper, numpy_helper

    names = ("w1", "b1", "w2", "b2")
    held = zip(weights(), names, strict=True)
    nodes = [
        helper.make_node("Gemm", ["pixels", "w1", "b1"], ["before"]),
        helper.make_node("Relu", ["before"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "w2", "b2"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["chance"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["digit"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", PIXELS])],
        [
            helper.make_tensor_value_info("digit", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("chance", TensorProto.FLOAT, ["n", 10]),
        ],
        [numpy_helper.from_array(array, name) for array, name in held],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(made)
    return bytes(made.SerializeToString())


def _softmax(scores: Floats) -> Floats:
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32)
