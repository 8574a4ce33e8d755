"""Every table of the platform."""

from db.tables.accounts import Account, ApiKey, BrowserSession, JoinToken, Role
from db.tables.base import Base, add_server_defaults
from db.tables.ledger import ESCROW, ISSUANCE, PLATFORM, Balance, Transfer, TransferKind
from db.tables.messages import AuditEntry, Event, IdempotencyKey, OutboxMessage
from db.tables.topology import Cell, Node, Offer, TelemetryKey
from db.tables.trade import (
    BidOutcome,
    Demand,
    Lease,
    PolicyRow,
    Price,
    RoundRow,
    ShadowPlan,
    StandingPrice,
    SupplyCurveRow,
    UpperRound,
)
from db.tables.work import Artifact, ArtifactGrant, Attempt, Job, Model, Task

__all__ = [
    "ESCROW",
    "ISSUANCE",
    "PLATFORM",
    "Account",
    "ApiKey",
    "Artifact",
    "ArtifactGrant",
    "Attempt",
    "AuditEntry",
    "Balance",
    "Base",
    "BidOutcome",
    "BrowserSession",
    "Cell",
    "Demand",
    "Event",
    "IdempotencyKey",
    "Job",
    "JoinToken",
    "Lease",
    "Model",
    "Node",
    "Offer",
    "OutboxMessage",
    "PolicyRow",
    "Price",
    "Role",
    "RoundRow",
    "ShadowPlan",
    "StandingPrice",
    "SupplyCurveRow",
    "Task",
    "TelemetryKey",
    "Transfer",
    "TransferKind",
    "UpperRound",
]

add_server_defaults(Base.metadata)
