"""Which task runs on which leased node, now. Pure: time, seed and loads are arguments."""

from allocator.least_finish import LeastFinish
from allocator.placement import Allocator, NodeLoad, Placement, TaskToPlace

__all__ = ["Allocator", "LeastFinish", "NodeLoad", "Placement", "TaskToPlace"]
