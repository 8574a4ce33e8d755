"""When a running job buys extra slots without waiting for a round, and how many.

A job's QoS falls under its limit when, by what has been measured,

* its deadline will be missed: (w + l/2) tasks are left (w wait, l run, half done on average), each
  slot ends ⌊r / (μ·t)⌋ more of them in the time r that is left, t the mean run time of its tasks
  and μ = 1.25 for what lies between two of them (orders travel, nodes are shared); or
* nodes that it leases have fallen under its least reliability or speed, or beyond its latency: the
  slots there count as none.

Extra slots help tasks that wait, so no more are bought than wait; and none for which the rest of
the budget does not pay (the top-up of arXiv 2005.04326, made measurable).
"""

from dataclasses import dataclass
from math import ceil

TOP_UP_SLOTS_MAX = 256  # in one go
PACE_MARGIN = 1.25  # μ


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is known of a running job at one moment."""

    waiting: int  # tasks
    live: int  # tasks that run or are about to
    slots: int  # leased on nodes that still keep what the job needs
    slots_failing: int  # leased on nodes that do not
    task_ms: float  # mean measured run time of a task; 0 unknown
    left_ms: int | None  # until the deadline; None: there is none
    affordable: int  # further tasks for which the rest of the budget pays at the limit


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """``slots`` to buy now, 0 for none; ``why`` is a sentence for people."""

    slots: int
    why: str


def top_up(progress: Progress) -> TopUp:
    """The slots that ``progress`` calls for."""
    late, why = _late(progress)
    wanted = late
    if progress.slots_failing > late:
        wanted = progress.slots_failing
        why = (
            f"{progress.slots_failing} of its slots are on nodes that no longer keep what it needs"
        )
    slots = min(wanted, progress.waiting, progress.affordable, TOP_UP_SLOTS_MAX)
    return TopUp(slots=max(0, slots), why=why if slots > 0 else "")


def _late(progress: Progress) -> tuple[int, str]:
    """Slots that the deadline still lacks, beyond those that fail anyway."""
    if progress.left_ms is None or progress.task_ms <= 0:
        return 0, ""
    turns = int(progress.left_ms // (progress.task_ms * PACE_MARGIN))
    if turns <= 0:
        return 0, ""  # not even a task that began now would end in time
    left = progress.waiting + progress.live / 2
    needed = ceil(left / turns)
    if needed <= progress.slots:
        return 0, ""
    return needed - progress.slots, (
        f"at {progress.task_ms:.0f} ms a task {progress.waiting + progress.live} tasks on "
        f"{progress.slots} slots would not end within the {progress.left_ms} ms left"
    )
