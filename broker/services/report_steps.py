"""What one report means for its attempt and task: pure, row and report in, moves out."""

import base64
import binascii
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from db.control.reports import AttemptMove, AttemptRow, TaskMove
from edge_agent.wire import AttemptReport, Usage
from market.lifecycle import (
    ATTEMPT,
    ATTEMPT_ENDS,
    NODE_BARRED,
    TENANT_CAUSES,
    AttemptState,
    EndReason,
    NodeState,
    TaskState,
)
from market.settlement import chargeable_ms

DETAIL_CHARS_MAX = 500
LOG_TAIL_CHARS_MAX = 4_096
# No meter of one attempt shows more; sums of a hundred thousand of them still fit 64 bits.
METER_MAX = 2**46
# Ends that speak against the node and not against the work.
NODE_CAUSES = frozenset(
    {
        EndReason.REJECTED,
        EndReason.RUNTIME_MISSING,
        EndReason.ARTIFACT,
        EndReason.AGENT_LOST,
        EndReason.AGENT_RESTARTED,
        EndReason.INTERNAL,
    }
)
_ORDER = (AttemptState.ASSIGNED, AttemptState.UNKNOWN, AttemptState.ACCEPTED, AttemptState.RUNNING)

Verdict = Literal["news", "known", "stale"]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything that the reports of one batch say of one attempt."""

    node_id: str
    last: AttemptReport
    accepted: bool = False
    started: bool = False
    log_tail: str = ""

    def then(self, report: AttemptReport) -> "History":
        """This history with a later report; nothing follows an end."""
        if AttemptState(self.last.state) in ATTEMPT_ENDS:
            return self
        return History(
            node_id=self.node_id,
            last=report,
            accepted=self.accepted or report.state == "accepted",
            started=self.started or report.state == "running",
            log_tail=report.log_tail or self.log_tail,
        )

    @classmethod
    def of(cls, node_id: str, report: AttemptReport) -> "History":
        """The history that begins with ``report``."""
        return cls(
            node_id=node_id,
            last=report,
            accepted=report.state == "accepted",
            started=report.state == "running",
            log_tail=report.log_tail,
        )


def holds(row: AttemptRow | None, node_id: str, report: AttemptReport) -> bool:
    """Whether ``node_id`` reports on an attempt of its own under the current fence.

    A node that is shut out holds nothing any more: its leases are about to be taken from it, and
    nobody knows which of two copies of an identity speaks.
    """
    return (
        row is not None
        and row.node_id == node_id
        and row.fence == report.fence
        and NodeState(row.node_state) not in NODE_BARRED
    )


def judge(row: AttemptRow | None, history: History) -> Verdict:
    """Whether a report moves its attempt, repeats what is on record, or comes too late.

    Stale is whoever does not hold the attempt's current fence, and whoever still works on an
    attempt that has ended.
    """
    report = history.last
    if row is None or not holds(row, history.node_id, report):
        return "stale"
    before, after = AttemptState(row.state), AttemptState(report.state)
    if before in ATTEMPT_ENDS:
        return "known" if before is after else "stale"
    if after in ATTEMPT_ENDS:
        return "news"
    return "news" if _ORDER.index(after) > _ORDER.index(before) else "known"


def attempt_step(
    row: AttemptRow, history: History, *, reason: EndReason, now: datetime
) -> AttemptMove:
    """The attempt after ``history``; ``reason`` is the checked reason of its end."""
    report = history.last
    state = AttemptState(report.state)
    usage = report.usage or Usage()
    ran = history.started or state is AttemptState.SUCCEEDED or usage.wall_ms > 0
    assert state in ATTEMPT[AttemptState(row.state)], "judge lets only legal moves through"
    ended = state in ATTEMPT_ENDS
    move = AttemptMove(
        id=row.id,
        state=state,
        log_tail=history.log_tail[-LOG_TAIL_CHARS_MAX:],
        accepted_at=now,
        started_at=now if ran else None,
    )
    if not ended:
        return move
    elapsed_ms = max(0, int((now - row.assigned_at).total_seconds() * 1000))
    # Of short work start and end are told together: it began as long ago as it ran.
    began = now - timedelta(milliseconds=min(usage.wall_ms, elapsed_ms))
    return replace(
        move,
        accepted_at=began,
        started_at=began if ran else None,
        reason=reason,
        detail=report.detail[:DETAIL_CHARS_MAX],
        exit_code=_int32(report.exit_code),
        ended_at=now,
        wall_ms=min(usage.wall_ms, elapsed_ms),
        cpu_ms=min(usage.cpu_ms, METER_MAX),
        memory_peak_bytes=min(usage.memory_peak_bytes, METER_MAX),
        bytes_in=min(usage.bytes_in, METER_MAX),
        bytes_out=min(usage.bytes_out, METER_MAX),
        energy_millijoules=min(usage.energy_millijoules, METER_MAX),
        chargeable_ms=chargeable_ms(
            state=state,
            reason=reason,
            wall_ms=usage.wall_ms,
            elapsed_ms=elapsed_ms,
            max_run_ms=row.max_run_ms,
        ),
    )


def end_reason(report: AttemptReport) -> EndReason:
    """The report's reason; one that we do not know is an internal failure of the node."""
    if report.state == "succeeded":
        return EndReason.OK
    try:
        reason = EndReason(report.reason)
    except ValueError:
        return EndReason.INTERNAL
    return EndReason.INTERNAL if reason is EndReason.OK else reason


def by_time(row: AttemptRow, reason: EndReason, *, now: datetime) -> EndReason:
    """``reason``, with the job's two time limits told apart: a node knows one moment for both.

    A deadline is the market's promise; the longest total time is the tenant's own limit, whose
    work is paid, so it counts only once it has passed by our clock.
    """
    if reason not in (EndReason.DEADLINE, EndReason.MAX_TOTAL):
        return reason
    own = not row.deadline_sold and now >= row.expires_at
    return EndReason.MAX_TOTAL if own else EndReason.DEADLINE


def task_step(
    row: AttemptRow, report: AttemptReport, *, reason: EndReason, now: datetime
) -> TaskMove:
    """The task after its attempt ended: done, failed for good, or waiting for another try."""
    if report.state == "succeeded":
        return TaskMove(
            id=row.task_id,
            state=TaskState.SUCCEEDED,
            retries_left=row.retries_left,
            result_digest=report.result_digest or None,
            result_bytes=report.result_bytes,
            exit_code=_int32(report.exit_code),
            end_reason=EndReason.OK,
            ended_at=now,
        )
    if reason in TENANT_CAUSES or row.retries_left <= 0:
        return TaskMove(
            id=row.task_id,
            state=TaskState.FAILED,
            retries_left=row.retries_left,
            exit_code=_int32(report.exit_code),
            end_reason=reason,
            end_detail=report.detail[:DETAIL_CHARS_MAX],
            ended_at=now,
        )
    return TaskMove(id=row.task_id, state=TaskState.QUEUED, retries_left=row.retries_left - 1)


def inline_result(report: AttemptReport) -> bytes | None:
    """The bytes that travel in the report; None if there are none. Raises ``ValueError``."""
    if not report.result_base64:
        return None
    try:
        return base64.b64decode(report.result_base64, validate=True)
    except binascii.Error as error:
        raise ValueError(f"the result is not base64: {error}") from None


def refused_result(report: AttemptReport, why: str) -> AttemptReport:
    """The report of a success whose result cannot be used: a failure of the node."""
    return replace(
        report,
        state="failed",
        reason=str(EndReason.ARTIFACT),
        detail=why,
        result_digest="",
        result_base64="",
        result_bytes=0,
    )


def _int32(value: int | None) -> int | None:
    return None if value is None else max(-(2**31), min(value, 2**31 - 1))
