"""What every allocator is given and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskToPlace:
    """A task that waits; ``work_ms`` is its run time on the reference core, 0 if unknown."""

    id: str
    work_ms: float = 0.0
    deadline_ms: float = 0.0  # from now; 0: none


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLoad:
    """A leased place: ``slots`` tasks run there at once, ``room`` more may be sent there now."""

    id: str  # of the lease
    slots: int
    room: int
    live: int = 0  # attempts that run or wait there
    speed: float = 1.0  # of one core, reference core = 1
    live_work_ms: float = 0.0  # reference work of one live attempt; 0: as the tasks given


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """``assigned[task id] = place id``; tasks that are not in it wait."""

    assigned: dict[str, str] = field(default_factory=dict)
    finish_ms: float = 0.0  # expected finish of the last task, from now
    winner: str = ""  # which method's placement this is


class Allocator(Protocol):
    """Places tasks; deterministic but for how far ``budget_ms`` lets it search."""

    name: str

    def place(
        self,
        tasks: Sequence[TaskToPlace],
        nodes: Sequence[NodeLoad],
        *,
        now_ms: int,
        budget_ms: int,
        seed: int,
    ) -> Placement:
        """A placement of as many of ``tasks``, in their order, as ``nodes`` have room for."""
        ...
