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
    """One clearing of one cell; ``gap`` is the share of ``bound`` that it may have missed."""

    id: str
    cell_id: str = ""
    mechanism: str = ""
    bid_count: int = 0
    ask_count: int = 0
    slots_asked: int = 0
    slots_matched: int = 0
    slots_applied: int = 0
    slots_refused: int = 0
    slots_sent_up: int = 0  # not served, and sent to the level above
    welfare: float = 0.0
    bound: float | None = None
    gap: float | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    budget_ms: int = 0
    digest: str = ""  # of the plan, "" where none was kept
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpperRound(Resource):
    """One clearing of a region or the root over what its cells could not serve."""

    id: str
    place: str = ""  # id of the region, or "root"
    place_name: str = ""
    bid_count: int = 0
    bids_handed_down: int = 0
    slots_asked: int = 0
    slots_handed_down: int = 0
    cell_count: int = 0
    step_count: int = 0
    bytes_up: int = 0
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic(Resource):
    """One cell, resource and step of time; None where there was nothing to measure."""

    cell_id: str
    resource: str
    cell_name: str = ""
    at: datetime | None = None
    rounds: int = 0
    price_p10_micros: float | None = None
    price_p50_micros: float | None = None
    price_p90_micros: float | None = None
    fill_rate: float | None = None
    depth_free: float | None = None
    depth_asked: float | None = None
    demands: int = 0
    share_forwarded: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLevel(Resource):
    """Orders of one resource at one price; ``units`` in base units."""

    cell_id: str = ""
    resource: str = ""
    price_micros: int = 0
    units: int = 0
    orders: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Book(Resource):
    """Asks by reserve price per priced unit, bids by limit price per slot, both for an hour."""

    asks: tuple[BookLevel, ...] = ()
    bids: tuple[BookLevel, ...] = ()


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
    """What the operator wants of the market; the newest activated version is in force."""

    id: str
    name: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    created_by: str = ""
    created_at: datetime | None = None
    activated_at: datetime | None = None
    shadow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowFigure(Resource):
    """A figure of the live policy and of a shadow, means over the rounds that both cleared."""

    name: str
    live: float = 0.0
    shadow: float = 0.0
    change: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowComparison(Resource):
    """A shadow policy beside the live ones since a time."""

    policy_id: str
    rounds: int = 0
    since: datetime | None = None
    items: tuple[ShadowFigure, ...] = ()
