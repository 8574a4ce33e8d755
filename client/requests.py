"""A job as a tenant writes it down; ``body`` is what travels.

Quantities are base units and money is micros, as everywhere in this package; the command line and
job files (``job_files.py``) accept units and credits.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmCode:
    """A WASI module by digest: arguments, standard input and ``env`` in; standard output out."""

    module: str
    env: Mapping[str, str] = field(default_factory=dict)
    fuel_max: int = 0  # 0: no limit but time


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxCode:
    """An ONNX model by digest, name or id; a task's input and output are its tensors."""

    model: str
    threads: int = 1
    output_encoding: str = "json"  # or "npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One unit of work. Of the inputs at most one may be given."""

    args: Sequence[str] = ()
    text: str | None = None
    data: bytes | None = None
    json: Any = None
    digest: str | None = None
    encoding: str = "json"  # of ``data`` or ``digest`` for a model: "json" or "npz"

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"args": list(self.args)} if self.args else {}
        if source := self._input():
            body["input"] = source
        return body

    def _input(self) -> dict[str, Any] | None:
        given: list[dict[str, Any]] = []
        if self.text is not None:
            given.append({"text": self.text})
        if self.data is not None:
            given.append({"base64": base64.b64encode(self.data).decode(), **self._encoding()})
        if self.json is not None:
            given.append({"json": self.json})
        if self.digest is not None:
            given.append({"digest": self.digest, **self._encoding()})
        if len(given) > 1:
            raise ValueError("a task takes one input: text, data, json or digest")
        return given[0] if given else None

    def _encoding(self) -> dict[str, str]:
        return {} if self.encoding == "json" else {"encoding": self.encoding}


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """``count`` tasks alike but for ``{index}`` in their arguments and text."""

    count: int
    task: Task = field(default_factory=Task)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What to run, where, for how much. Absent limits are the platform's defaults."""

    code: WasmCode | OnnxCode
    tasks: Sequence[Task] | Array
    resources: Mapping[str, int]
    limit_price_micros_per_hour: int  # the most for one slot-hour
    name: str = ""
    budget_micros: int | None = None
    slots_max: int | None = None
    cell: str | None = None
    constraints: Mapping[str, Any] = field(default_factory=dict)
    qos: Mapping[str, Any] = field(default_factory=dict)
    retry: Mapping[str, Any] = field(default_factory=dict)
    disconnect: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The JSON object of ``POST /v1/jobs``."""
        body: dict[str, Any] = {
            "name": self.name,
            **_code(self.code),
            **_tasks(self.tasks),
            "resources": dict(self.resources),
            "limit_price_micros_per_hour": self.limit_price_micros_per_hour,
        }
        optional = {
            "budget_micros": self.budget_micros,
            "slots_max": self.slots_max,
            "cell": self.cell,
            "constraints": dict(self.constraints),
            "qos": dict(self.qos),
            "retry": dict(self.retry),
            "disconnect": dict(self.disconnect),
            "limits": dict(self.limits),
        }
        return body | {key: value for key, value in optional.items() if value not in (None, {})}


def _code(code: WasmCode | OnnxCode) -> dict[str, Any]:
    if isinstance(code, WasmCode):
        module: dict[str, Any] = {"module": code.module}
        if code.env:
            module["env"] = dict(code.env)
        if code.fuel_max:
            module["fuel_max"] = code.fuel_max
        return {"kind": "wasm", "wasm": module}
    model = {
        "model": code.model,
        "threads": code.threads,
        "output_encoding": code.output_encoding,
    }
    return {"kind": "onnx", "onnx": model}


def _tasks(tasks: Sequence[Task] | Array) -> dict[str, Any]:
    if isinstance(tasks, Array):
        return {"array": {"count": tasks.count, **tasks.task.body()}}
    return {"tasks": [task.body() for task in tasks]}
