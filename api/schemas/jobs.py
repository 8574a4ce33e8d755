"""Jobs, their tasks, attempts, logs and events as clients see them."""

from datetime import datetime
from typing import Self

from pydantic import Field

from api.answers import PageOf
from api.schemas.base import Document, View
from db.events import EventRecord
from db.repositories.jobs import AttemptRecord, JobRecord
from db.tables import Demand, Task


class TaskCountsView(View):
    """Tasks by state; they sum to ``task_count``."""

    queued: int
    placed: int
    succeeded: int
    failed: int
    cancelled: int


class DemandView(View):
    """What the job still asks of the market, and why it did not get it last time."""

    state: str
    count_open: int
    limit_micros_per_hour: int = Field(
        description="What it bids for one slot: the job's limit price, or less once work of it has "
        "moved, so that what is left of the budget pays all that is open."
    )
    rounds: int
    last_loss: str | None
    last_loss_detail: str


class JobView(View):
    """A job."""

    id: str
    name: str
    kind: str
    state: str
    account_id: str
    cell_id: str
    task_count: int
    tasks: TaskCountsView
    limit_price_micros_per_hour: int
    hold_micros: int = Field(description="The most that it can cost.")
    cost_micros: int = Field(description="What it did cost, once it has ended.")
    accrued_micros: int = Field(description="Of leases that have ended so far.")
    end_reason: str | None
    end_detail: str
    spec: Document
    created_at: datetime
    matched_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime
    cancel_requested_at: datetime | None
    version: int
    demand: DemandView

    @classmethod
    def of(cls, record: JobRecord) -> Self:
        job, demand = record.job, record.demand
        return cls.model_construct(
            id=job.id,
            name=job.name,
            kind=job.kind,
            state=job.state,
            account_id=job.account_id,
            cell_id=demand.cell_id,
            task_count=job.task_count,
            tasks=TaskCountsView.model_validate(record.tasks),
            limit_price_micros_per_hour=job.limit_micros_per_hour,
            hold_micros=job.hold_micros,
            cost_micros=job.cost_micros,
            accrued_micros=job.accrued_micros,
            end_reason=job.end_reason,
            end_detail=job.end_detail,
            spec=job.spec,
            created_at=job.created_at,
            matched_at=job.matched_at,
            started_at=job.started_at,
            ended_at=job.ended_at,
            expires_at=job.expires_at,
            cancel_requested_at=job.cancel_requested_at,
            version=job.version,
            demand=_demand(demand),
        )


def _demand(demand: Demand) -> DemandView:
    return DemandView.model_validate(demand)


class TaskView(View):
    """One unit of a job's work."""

    id: str
    index: int
    state: str
    attempts: int
    exit_code: int | None
    end_reason: str | None
    end_detail: str
    result_digest: str | None
    result_bytes: int
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, task: Task) -> Self:
        return cls.model_validate(task)


class AttemptView(View):
    """One try of a task on a node, with what it used."""

    id: str
    task_id: str
    task_index: int
    number: int
    node_id: str
    node_name: str
    lease_id: str
    state: str
    reason: str | None
    detail: str
    exit_code: int | None
    wall_ms: int
    cpu_ms: int
    memory_peak_bytes: int
    bytes_in: int
    bytes_out: int
    energy_millijoules: int
    chargeable_ms: int = Field(description="Slot time that the tenant owes.")
    assigned_at: datetime
    accepted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, record: AttemptRecord) -> Self:
        attempt = record.attempt
        own = {
            name: getattr(attempt, name)
            for name in cls.model_fields
            if name not in ("task_index", "node_name")
        }
        return cls(**own, task_index=record.task_index, node_name=record.node_name)


class LogView(View):
    """The end of one attempt's log."""

    task_index: int
    attempt: int
    node_id: str
    node_name: str
    state: str
    log_tail: str

    @classmethod
    def of(cls, record: AttemptRecord, *, lines: int) -> Self:
        attempt = record.attempt
        shown = attempt.log_tail.splitlines(keepends=True)[-lines:] if lines else [attempt.log_tail]
        return cls(
            task_index=record.task_index,
            attempt=attempt.number,
            node_id=attempt.node_id,
            node_name=record.node_name,
            state=attempt.state,
            log_tail="".join(shown),
        )


class LogsView(View):
    """Ends of logs, by task, then attempt."""

    items: list[LogView]


class EventView(View):
    """Something that happened; ``id`` is the cursor for Last-Event-ID."""

    id: str
    at: datetime
    kind: str
    subject_id: str
    data: Document

    @classmethod
    def of(cls, event: EventRecord) -> Self:
        return cls(
            id=str(event.cursor),
            at=event.at,
            kind=event.kind,
            subject_id=event.subject_id,
            data=dict(event.data),
        )


JobPage = PageOf[JobView]
TaskPage = PageOf[TaskView]
AttemptPage = PageOf[AttemptView]
EventPage = PageOf[EventView]
