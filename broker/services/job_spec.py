"""A job as the platform understands it: the validated request, in plain values with units.

The API parses JSON into this; ``to_document``/``from_document`` keep it in ``jobs.spec``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

JobKind = Literal["wasm", "onnx"]

TASKS_PER_JOB_MAX = 10_000
ARGS_PER_TASK_MAX = 256
INPUT_INLINE_BYTES_MAX = 256 * 1024
SLOTS_PER_JOB_MAX = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """One task: arguments and an input, inline (base64) or by digest, never both."""

    args: tuple[str, ...] = ()
    input_base64: str = ""
    input_digest: str = ""
    input_encoding: Literal["json", "npz"] = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Where it may run: hard, never traded for score."""

    labels: Mapping[str, str] = field(default_factory=dict)
    not_labels: Mapping[str, str] = field(default_factory=dict)
    arch: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    cell_only: bool = False  # never leave the home cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Qos:
    """What the tenant needs of the service; 0 means no need."""

    latency_ms_max: int = 0  # to the home cell
    reliability_min: float = 0.0
    speed_min: float = 0.0  # of one core, reference core = 1
    deadline_ms: int = 0  # from submission
    work_ms: int = 0  # expected run time of one task on the reference core; 0 unknown
    top_up: bool = False  # buy extra slots at the standing price when it falls behind these


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often a task is tried again after a cause that is not the tenant's."""

    attempts_max: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """What happens when a node falls silent under running work.

    After ``lost_after_ms`` the attempt is given up; ``replace`` tries it elsewhere, else the task
    fails with ``agent_lost``. ``stop_on_node`` tells the node to stop by itself after that time.
    """

    lost_after_ms: int = 15_000
    replace: bool = True
    stop_on_node: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times and sizes that end a task or the job."""

    max_run_ms: int = 60_000  # of one attempt
    max_total_ms: int = 3_600_000  # from submission
    output_bytes_max: int = 1 << 20
    fuel_max: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """Everything that the platform needs to sell, place, run and settle a job."""

    name: str
    kind: JobKind
    code_digest: str  # the WASM module or the ONNX model
    tasks: tuple[TaskSpec, ...]
    resources: Mapping[str, int]  # of one slot: resource name → base units
    limit_micros_per_hour: int  # the most for one slot-hour
    budget_micros: int  # the most for the whole job: what is held
    slots_max: int  # tasks that may run at the same time
    cell: str = ""  # home cell id; "": the platform chooses
    env: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    output_encoding: Literal["json", "npz"] = "json"
    constraints: Constraints = field(default_factory=Constraints)
    qos: Qos = field(default_factory=Qos)
    retry: Retry = field(default_factory=Retry)
    disconnect: Disconnect = field(default_factory=Disconnect)
    limits: Limits = field(default_factory=Limits)


def to_document(spec: JobSpec) -> dict[str, Any]:
    """The spec without its tasks (each has a row of its own), ready for JSONB."""
    document = asdict(replace(spec, tasks=()))  # asdict copies deeply, and tasks may be many
    del document["tasks"]
    return document


def from_document(document: Mapping[str, Any]) -> JobSpec:
    """The spec of a stored job, with no tasks."""
    held = dict(document)
    constraints = dict(held.pop("constraints"))
    constraints["arch"] = tuple(constraints["arch"])
    constraints["nodes"] = tuple(constraints["nodes"])
    return JobSpec(
        tasks=(),
        constraints=Constraints(**constraints),
        qos=Qos(**held.pop("qos")),
        retry=Retry(**held.pop("retry")),
        disconnect=Disconnect(**held.pop("disconnect")),
        limits=Limits(**held.pop("limits")),
        **held,
    )
