"""Orders to nodes: assigned attempts grouped by lease and bounded in number and bytes."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from db.control.placing import JobToPlace, LeaseToFill, Order
from edge_agent.wire import Assign, OnnxSpec, TaskOrder, WasmSpec
from edge_agent.wire.messages import TASKS_PER_ASSIGN_MAX

ASSIGN_BYTES_MAX = 512 * 1024  # of inputs: MQTT servers refuse messages over 1 MiB
GRANT_MARGIN = timedelta(minutes=10)  # after the lease: results are still to be uploaded

MakeGrant = Callable[[LeaseToFill, JobToPlace, datetime], str]


def build_assigns(
    orders: Iterable[Order],
    jobs: Mapping[str, JobToPlace],
    leases: Mapping[str, LeaseToFill],
    make_grant: MakeGrant,
) -> Iterator[tuple[str, Assign]]:
    """(node, order) of each lease's attempts; an order whose job or lease is gone is left out."""
    grouped: dict[str, list[Order]] = defaultdict(list)
    for order in orders:
        if order.job_id in jobs and order.lease_id in leases:
            grouped[order.lease_id].append(order)
    for lease_id, group in grouped.items():
        lease = leases[lease_id]
        job = jobs[lease.job_id]
        grant = make_grant(lease, job, lease.ends_at + GRANT_MARGIN)
        for chunk in _chunks(group):
            yield lease.node_id, _assign(job, lease, chunk, grant)


def _chunks(orders: Iterable[Order]) -> Iterator[list[Order]]:
    chunk: list[Order] = []
    held = 0
    for order in orders:
        size = _size(order.input)
        if chunk and (len(chunk) >= TASKS_PER_ASSIGN_MAX or held + size > ASSIGN_BYTES_MAX):
            yield chunk
            chunk, held = [], 0
        chunk.append(order)
        held += size
    if chunk:
        yield chunk


def _size(task_input: Mapping[str, Any]) -> int:
    """About how many bytes a task's input takes in an order."""
    args = task_input.get("args") or ()
    return 200 + len(task_input.get("base64") or "") + sum(len(arg) + 3 for arg in args)


def _assign(job: JobToPlace, lease: LeaseToFill, orders: list[Order], grant: str) -> Assign:
    spec = job.spec
    limits, disconnect = spec["limits"], spec["disconnect"]
    wasm = onnx = None
    if job.kind == "wasm":
        wasm = WasmSpec(
            module_digest=spec["code_digest"],
            fuel_max=limits["fuel_max"],
            env=dict(spec.get("env") or {}),
        )
    else:
        onnx = OnnxSpec(
            model_digest=spec["code_digest"],
            threads=spec["threads"],
            output_encoding=spec["output_encoding"],
        )
    return Assign(
        job=job.id,
        lease=lease.id,
        tenant=job.account_name,
        kind="wasm" if job.kind == "wasm" else "onnx",
        cpu_millis=lease.cpu_millis,
        memory_bytes=lease.memory_bytes,
        max_run_ms=limits["max_run_ms"],
        slots=lease.slots,
        lease_ends_at=_unix_ms(lease.ends_at),
        tasks=tuple(_task(order) for order in orders),
        grant=grant,
        wasm=wasm,
        onnx=onnx,
        output_bytes_max=limits["output_bytes_max"],
        deadline_at=_unix_ms(job.expires_at),
        lost_after_ms=disconnect["lost_after_ms"] if disconnect["stop_on_node"] else 0,
    )


def _task(order: Order) -> TaskOrder:
    given = order.input
    return TaskOrder(
        attempt=order.attempt_id,
        fence=order.fence,
        task=order.task_id,
        index=order.task_index,
        args=tuple(given.get("args") or ()),
        input_base64=given.get("base64") or "",
        input_digest=given.get("digest") or "",
        input_encoding=given.get("encoding") or "json",
    )


def _unix_ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
