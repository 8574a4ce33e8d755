"""A job written down in a TOML or JSON file: the API's request, with conveniences for people.

A file holds the fields of ``POST /v1/jobs``. Besides, it may say

- ``wasm.module`` and ``onnx.model`` as a path: the file is uploaded, its digest is used;
- ``input.file`` as a path: sent inline when small, else uploaded;
- ``resources.cpu`` in cores and ``resources.memory`` with a unit (``"128MiB"``);
- ``limit_price`` in credits per slot-hour and ``budget`` in credits.

Paths are relative to the file. The flags of ``souk job submit`` make the same document.
"""

import base64
import json
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from .errors import ConfigError
from .resources import Artifact
from .units import parse_bytes, parse_cores, parse_credits

INPUT_INLINE_BYTES_MAX = 128 * 1024  # the platform takes 256 KiB in all, and base64 adds a third


class Uploader(Protocol):
    """What resolving needs of the platform."""

    def put(self, source: Path | str | bytes, *, name: str = "") -> Artifact: ...


def read_document(path: Path) -> dict[str, Any]:
    """The document in a ``.toml`` or ``.json`` file. Raises ``ConfigError`` with what is wrong."""
    try:
        text = path.read_text()
        if path.suffix == ".toml":
            document: Any = tomllib.loads(text, parse_float=Decimal)
        else:
            document = json.loads(text, parse_float=Decimal)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not {path.suffix[1:] or 'json'}: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} does not hold a job (an object with kind, tasks, …)")
    return document


def resolve(document: Mapping[str, Any], *, folder: Path, artifacts: Uploader) -> dict[str, Any]:
    """The request's body: files uploaded, units converted. Raises ``ConfigError``."""
    body = dict(document)
    try:
        _resolve_money(body)
        if "resources" in body:
            body["resources"] = _resources(body["resources"])
        _resolve_code(body, folder, artifacts)
        if "tasks" in body:
            body["tasks"] = [_task(task, folder, artifacts) for task in body["tasks"]]
        if "array" in body:
            body["array"] = _task(body["array"], folder, artifacts)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    plain: dict[str, Any] = _without_decimals(body)
    return plain


def input_of(path: Path, artifacts: Uploader) -> dict[str, Any]:
    """A file as a task's input: text or base64 when small, else uploaded and named by digest."""
    data = _read(path)
    encoding = {"encoding": "npz"} if path.suffix == ".npz" else {}
    if len(data) > INPUT_INLINE_BYTES_MAX:
        return {"digest": artifacts.put(path).digest, **encoding}
    return inline_input(data) | encoding


def inline_input(data: bytes) -> dict[str, Any]:
    """Bytes as an inline input."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _resolve_money(body: dict[str, Any]) -> None:
    if (price := body.pop("limit_price", None)) is not None:
        body["limit_price_micros_per_hour"] = parse_credits(str(price))
    if (budget := body.pop("budget", None)) is not None:
        body["budget_micros"] = parse_credits(str(budget))


def _resources(resources: Mapping[str, Any]) -> dict[str, Any]:
    units = dict(resources)
    if (cpu := units.pop("cpu", None)) is not None:
        units["cpu_millis"] = parse_cores(str(cpu))
    if (memory := units.pop("memory", None)) is not None:
        units["memory_bytes"] = parse_bytes(str(memory))
    return units


def _resolve_code(body: dict[str, Any], folder: Path, artifacts: Uploader) -> None:
    for kind, field in (("wasm", "module"), ("onnx", "model")):
        if kind not in body:
            continue
        code = dict(body[kind])
        name = str(code.get(field, ""))
        path = folder / name
        if name and not name.startswith("sha256:") and (kind == "wasm" or path.is_file()):
            _read_check(path)
            code[field] = artifacts.put(path).digest
        body[kind] = code
        body.setdefault("kind", kind)


def _task(task: Mapping[str, Any], folder: Path, artifacts: Uploader) -> dict[str, Any]:
    resolved = dict(task)
    source = resolved.get("input")
    if isinstance(source, Mapping) and "file" in source:
        rest = {key: value for key, value in source.items() if key != "file"}
        resolved["input"] = input_of(folder / str(source["file"]), artifacts) | rest
    return resolved


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


def _read_check(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; give a path, or a digest as sha256:…")


def _without_decimals(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {key: _without_decimals(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_decimals(each) for each in value]
    return value
