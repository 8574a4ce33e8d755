"""What a tenant sends to plan or submit a job, and how it becomes a ``JobSpec``."""

import base64
import binascii
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import ConfigDict, Field, JsonValue, StringConstraints, model_validator

from api.schemas.base import Digest, Flag, Key, Label, Micros, PositiveMicros, Request, Units
from broker.services.job_spec import (
    ARGS_PER_TASK_MAX,
    INPUT_INLINE_BYTES_MAX,
    SLOTS_PER_JOB_MAX,
    TASKS_PER_JOB_MAX,
    Constraints,
    Disconnect,
    JobSpec,
    Limits,
    Qos,
    Retry,
    TaskSpec,
)
from broker.services.refusals import Invalid
from market.money import charge_micros
from market.resources import RESOURCE_NAMES

SLOTS_DEFAULT_MAX = 64
RUN_S_MAX = 86_400
TOTAL_S_MAX = 30 * 86_400
OUTPUT_BYTES_MAX = 64 * 2**20
INPUTS_BYTES_MAX = 32 * 2**20  # of all tasks of one job, inline

Arg = Annotated[str, StringConstraints(max_length=8_192, pattern=r"^[^\x00]*$")]
Args = Annotated[list[Arg], Field(max_length=ARGS_PER_TASK_MAX)]
Labels = Annotated[dict[Key, Label], Field(max_length=64)]
Env = Annotated[dict[Key, Arg], Field(max_length=64)]
Encoding = Literal["json", "npz"]
Seconds = Annotated[float, Field(strict=True, gt=0, le=RUN_S_MAX)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Count = Annotated[int, Field(strict=True, ge=1, le=TASKS_PER_JOB_MAX)]


EXAMPLES: list[JsonValue] = [
    {
        "name": "count words",
        "kind": "wasm",
        "wasm": {"module": "sha256:" + "0" * 64},
        "array": {"count": 100, "args": ["--part", "{index}"]},
        "resources": {"cpu_millis": 500, "memory_bytes": 64 * 2**20},
        "limit_price_micros_per_hour": 100_000,
    },
    {
        "name": "classify",
        "kind": "onnx",
        "onnx": {"model": "digits"},
        "tasks": [{"input": {"json": {"image": [[0.0, 0.5, 1.0]]}}}],
        "limit_price_micros_per_hour": 200_000,
        "qos": {"deadline_s": 30},
    },
]


class TaskInput(Request):
    """Exactly one of the four; ``encoding`` is that of a digest's or base64's bytes."""

    text: Annotated[str, StringConstraints(max_length=INPUT_INLINE_BYTES_MAX)] | None = None
    base64: Annotated[str, StringConstraints(max_length=INPUT_INLINE_BYTES_MAX * 2)] | None = None
    json_value: dict[str, Any] | list[Any] | None = Field(default=None, alias="json")
    digest: Digest | None = None
    encoding: Encoding = "json"

    @model_validator(mode="after")
    def one_of_four(self) -> Self:
        given = [self.text, self.base64, self.json_value, self.digest]
        if sum(value is not None for value in given) != 1:
            raise ValueError("give exactly one of text, base64, json, digest")
        return self


class TaskRequest(Request):
    """One task."""

    args: Args = Field(default_factory=list)
    input: TaskInput | None = None


class ArrayRequest(Request):
    """``count`` tasks; ``{index}`` in arguments and in ``input.text`` becomes 0, 1, …"""

    count: Count
    args: Args = Field(default_factory=list)
    input: TaskInput | None = None


class WasmRequest(Request):
    """A WASI command module."""

    module: Digest
    env: Env = Field(default_factory=dict)
    fuel_max: Annotated[int, Field(strict=True, ge=0, le=2**53)] = 0


class OnnxRequest(Request):
    """A model: its digest, or the id or name of a registered one."""

    model: Key
    threads: Annotated[int, Field(strict=True, ge=1, le=64)] = 1
    output_encoding: Encoding = "json"


class Resources(Request):
    """Of one slot, in base units."""

    cpu_millis: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 1_000
    memory_bytes: Annotated[int, Field(strict=True, ge=2**20, le=2**44)] = 128 * 2**20
    accelerator_millis: Units = 0
    bandwidth_kbps: Units = 0


class ConstraintsRequest(Request):
    """Where it may run."""

    labels: Labels = Field(default_factory=dict)
    not_labels: Labels = Field(default_factory=dict)
    arch: Annotated[list[Key], Field(max_length=16)] = Field(default_factory=list)
    nodes: Annotated[list[Key], Field(max_length=1_000)] = Field(default_factory=list)
    cell_only: Flag = False


class QosRequest(Request):
    """What is needed of the service; 0 means no need."""

    latency_ms_max: Annotated[int, Field(strict=True, ge=0, le=60_000)] = 0
    reliability_min: Share = 0.0
    speed_min: Annotated[float, Field(strict=True, ge=0, le=1_000)] = 0.0
    deadline_s: Annotated[float, Field(strict=True, ge=0, le=TOTAL_S_MAX)] = 0.0
    work_ms: Annotated[int, Field(strict=True, ge=0, le=RUN_S_MAX * 1_000)] = 0
    top_up: Annotated[
        Flag,
        Field(
            description="Buy extra slots of the nearest nodes, beyond slots_max, at the standing"
            " price and never above the limit, when by its measured pace the job would miss its"
            " deadline or its nodes no longer keep what is asked here."
        ),
    ] = False


class RetryRequest(Request):
    """How often a task is tried after causes that are not the tenant's."""

    attempts_max: Annotated[int, Field(strict=True, ge=1, le=100)] = 5


class DisconnectRequest(Request):
    """What happens when a node falls silent."""

    lost_after_s: Seconds = 15.0
    replace: Flag = True
    stop_on_node: Flag = True


class LimitsRequest(Request):
    """Times and sizes that end an attempt or the job."""

    max_run_s: Seconds = 60.0
    max_total_s: Annotated[float, Field(strict=True, gt=0, le=TOTAL_S_MAX)] = 3_600.0
    output_bytes_max: Annotated[int, Field(strict=True, ge=0, le=OUTPUT_BYTES_MAX)] = 2**20


class JobRequest(Request):
    """A job: a module or model, its tasks, what a slot needs and the most it may cost."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": EXAMPLES})

    name: Label = ""
    kind: Literal["wasm", "onnx"]
    wasm: WasmRequest | None = None
    onnx: OnnxRequest | None = None
    tasks: (
        Annotated[list[TaskRequest], Field(min_length=1, max_length=TASKS_PER_JOB_MAX)] | None
    ) = None
    array: ArrayRequest | None = None
    resources: Resources = Resources()
    limit_price_micros_per_hour: PositiveMicros = Field(
        description="The most for one slot during one hour.", examples=[100_000]
    )
    budget_micros: Micros | None = Field(
        default=None, description="What is held. Default: limit price × longest run × tasks."
    )
    slots_max: Annotated[int, Field(strict=True, ge=1, le=SLOTS_PER_JOB_MAX)] | None = None
    cell: Key | None = Field(default=None, description="Home cell, id or name. Default: chosen.")
    constraints: ConstraintsRequest = ConstraintsRequest()
    qos: QosRequest = QosRequest()
    retry: RetryRequest = RetryRequest()
    disconnect: DisconnectRequest = DisconnectRequest()
    limits: LimitsRequest = LimitsRequest()

    @property
    def task_count(self) -> int:
        """How many tasks it asks for."""
        if self.array is not None:
            return self.array.count
        return 1 if self.tasks is None else len(self.tasks)

    def to_spec(self, *, code_digest: str, cell_id: str, tasks_max: int) -> "JobSpec":
        """The spec, with names resolved. Raises ``Invalid`` with a pointer for contradictions."""
        _check(self)
        tasks = _tasks(self, tasks_max)
        max_run_ms = _ms(self.limits.max_run_s)
        return JobSpec(
            name=self.name,
            kind=self.kind,
            code_digest=code_digest,
            tasks=tasks,
            resources={
                name: amount for name in RESOURCE_NAMES if (amount := getattr(self.resources, name))
            },
            limit_micros_per_hour=self.limit_price_micros_per_hour,
            budget_micros=_budget(self, slot_ms=max_run_ms * len(tasks)),
            slots_max=self.slots_max or min(len(tasks), SLOTS_DEFAULT_MAX),
            cell=cell_id,
            env=self.wasm.env if self.wasm else {},
            threads=self.onnx.threads if self.onnx else 1,
            output_encoding=self.onnx.output_encoding if self.onnx else "json",
            constraints=Constraints(
                labels=self.constraints.labels,
                not_labels=self.constraints.not_labels,
                arch=tuple(self.constraints.arch),
                nodes=tuple(self.constraints.nodes),
                cell_only=self.constraints.cell_only,
            ),
            qos=Qos(
                latency_ms_max=self.qos.latency_ms_max,
                reliability_min=self.qos.reliability_min,
                speed_min=self.qos.speed_min,
                deadline_ms=_ms(self.qos.deadline_s),
                work_ms=self.qos.work_ms,
                top_up=self.qos.top_up,
            ),
            retry=Retry(attempts_max=self.retry.attempts_max),
            disconnect=Disconnect(
                lost_after_ms=_ms(self.disconnect.lost_after_s),
                replace=self.disconnect.replace,
                stop_on_node=self.disconnect.stop_on_node,
            ),
            limits=Limits(
                max_run_ms=max_run_ms,
                max_total_ms=_ms(self.limits.max_total_s),
                output_bytes_max=self.limits.output_bytes_max,
                fuel_max=self.wasm.fuel_max if self.wasm else 0,
            ),
        )


def _check(job: JobRequest) -> None:
    """Contradictions among fields, in a fixed order."""
    other = "onnx" if job.kind == "wasm" else "wasm"
    if getattr(job, job.kind) is None:
        raise Invalid(f"A job of kind {job.kind!r} needs the field {job.kind!r}.", pointer="/kind")
    if getattr(job, other) is not None:
        raise Invalid(f"A job of kind {job.kind!r} has no {other!r}.", pointer=f"/{other}")
    if job.tasks is not None and job.array is not None:
        raise Invalid("Give tasks or array, not both.", pointer="/array")
    both = set(job.constraints.labels.items()) & set(job.constraints.not_labels.items())
    if both:
        raise Invalid(
            f"The label {sorted(both)[0][0]!r} is both wanted and unwanted.",
            pointer="/constraints/not_labels",
        )
    if job.constraints.cell_only and job.cell is None:
        raise Invalid("cell_only needs a cell.", pointer="/constraints/cell_only")
    if job.limits.max_run_s > job.limits.max_total_s:
        raise Invalid("An attempt may not run longer than the job.", pointer="/limits/max_run_s")
    if job.qos.deadline_s > job.limits.max_total_s:
        raise Invalid("The deadline is after the job's own end.", pointer="/qos/deadline_s")
    if job.disconnect.replace and not job.disconnect.stop_on_node:
        raise Invalid(
            "A task that is replaced must stop on its silent node, or it would run twice.",
            pointer="/disconnect/stop_on_node",
        )


def _tasks(job: JobRequest, tasks_max: int) -> tuple[TaskSpec, ...]:
    if job.array is not None:
        count, made = job.array.count, _array(job.array)
    else:
        listed = job.tasks if job.tasks is not None else [TaskRequest()]
        count = len(listed)
        made = (
            _task(task.args, task.input, pointer=f"/tasks/{index}/input")
            for index, task in enumerate(listed)
        )
    if count > tasks_max:
        raise Invalid(f"A job has at most {tasks_max} tasks here.", pointer="/tasks")
    tasks, inline = [], 0
    for task in made:
        inline += len(task.input_base64) + sum(map(len, task.args))
        if inline > INPUTS_BYTES_MAX * 4 // 3:
            raise Invalid(
                f"The inline inputs of a job have at most {INPUTS_BYTES_MAX} bytes together;"
                " upload them as artifacts.",
                pointer="/tasks",
            )
        tasks.append(task)
    return tuple(tasks)


def _array(array: ArrayRequest) -> Any:
    fixed = _task((), array.input, pointer="/array/input")
    text = array.input.text if array.input is not None else None
    for index in range(array.count):
        number = str(index)
        args = tuple(arg.replace("{index}", number) for arg in array.args)
        data = fixed.input_base64
        if text is not None and "{index}" in text:
            data = _inline(text.replace("{index}", number).encode(), "/array/input/text")
        yield TaskSpec(
            args=args,
            input_base64=data,
            input_digest=fixed.input_digest,
            input_encoding=fixed.input_encoding,
        )


def _task(args: Any, given: TaskInput | None, *, pointer: str) -> TaskSpec:
    if given is None:
        return TaskSpec(args=tuple(args))
    if given.digest is not None:
        return TaskSpec(args=tuple(args), input_digest=given.digest, input_encoding=given.encoding)
    if given.text is not None:
        data = _inline(given.text.encode(), f"{pointer}/text")
    elif given.base64 is not None:
        data = _decoded(given.base64, f"{pointer}/base64")
    else:
        data = _inline(orjson.dumps(given.json_value), f"{pointer}/json")
    return TaskSpec(args=tuple(args), input_base64=data, input_encoding=given.encoding)


def _decoded(text: str, pointer: str) -> str:
    try:
        return _inline(base64.b64decode(text, validate=True), pointer)
    except (binascii.Error, ValueError) as error:
        raise Invalid("That is not base64.", pointer=pointer) from error


def _inline(data: bytes, pointer: str) -> str:
    if len(data) > INPUT_INLINE_BYTES_MAX:
        raise Invalid(
            f"An inline input has at most {INPUT_INLINE_BYTES_MAX} bytes; upload it and give its"
            " digest.",
            pointer=pointer,
        )
    return base64.b64encode(data).decode()


def _budget(job: JobRequest, *, slot_ms: int) -> int:
    most = charge_micros(rate_micros_per_hour=job.limit_price_micros_per_hour, slot_ms=slot_ms)
    wanted = most if job.budget_micros is None else min(job.budget_micros, most)
    if wanted > 2**62:
        raise Invalid(
            "Limit price × longest run × tasks is beyond any purse.",
            pointer="/limit_price_micros_per_hour",
        )
    return wanted


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)
