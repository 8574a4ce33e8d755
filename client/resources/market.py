"""What the market says: prices, rounds, the book; and what the ledger says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .base import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Resource):
    """The price of one resource in one cell: micros per priced unit and hour."""

    cell_id: str
    resource: str
    price_micros: int
    cell_name: str = ""
    utilisation: float = 0.0
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round(Resource):
    """One clearing of one cell; further figures (welfare, bound, times) are in ``raw``."""

    id: str
    cell_id: str = ""
    mechanism: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLevel(Resource):
    """Depth of the book at one price, or whatever further the server tells, in ``raw``."""

    cell_id: str = ""
    resource: str = ""
    side: str = ""
    price_micros: int = 0
    quantity: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Resource):
    """One movement in the ledger; further fields are in ``raw``."""

    id: str
    kind: str = ""
    amount_micros: int = 0
    debit_id: str | None = None
    credit_id: str | None = None
    job_id: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant(Resource):
    """One law of the ledger, and whether it holds."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariants(Resource):
    """All laws of the ledger as they were at ``checked_at``."""

    ok: bool
    items: tuple[Invariant, ...] = ()
    checked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Resource):
    """What the operator wants of the market; the document is in ``raw``."""

    id: str
    name: str = ""
    active: bool = False
    weights: Mapping[str, Any] = field(default_factory=dict)
