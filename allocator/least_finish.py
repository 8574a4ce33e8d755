"""Each task, in the order given, on the place where it is expected to finish first.

The list scheduling of Graham (1969) over places of different speed: a heap holds for each place
when its next task would finish. Ties go to the place named first, so equal input, equal output.
"""

import heapq
from collections.abc import Sequence

from allocator.placement import NodeLoad, Placement, TaskToPlace

WORK_UNKNOWN_MS = 100.0  # stands for a run time of which nothing is known


class LeastFinish:
    """Earliest finish time, one task after the other; O((n + m) log m)."""

    name = "least_finish"

    def place(
        self,
        tasks: Sequence[TaskToPlace],
        nodes: Sequence[NodeLoad],
        *,
        now_ms: int,
        budget_ms: int,
        seed: int,
    ) -> Placement:
        """Needs neither time, budget nor seed: there is no search."""
        expected = _mean_work(tasks)
        backlog = [node.live * (node.live_work_ms or expected) for node in nodes]
        room = [node.room for node in nodes]
        queue = [
            (_finish(node, backlog[k], expected), k) for k, node in enumerate(nodes) if room[k] > 0
        ]
        heapq.heapify(queue)
        assigned: dict[str, str] = {}
        last = 0.0
        for task in tasks:
            if not queue:
                break
            _, k = heapq.heappop(queue)
            work = task.work_ms or expected
            last = max(last, _finish(nodes[k], backlog[k], work))
            assigned[task.id] = nodes[k].id
            backlog[k] += work
            room[k] -= 1
            if room[k] > 0:
                heapq.heappush(queue, (_finish(nodes[k], backlog[k], expected), k))
        return Placement(assigned=assigned, finish_ms=last, winner=self.name)


def _mean_work(tasks: Sequence[TaskToPlace]) -> float:
    known = [task.work_ms for task in tasks if task.work_ms > 0]
    return sum(known) / len(known) if known else WORK_UNKNOWN_MS


def _finish(node: NodeLoad, backlog_ms: float, work_ms: float) -> float:
    """When ``work_ms`` more would be done: it waits for whatever the slots cannot take at once."""
    waits = max(0.0, backlog_ms - (node.slots - 1) * work_ms) / node.slots
    return (waits + work_ms) / max(node.speed, 1e-9)
