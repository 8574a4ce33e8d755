"""The flags of ``souk job submit`` as a job document, laid over the one from a file if given."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from ..units import parse_duration_s


def overlay(document: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """``flags`` over ``document``: objects are merged, anything else is replaced."""
    merged = dict(document)
    for key, value in flags.items():
        held = merged.get(key)
        both = isinstance(held, Mapping) and isinstance(value, Mapping)
        merged[key] = overlay(held, value) if both else value  # type: ignore[arg-type]
    return merged


def code_flags(*, wasm: str, onnx: str, env: Sequence[str], fuel: int) -> dict[str, Any]:
    """What to run."""
    if wasm and onnx:
        raise typer.BadParameter("give --wasm or --onnx, not both")
    flags: dict[str, Any] = {}
    if wasm:
        flags = {"kind": "wasm", "wasm": {"module": wasm}}
    if onnx:
        flags = {"kind": "onnx", "onnx": {"model": onnx}}
    if env or fuel:
        flags["wasm"] = _present({"env": pairs(env, "--env"), "fuel_max": fuel}) | flags.get(
            "wasm", {}
        )
    return flags


def task_flags(
    *, args: Sequence[str], stdin: Mapping[str, Any] | None, array: int
) -> dict[str, Any]:
    """One task, or an array of them."""
    task: dict[str, Any] = {"args": list(args)} if args else {}
    if stdin is not None:
        task["input"] = stdin
    if array:
        return {"array": {"count": array, **task}}
    return {"tasks": [task]} if task else {}


def need_flags(
    *,
    cpu: str,
    memory: str,
    limit_price: str,
    budget: str,
    slots: int,
    cell: str,
    name: str,
) -> dict[str, Any]:
    """What it needs and what it may cost."""
    return _present(
        {
            "name": name,
            "resources": _present({"cpu": cpu, "memory": memory}),
            "limit_price": limit_price,
            "budget": budget,
            "slots_max": slots,
            "cell": cell,
        }
    )


def constraint_flags(
    *,
    labels: Sequence[str],
    not_labels: Sequence[str],
    arch: Sequence[str],
    nodes: Sequence[str],
    cell_only: bool,
) -> dict[str, Any]:
    """Where it may run."""
    constraints = {
        "labels": pairs(labels, "--label"),
        "not_labels": pairs(not_labels, "--not-label"),
        "arch": list(arch),
        "nodes": list(nodes),
        "cell_only": cell_only,
    }
    return _present({"constraints": _present(constraints)})


def limit_flags(
    *,
    max_run: str,
    max_total: str,
    deadline: str,
    latency_ms: int,
    attempts: int,
    top_up: bool = False,
) -> dict[str, Any]:
    """When it ends at the latest, how near it must be, how often it is tried."""
    limits = {
        "max_run_s": _seconds(max_run, "--max-run"),
        "max_total_s": _seconds(max_total, "--max-total"),
    }
    qos = {
        "deadline_s": _seconds(deadline, "--deadline"),
        "latency_ms_max": latency_ms,
        "top_up": top_up,
    }
    return _present(
        {
            "limits": _present(limits),
            "qos": _present(qos),
            "retry": _present({"attempts_max": attempts}),
        }
    )


def pairs(items: Sequence[str], flag: str) -> dict[str, str]:
    """``["a=1"]`` → ``{"a": "1"}``."""
    found = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{item!r} is not KEY=VALUE", param_hint=flag)
        found[key] = value
    return found


def _seconds(text: str, flag: str) -> float | int | None:
    if not text:
        return None
    try:
        seconds = parse_duration_s(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from error
    return int(seconds) if seconds == int(seconds) else seconds


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in (None, "", 0, {}, [])}
