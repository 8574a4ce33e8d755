"""The lifecycles of jobs, tasks, attempts, leases and nodes: one table each of legal transitions.

A row says which states may follow; anything else is ``IllegalTransition``. ``docs/lifecycle.md``
shows the same tables as pictures and says what is on record when power fails after each step.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

S = TypeVar("S", bound=StrEnum)


class JobState(StrEnum):
    """What a tenant sees of a job."""

    QUEUED = "queued"  # paid for by a hold, waiting for a lease
    MATCHED = "matched"  # has at least one lease, nothing has started yet
    RUNNING = "running"  # at least one task has started
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # its time limit came before its end


class TaskState(StrEnum):
    """One unit of a job's work."""

    QUEUED = "queued"  # waits for a place in a lease, the first time or again
    PLACED = "placed"  # has a live attempt
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AttemptState(StrEnum):
    """One try of a task on a node, fenced by ``(attempt, fence)``."""

    ASSIGNED = "assigned"  # written and in the outbox
    ACCEPTED = "accepted"  # the node has it in its journal
    RUNNING = "running"
    UNKNOWN = "unknown"  # the node is silent and the lease still lives
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"  # its job ended, or it was moved for its tenant's gain
    LOST = "lost"  # given up by the platform: whatever arrives later is stale


class LeaseState(StrEnum):
    """A right to named capacity on a node for a window."""

    ACTIVE = "active"
    RELEASED = "released"  # the job ended or needs it no more
    EXPIRED = "expired"  # its window closed
    REVOKED = "revoked"  # the node died, was drained or quarantined


class NodeState(StrEnum):
    """What the platform believes of a device."""

    ENROLLED = "enrolled"  # has a certificate, was never seen
    ONLINE = "online"
    OFFLINE = "offline"
    DRAINING = "draining"  # online, takes nothing new
    QUARANTINED = "quarantined"  # two live boots of one identity
    REVOKED = "revoked"


class EndReason(StrEnum):
    """Why an attempt, a task or a job ended: the closed list that clients may rely on."""

    OK = "ok"
    EXIT_CODE = "exit_code"
    FUEL = "fuel"
    MEMORY = "memory"
    TIMEOUT = "timeout"
    OUTPUT_LIMIT = "output_limit"
    TRAP = "trap"
    INVALID_INPUT = "invalid_input"
    ARTIFACT = "artifact"
    RUNTIME_MISSING = "runtime_missing"
    REJECTED = "rejected"  # the agent refused: caps, hours or room
    AGENT_LOST = "agent_lost"
    AGENT_RESTARTED = "agent_restarted"
    LEASE_EXPIRED = "lease_expired"
    DRAINED = "drained"
    MOVED = "moved"  # for the tenant's gain, to a better place: the time it ran is charged
    CANCELLED_BY_USER = "cancelled_by_user"
    TASK_FAILED = "task_failed"  # of a job: a task used up its attempts
    BUDGET_EXHAUSTED = "budget_exhausted"
    DEADLINE = "deadline"
    MAX_TOTAL = "max_total"
    INTERNAL = "internal"


# Causes that lie with the tenant's own work: not tried again, and the time used is charged.
TENANT_CAUSES: frozenset[EndReason] = frozenset(
    {
        EndReason.EXIT_CODE,
        EndReason.FUEL,
        EndReason.MEMORY,
        EndReason.TIMEOUT,
        EndReason.OUTPUT_LIMIT,
        EndReason.TRAP,
        EndReason.INVALID_INPUT,
    }
)

JOB: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset(
        {JobState.MATCHED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}
    ),
    JobState.MATCHED: frozenset(
        {
            JobState.QUEUED,  # every lease was lost before anything started
            JobState.RUNNING,
            JobState.SUCCEEDED,  # the report of the start arrived with the result, or never
            JobState.FAILED,
            JobState.CANCELLED,
            JobState.EXPIRED,
        }
    ),
    JobState.RUNNING: frozenset(
        {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}
    ),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.EXPIRED: frozenset(),
}

TASK: Mapping[TaskState, frozenset[TaskState]] = {
    TaskState.QUEUED: frozenset({TaskState.PLACED, TaskState.FAILED, TaskState.CANCELLED}),
    TaskState.PLACED: frozenset(
        {TaskState.QUEUED, TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED}
    ),
    TaskState.SUCCEEDED: frozenset(),
    TaskState.FAILED: frozenset(),
    TaskState.CANCELLED: frozenset(),
}

_ATTEMPT_ENDS = frozenset(
    {AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.CANCELLED, AttemptState.LOST}
)
ATTEMPT: Mapping[AttemptState, frozenset[AttemptState]] = {
    AttemptState.ASSIGNED: frozenset(
        {AttemptState.ACCEPTED, AttemptState.RUNNING, AttemptState.UNKNOWN} | _ATTEMPT_ENDS
    ),
    AttemptState.ACCEPTED: frozenset({AttemptState.RUNNING, AttemptState.UNKNOWN} | _ATTEMPT_ENDS),
    AttemptState.RUNNING: frozenset({AttemptState.UNKNOWN} | _ATTEMPT_ENDS),
    AttemptState.UNKNOWN: frozenset({AttemptState.ACCEPTED, AttemptState.RUNNING} | _ATTEMPT_ENDS),
    AttemptState.SUCCEEDED: frozenset(),
    AttemptState.FAILED: frozenset(),
    AttemptState.CANCELLED: frozenset(),
    AttemptState.LOST: frozenset(),
}

LEASE: Mapping[LeaseState, frozenset[LeaseState]] = {
    LeaseState.ACTIVE: frozenset({LeaseState.RELEASED, LeaseState.EXPIRED, LeaseState.REVOKED}),
    LeaseState.RELEASED: frozenset(),
    LeaseState.EXPIRED: frozenset(),
    LeaseState.REVOKED: frozenset(),
}

NODE: Mapping[NodeState, frozenset[NodeState]] = {
    NodeState.ENROLLED: frozenset(
        {NodeState.ONLINE, NodeState.OFFLINE, NodeState.QUARANTINED, NodeState.REVOKED}
    ),
    NodeState.ONLINE: frozenset(
        {NodeState.OFFLINE, NodeState.DRAINING, NodeState.QUARANTINED, NodeState.REVOKED}
    ),
    NodeState.OFFLINE: frozenset(
        {NodeState.ONLINE, NodeState.DRAINING, NodeState.QUARANTINED, NodeState.REVOKED}
    ),
    NodeState.DRAINING: frozenset(
        {NodeState.ONLINE, NodeState.OFFLINE, NodeState.QUARANTINED, NodeState.REVOKED}
    ),
    NodeState.QUARANTINED: frozenset({NodeState.OFFLINE, NodeState.REVOKED}),
    NodeState.REVOKED: frozenset(),
}

JOB_ENDS: frozenset[JobState] = frozenset(state for state, after in JOB.items() if not after)
TASK_ENDS: frozenset[TaskState] = frozenset(state for state, after in TASK.items() if not after)
ATTEMPT_ENDS: frozenset[AttemptState] = _ATTEMPT_ENDS
# Shut out: leases end at once, and what such a node says counts for nothing.
NODE_BARRED: frozenset[NodeState] = frozenset({NodeState.QUARANTINED, NodeState.REVOKED})
ATTEMPT_LIVE: frozenset[AttemptState] = frozenset(ATTEMPT) - ATTEMPT_ENDS


class IllegalTransition(Exception):
    """A state was asked to become one that its lifecycle does not allow."""

    def __init__(self, *, subject: str, before: StrEnum, after: StrEnum) -> None:
        super().__init__(f"{subject} cannot go from {before} to {after}")
        self.subject = subject
        self.before = before
        self.after = after


def check_transition(table: Mapping[S, frozenset[S]], before: S, after: S, *, subject: str) -> S:
    """Return ``after`` if the table allows it, raise ``IllegalTransition`` if not."""
    if after not in table[before]:
        raise IllegalTransition(subject=subject, before=before, after=after)
    return after


def states_before(table: Mapping[S, frozenset[S]], after: S) -> tuple[S, ...]:
    """Every state that may become ``after``: the WHERE clause of a set-based move."""
    return tuple(state for state, successors in table.items() if after in successors)
