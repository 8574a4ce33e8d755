"""Whether the owner's rules let an order in: a reason and a sentence when they do not."""

from dataclasses import dataclass

from edge_agent.core.model import OwnerTerms
from edge_agent.wire import Assign

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an order is not taken; ``reason`` is of the closed list of end reasons."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """What the leases in hand hold, without the one that is asked about."""

    cpu_millis: int = 0
    memory_bytes: int = 0
    queued: int = 0


QUEUED_ATTEMPTS_MAX = 10_000


def refusal(
    assign: Assign, *, terms: OwnerTerms, reserved: Reserved, draining: bool, now: int
) -> Refusal | None:
    """The first rule that ``assign`` breaks, None when it may come in."""
    if draining:
        return Refusal(reason="drained", detail="the node is being drained and takes nothing new")
    if assign.kind not in terms.runtimes:
        have = ", ".join(sorted(terms.runtimes)) or "none"
        return Refusal(
            reason="runtime_missing", detail=f"no {assign.kind} runtime here, there is: {have}"
        )
    detail = (
        _malformed(assign)
        or _unwelcome(assign, terms, now)
        or _no_room(assign, terms=terms, reserved=reserved)
    )
    return Refusal(reason="rejected", detail=detail) if detail else None


def _malformed(assign: Assign) -> str:
    spec = assign.wasm if assign.kind == "wasm" else assign.onnx
    if spec is None:
        return f"the order is of kind {assign.kind} and does not say which {assign.kind} to run"
    if assign.slots < 1 or assign.cpu_millis < 1 or assign.memory_bytes < 1:
        return "an order needs at least one slot, one cpu milli and one byte of memory"
    return ""


def _unwelcome(assign: Assign, terms: OwnerTerms, now: int) -> str:
    if not terms.open_now:
        return "outside the hours that the owner set"
    if assign.tenant in terms.refuses_tenants:
        return f"the owner refuses tenant {assign.tenant}"
    if terms.accepts_tenants and assign.tenant not in terms.accepts_tenants:
        return f"the owner takes named tenants only and {assign.tenant} is not one"
    if assign.lease_ends_at <= now:
        return "the lease ended before the order came"
    return ""


def _no_room(assign: Assign, *, terms: OwnerTerms, reserved: Reserved) -> str:
    cpu_free = terms.cpu_millis - reserved.cpu_millis
    cpu_needed = assign.slots * assign.cpu_millis
    if cpu_needed > cpu_free:
        return f"cpu: needs {cpu_needed} millis, {max(cpu_free, 0)} are free"
    memory_free = terms.memory_bytes - reserved.memory_bytes
    memory_needed = assign.slots * assign.memory_bytes
    if memory_needed > memory_free:
        return f"memory: needs {memory_needed // MIB} MiB, {max(memory_free, 0) // MIB} are free"
    if assign.output_bytes_max > terms.output_bytes_max:
        return f"output: asks for {assign.output_bytes_max} bytes, cap {terms.output_bytes_max}"
    if reserved.queued + len(assign.tasks) > QUEUED_ATTEMPTS_MAX:
        return f"queue: {reserved.queued} attempts wait already, cap {QUEUED_ATTEMPTS_MAX}"
    return ""
