"""Reports on their way out: gathered for a few milliseconds, then kept until acknowledged.

A tiny task is accepted, started and done within one window; only its latest report is worth a
place in the message, so an earlier one of the same attempt gives way. ``accepted`` and ``running``
wait a little for that; an end is sent as soon as the last message is one window old.
"""

from collections.abc import Container
from dataclasses import dataclass, field

from edge_agent.core.model import MessageKey
from edge_agent.wire import AttemptReport, AttemptReports
from edge_agent.wire.messages import REPORTS_PER_MESSAGE_MAX

STATUSES = ("accepted", "running")
COALESCE_MS = 4
STATUS_HOLD_MS = 10
MESSAGE_BYTES_MAX = 1 << 19  # of results in one message: our MQTT servers take messages up to 1 MiB
RESEND_FIRST_MS = 5_000
RESEND_MAX_MS = 60_000
RESENDS_AT_ONCE = 50
RESEND_PAUSE_MS = 200


@dataclass(slots=True)
class Gathering:
    """The latest unsent report of each attempt, in the order in which they came."""

    waiting: dict[str, AttemptReport] = field(default_factory=dict)
    due: int | None = None
    flushed_at: int = 0

    def add(self, report: AttemptReport, now: int) -> None:
        """Put ``report`` in line, in place of an earlier one of its attempt.

        A repeat of what was said under a lower fence does not push out an unsent newer one.
        """
        unsent = self.waiting.get(report.attempt)
        if unsent is not None and unsent.fence > report.fence:
            return
        self.waiting.pop(report.attempt, None)
        self.waiting[report.attempt] = report
        is_status = report.state in STATUSES
        due = now + STATUS_HOLD_MS if is_status else max(now, self.flushed_at + COALESCE_MS)
        self.due = due if self.due is None else min(self.due, due)

    def discard(self, attempt: str) -> None:
        """Drop the unsent report of an attempt that is no longer ours."""
        self.waiting.pop(attempt, None)

    def take(self, now: int, *, force: bool = False) -> list[AttemptReports]:
        """The messages that are due at ``now``; empties the line when there are any."""
        full = len(self.waiting) >= REPORTS_PER_MESSAGE_MAX
        if not force and not full and (self.due is None or now < self.due):
            return []
        reports, self.waiting = list(self.waiting.values()), {}
        self.due, self.flushed_at = None, now
        return [AttemptReports(reports=chunk) for chunk in _chunks(reports)]


def _chunks(reports: list[AttemptReport]) -> list[tuple[AttemptReport, ...]]:
    chunks: list[tuple[AttemptReport, ...]] = []
    chunk: list[AttemptReport] = []
    size = 0
    for report in reports:
        size += len(report.result_base64) + len(report.log_tail)
        if chunk and (size > MESSAGE_BYTES_MAX or len(chunk) >= REPORTS_PER_MESSAGE_MAX):
            chunks.append(tuple(chunk))
            chunk, size = [], len(report.result_base64) + len(report.log_tail)
        chunk.append(report)
    if chunk:
        chunks.append(tuple(chunk))
    return chunks


@dataclass(slots=True)
class Unacknowledged:
    """Which journaled messages the control plane has not confirmed, and when to send each again."""

    due: dict[MessageKey, int] = field(default_factory=dict)
    tries: dict[MessageKey, int] = field(default_factory=dict)
    statuses: dict[MessageKey, tuple[str, ...]] = field(default_factory=dict)  # without an end
    next_at: int | None = None  # no message is due before this

    def add(self, key: MessageKey, now: int, reports: AttemptReports | None = None) -> None:
        """A message has been sent for the first time, or was left by an earlier start."""
        self._schedule(key, now + RESEND_FIRST_MS)
        if reports is not None and all(r.state in STATUSES for r in reports.reports):
            self.statuses[key] = tuple(r.attempt for r in reports.reports)

    def all_due(self, at: int) -> None:
        """The connection or the control plane is new: send everything again from ``at`` on."""
        for key in self.due:
            self.due[key] = at
        self.next_at = at if self.due else None

    def remove(self, key: MessageKey) -> bool:
        """Take a confirmed message out; False when it was not waited for."""
        self.tries.pop(key, None)
        self.statuses.pop(key, None)
        known = self.due.pop(key, None) is not None
        if not self.due:
            self.next_at = None
        return known

    def outdated(self, now: int, live: Container[str]) -> list[MessageKey]:
        """Messages due that say of ended attempts that they run: not worth sending again."""
        if self.next_at is None or now < self.next_at:
            return []
        return [
            key
            for key, attempts in self.statuses.items()
            if self.due[key] <= now and not any(attempt in live for attempt in attempts)
        ]

    def take(self, now: int) -> list[MessageKey]:
        """The messages to send again at ``now``, oldest first, a bounded number at a time."""
        if self.next_at is None or now < self.next_at:
            return []
        keys = sorted(key for key, at in self.due.items() if at <= now)
        chosen, rest = keys[:RESENDS_AT_ONCE], keys[RESENDS_AT_ONCE:]
        for key in chosen:
            tries = self.tries[key] = self.tries.get(key, 0) + 1
            self.due[key] = now + min(RESEND_FIRST_MS << tries, RESEND_MAX_MS)
        self.next_at = now + RESEND_PAUSE_MS if rest else min(self.due.values(), default=None)
        return chosen

    def _schedule(self, key: MessageKey, at: int) -> None:
        self.due[key] = at
        self.next_at = at if self.next_at is None else min(self.next_at, at)
