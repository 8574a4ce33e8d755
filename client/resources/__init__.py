"""What the API speaks of, as frozen values: one class a resource, money in micros, times in UTC."""

from .accounts import Account, ApiKey, Balance, JoinToken
from .base import Resource
from .fleet import Cell, CellNodes, CellPrice, Node, Offer
from .market import Book, BookLevel, Invariant, Invariants, Policy, Price, Round, Transfer
from .work import (
    Artifact,
    Attempt,
    Demand,
    Event,
    Explanation,
    Job,
    JobPlan,
    Lease,
    LogTail,
    Model,
    Task,
    TaskCounts,
)

__all__ = [
    "Account",
    "ApiKey",
    "Artifact",
    "Attempt",
    "Balance",
    "Book",
    "BookLevel",
    "Cell",
    "CellNodes",
    "CellPrice",
    "Demand",
    "Event",
    "Explanation",
    "Invariant",
    "Invariants",
    "Job",
    "JobPlan",
    "JoinToken",
    "Lease",
    "LogTail",
    "Model",
    "Node",
    "Offer",
    "Policy",
    "Price",
    "Resource",
    "Round",
    "Task",
    "TaskCounts",
    "Transfer",
]
