"""Work: artifacts, models, jobs, tasks, attempts."""

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Document, Id, IdKey, Int64, Json, Micros, Name, Time, one_of
from market.lifecycle import ATTEMPT_LIVE, AttemptState, JobState, TaskState

_LIVE = ", ".join(f"'{state}'" for state in sorted(ATTEMPT_LIVE))


class Artifact(Base):
    """A content-addressed blob: ``digest`` is ``sha256:<hex>``, its bytes are in the store."""

    __tablename__ = "artifacts"

    digest: Mapped[str] = mapped_column(String(80), primary_key=True)
    size_bytes: Mapped[Int64]
    created_at: Mapped[Time]


class ArtifactGrant(Base):
    """An account that may read an artifact: it uploaded it, or its job made it."""

    __tablename__ = "artifact_grants"

    digest: Mapped[str] = mapped_column(ForeignKey("artifacts.digest"), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    name: Mapped[Name] = mapped_column(default="")
    created_at: Mapped[Time]


class Model(Base):
    """An ONNX model registered by a tenant under a name."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("account_id", "name"),)

    id: Mapped[IdKey]
    account_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[Name]
    digest: Mapped[str] = mapped_column(ForeignKey("artifacts.digest"))
    inputs: Mapped[list[Json]] = mapped_column(JSONB)  # [{name, dtype, shape}]
    outputs: Mapped[list[Json]] = mapped_column(JSONB)
    parameter_count: Mapped[Int64]
    created_at: Mapped[Time]


class Job(Base):
    """What a tenant submitted. ``spec`` is the validated request; the counts follow its tasks."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(one_of("state", JobState), name="state"),
        CheckConstraint("cost_micros >= 0 AND cost_micros <= hold_micros", name="cost"),
        Index("ix_jobs_account_created", "account_id", "created_at", "id"),
        Index("ix_jobs_created", "created_at", "id"),
        Index(
            "ix_jobs_open",
            "id",
            postgresql_where=text("ended_at IS NULL"),  # a job that is matched stays on its page
        ),
    )

    id: Mapped[IdKey]
    account_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[Name]
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    spec: Mapped[Document]
    task_count: Mapped[int]
    tasks_succeeded: Mapped[int] = mapped_column(default=0)
    tasks_failed: Mapped[int] = mapped_column(default=0)
    limit_micros_per_hour: Mapped[Micros]  # of one slot
    hold_micros: Mapped[Micros]  # the most it can cost
    hold_id: Mapped[Id]  # the hold's transfer
    accrued_micros: Mapped[Micros] = mapped_column(default=0)  # of leases that ended
    cost_micros: Mapped[Micros] = mapped_column(default=0)  # charged, once it has ended
    end_reason: Mapped[str | None] = mapped_column(String(32))
    end_detail: Mapped[str] = mapped_column(default="")
    cancel_requested_at: Mapped[Time | None]
    created_at: Mapped[Time]  # submitted
    matched_at: Mapped[Time | None]
    started_at: Mapped[Time | None]
    ended_at: Mapped[Time | None]
    expires_at: Mapped[Time]  # created_at + max_total, or the deadline
    version: Mapped[int] = mapped_column(default=1)


class Task(Base):
    """One unit of a job's work."""

    __tablename__ = "tasks"
    __table_args__ = (
        CheckConstraint(one_of("state", TaskState), name="state"),
        UniqueConstraint("job_id", "index"),
        Index("ix_tasks_queued", "job_id", "index", postgresql_where=text("state = 'queued'")),
    )

    id: Mapped[IdKey]
    job_id: Mapped[Id] = mapped_column(ForeignKey("jobs.id"))
    index: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    input: Mapped[Document]  # {args, base64 | digest, encoding}
    attempts: Mapped[int] = mapped_column(default=0)  # made so far; the newest one's number
    retries_left: Mapped[int]
    result_digest: Mapped[str | None] = mapped_column(String(80))
    result_bytes: Mapped[Int64] = mapped_column(default=0)
    exit_code: Mapped[int | None]
    end_reason: Mapped[str | None] = mapped_column(String(32))
    end_detail: Mapped[str] = mapped_column(default="")
    created_at: Mapped[Time]
    ended_at: Mapped[Time | None]


class Attempt(Base):
    """One try of a task in a lease. At most one of a task is live."""

    __tablename__ = "attempts"
    __table_args__ = (
        CheckConstraint(one_of("state", AttemptState), name="state"),
        UniqueConstraint("task_id", "number"),
        Index(
            "uq_attempts_live_task",
            "task_id",
            unique=True,
            postgresql_where=text(f"state IN ({_LIVE})"),
        ),
        Index("ix_attempts_live_node", "node_id", postgresql_where=text(f"state IN ({_LIVE})")),
        Index("ix_attempts_live_lease", "lease_id", postgresql_where=text(f"state IN ({_LIVE})")),
        Index("ix_attempts_job", "job_id"),
        Index("ix_attempts_lease", "lease_id"),
    )

    id: Mapped[IdKey]
    task_id: Mapped[Id] = mapped_column(ForeignKey("tasks.id"))
    job_id: Mapped[Id]
    lease_id: Mapped[Id] = mapped_column(ForeignKey("leases.id"))
    node_id: Mapped[Id]
    number: Mapped[int]  # 1, 2, … within the task
    fence: Mapped[Int64]  # of the lease's epoch; a report with another is stale
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(32))
    detail: Mapped[str] = mapped_column(default="")
    exit_code: Mapped[int | None]
    log_tail: Mapped[str] = mapped_column(default="")
    chargeable_ms: Mapped[Int64] = mapped_column(default=0)  # slot time that the tenant owes
    wall_ms: Mapped[Int64] = mapped_column(default=0)
    cpu_ms: Mapped[Int64] = mapped_column(default=0)
    memory_peak_bytes: Mapped[Int64] = mapped_column(default=0)
    bytes_in: Mapped[Int64] = mapped_column(default=0)
    bytes_out: Mapped[Int64] = mapped_column(default=0)
    energy_millijoules: Mapped[Int64] = mapped_column(default=0)
    assigned_at: Mapped[Time]
    sent_at: Mapped[Time | None]  # last time that the order was published
    accepted_at: Mapped[Time | None]
    started_at: Mapped[Time | None]
    ended_at: Mapped[Time | None]
