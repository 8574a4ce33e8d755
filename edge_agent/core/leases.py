"""The attempts in hand, by lease: who runs, who waits for a slot, what is reserved."""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge_agent.core.admission import Reserved
from edge_agent.core.model import Live, Work
from edge_agent.wire import Assign


@dataclass(slots=True)
class LeaseQueue:
    """One lease: its slots, the attempts in them and the queue behind them."""

    terms: Assign  # the latest order: slots and size per slot
    waiting: deque[str] = field(default_factory=deque)
    busy: set[str] = field(default_factory=set)

    @property
    def cpu_millis(self) -> int:
        """What the lease reserves of the cpu."""
        return self.terms.slots * self.terms.cpu_millis

    @property
    def memory_bytes(self) -> int:
        """What the lease reserves of the memory."""
        return self.terms.slots * self.terms.memory_bytes


@dataclass(slots=True)
class Leases:
    """All live attempts of the node."""

    live: dict[str, Live] = field(default_factory=dict)
    queues: dict[str, LeaseQueue] = field(default_factory=dict)
    limits: list[tuple[int, str, int]] = field(default_factory=list)  # heap: (at, attempt, fence)

    def reserved(self, *, without: str = "") -> Reserved:
        """The sum over all leases but ``without``."""
        others = [queue for lease, queue in self.queues.items() if lease != without]
        return Reserved(
            cpu_millis=sum(queue.cpu_millis for queue in others),
            memory_bytes=sum(queue.memory_bytes for queue in others),
            queued=len(self.live),
        )

    def add(self, work: Work) -> None:
        """Queue one attempt on its lease."""
        queue = self.queues.get(work.assign.lease)
        if queue is None:
            queue = self.queues[work.assign.lease] = LeaseQueue(work.assign)
        queue.terms = work.assign
        queue.waiting.append(work.attempt)
        self.live[work.attempt] = Live(work=work)
        heapq.heappush(self.limits, (_limit(work.assign), work.attempt, work.fence))

    def startable(self, lease: str) -> Iterator[Live]:
        """Move attempts from the queue into free slots, in order."""
        queue = self.queues.get(lease)
        while queue and queue.waiting and len(queue.busy) < queue.terms.slots:
            attempt = queue.waiting.popleft()
            queue.busy.add(attempt)
            live = self.live[attempt]
            live.state = "starting"
            yield live

    def remove(self, attempt: str) -> Live | None:
        """Take an attempt out, running or queued; its lease goes when it was the last one."""
        live = self.live.pop(attempt, None)
        if live is None:
            return None
        lease = live.work.assign.lease
        queue = self.queues[lease]
        if attempt in queue.busy:
            queue.busy.remove(attempt)
        else:
            queue.waiting.remove(attempt)
        if not queue.busy and not queue.waiting:
            del self.queues[lease]
        return live

    def next_limit(self) -> int | None:
        """The earliest time at which a lease or a deadline of a live attempt ends."""
        while self.limits and not self._is_current(*self.limits[0][1:]):
            heapq.heappop(self.limits)
        return self.limits[0][0] if self.limits else None

    def pop_overdue(self, now: int) -> list[tuple[str, str]]:
        """``(attempt, reason)`` of each attempt whose lease or deadline has passed, once each."""
        overdue = []
        while (limit := self.next_limit()) is not None and limit <= now:
            _, attempt, _ = heapq.heappop(self.limits)
            assign = self.live[attempt].work.assign
            overdue.append((attempt, _passed(assign, now)))
        return overdue

    def lost_after(self) -> int | None:
        """The shortest time that any attempt may go on while cut off; None when all may."""
        waits = [
            live.work.assign.lost_after_ms
            for live in self.live.values()
            if live.work.assign.lost_after_ms and live.stopping is None
        ]
        return min(waits, default=None)

    def _is_current(self, attempt: str, fence: int) -> bool:
        live = self.live.get(attempt)
        return live is not None and live.work.fence == fence


def _limit(assign: Assign) -> int:
    return min(assign.lease_ends_at, assign.deadline_at or assign.lease_ends_at)


def _passed(assign: Assign, now: int) -> str:
    return "lease_expired" if now >= assign.lease_ends_at else "deadline"
