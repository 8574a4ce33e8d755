"""Tensors from and to bytes, checked against what a model declares.

JSON is ``{name: nested list}``; results are canonical (sorted keys, no spaces), so that the same
numbers give the same digest. A float32 is written with the digits of its exact double value; not a
number and infinities are the texts ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, as in protobuf's
JSON. ``npz`` is numpy's own archive, without pickles and with fixed dates.
"""

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.executors.job import TaskFailure

Array = NDArray[Any]
DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
    "tensor(bool)": np.bool_,
}
Shape = Sequence[int | str | None]  # a name or None is any length


def read(data: bytes, encoding: str) -> dict[str, Array]:
    """The named arrays in ``data``, types as found.

    Raises:
        TaskFailure: not of that encoding.
    """
    try:
        return _read_npz(data) if encoding == "npz" else _read_json(data)
    except (ValueError, OSError, KeyError, EOFError, RecursionError, zipfile.BadZipFile) as error:
        raise TaskFailure("invalid_input", f"the input is not {encoding}: {error}") from None


def fit(name: str, array: Array, *, kind: str, shape: Shape) -> Array:
    """``array`` in the type and shape that the model declares for input ``name``.

    Raises:
        TaskFailure: it does not fit; nothing is rounded or wrapped to make it fit.
    """
    if kind not in DTYPES:
        raise TaskFailure("invalid_input", f"input {name}: {kind} is not supported")
    wanted = np.dtype(DTYPES[kind])
    if len(shape) != array.ndim or any(
        isinstance(want, int) and want != have
        for want, have in zip(shape, array.shape, strict=False)
    ):
        raise TaskFailure(
            "invalid_input", f"input {name}: shape {list(array.shape)}, the model wants {shape}"
        )
    if array.dtype == wanted:
        return np.asarray(array, order="C")
    if array.size and not _converts(array, wanted):
        raise TaskFailure(
            "invalid_input", f"input {name}: {array.dtype} values do not fit {wanted}"
        )
    return np.asarray(array, dtype=wanted, order="C")


def write(arrays: Mapping[str, Array], encoding: str) -> bytes:
    """The bytes of a result, the same for the same numbers."""
    if encoding == "npz":
        return _write_npz(arrays)
    lists = {name: _plain(array) for name, array in arrays.items()}
    return json.dumps(lists, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _read_json(data: bytes) -> dict[str, Array]:
    raw = json.loads(data)
    if not isinstance(raw, dict):
        raise ValueError("expected an object of named inputs")
    arrays = {}
    for name, value in raw.items():
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name} is not a number or an even nested list of numbers")
        arrays[name] = array
    return arrays


def _read_npz(data: bytes) -> dict[str, Array]:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _converts(array: Array, wanted: "np.dtype[Any]") -> bool:
    if wanted.kind == "b" or array.dtype.kind == "b":
        return False
    if wanted.kind == "f":
        return array.dtype.kind in "iuf"
    if array.dtype.kind not in "iu":
        return False
    bounds = np.iinfo(wanted)
    return int(array.min()) >= bounds.min and int(array.max()) <= bounds.max


def _plain(array: Array) -> Any:
    values = array.tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return _named(values)
    return values


def _named(value: Any) -> Any:
    if isinstance(value, list):
        return [_named(item) for item in value]
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _write_npz(arrays: Mapping[str, Array]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, arrays[name], allow_pickle=False)
            # A ZipInfo of its own carries the fixed date of 1980 instead of now.
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, member.getvalue())
    return target.getvalue()
