"""What tenants submit and get back: artifacts, models, jobs and all that becomes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .base import Resource

JOB_ENDS = frozenset({"succeeded", "failed", "cancelled", "expired"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact(Resource):
    """Bytes known by their digest (``sha256:…``)."""

    digest: str
    size_bytes: int = 0
    name: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Resource):
    """A registered ONNX model."""

    id: str
    name: str
    digest: str = ""
    inputs: tuple[Mapping[str, Any], ...] = ()
    outputs: tuple[Mapping[str, Any], ...] = ()
    parameter_count: int | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCounts(Resource):
    """How many tasks of a job are in each state."""

    queued: int = 0
    placed: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed + self.cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand(Resource):
    """The job's standing bid: how many slots it still asks for, and why it lost last.

    It bids the job's limit price, or less once work of it has moved.
    """

    state: str = ""
    count_open: int = 0
    limit_micros_per_hour: int = 0
    rounds: int = 0
    last_loss: str | None = None
    last_loss_detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Resource):
    """A job as its tenant sees it."""

    id: str
    state: str
    name: str = ""
    kind: str = ""
    account_id: str = ""
    cell_id: str | None = None
    task_count: int = 0
    tasks: TaskCounts = field(default_factory=TaskCounts)
    limit_price_micros_per_hour: int = 0
    hold_micros: int = 0
    cost_micros: int | None = None
    accrued_micros: int | None = None
    end_reason: str | None = None
    end_detail: str | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    matched_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None
    version: int = 0
    demand: Demand | None = None

    @property
    def ended(self) -> bool:
        """Whether the job has come to an end, good or bad."""
        return self.state in JOB_ENDS

    @property
    def succeeded(self) -> bool:
        return self.state == "succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Resource):
    """One unit of a job's work."""

    index: int
    state: str
    id: str = ""
    attempts: int = 0
    exit_code: int | None = None
    end_reason: str | None = None
    end_detail: str | None = None
    result_digest: str | None = None
    result_bytes: int | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Resource):
    """One try of a task on a node, with what was metered."""

    id: str
    state: str
    task_index: int = 0
    number: int = 0
    node_id: str = ""
    node_name: str = ""
    lease_id: str = ""
    reason: str | None = None
    detail: str | None = None
    exit_code: int | None = None
    wall_ms: float | None = None
    cpu_ms: float | None = None
    memory_peak_bytes: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    energy_millijoules: float | None = None
    chargeable_ms: float | None = None
    assigned_at: datetime | None = None
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease(Resource):
    """A right to named capacity on a node for a window."""

    id: str
    job_id: str
    node_id: str
    state: str
    state_reason: str | None = None
    cell_id: str | None = None
    owner_id: str = ""
    tenant_id: str = ""
    slots: int = 0
    resources: Mapping[str, int] = field(default_factory=dict)
    rate_micros_per_hour: int = 0
    reserve_micros_per_hour: int = 0
    limit_micros_per_hour: int = 0
    charge_micros: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    ended_at: datetime | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTail(Resource):
    """The last lines that a task wrote to its standard error."""

    task_index: int
    attempt: int = 0
    node_id: str = ""
    log_tail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Resource):
    """Something that happened; ``id`` is a cursor: following may be taken up after it."""

    id: str
    kind: str
    subject_id: str | None = None
    at: datetime | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan(Resource):
    """What would become of a job: the ranges are ``{low, likely, high}`` in micros.

    A figure is None where nothing can be said; without a price ``no_price`` says why none wins.
    """

    serviceable: bool
    reasons: tuple[Mapping[str, Any], ...] = ()
    candidates: int = 0
    price_micros_per_hour: Mapping[str, int | None] | None = None
    cost_micros: Mapping[str, int | None] | None = None
    no_price: str = ""
    hold_micros: int = 0
    chance: float | None = None
    start_ms: Mapping[str, float | None] = field(default_factory=dict)
    cell_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(Resource):
    """Why a job is where it is: what it bid, what ruled nodes out, what would have won."""

    job_id: str
    state: str = ""
    summary: str = ""
    demand: Demand | None = None
    rounds: tuple[Mapping[str, Any], ...] = ()
    ruled_out: tuple[Mapping[str, Any], ...] = ()
    candidates: tuple[Mapping[str, Any], ...] = ()
    price_to_win_micros_per_hour: int | None = None
    leases: tuple[Mapping[str, Any], ...] = ()
