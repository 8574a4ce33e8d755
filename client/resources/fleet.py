"""What is for sale: cells, the nodes in them, and their owners' offers.

Quantities are ``{resource name: base units}``, for example ``{"cpu_millis": 1500}``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .base import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class CellNodes(Resource):
    """How many nodes a cell has."""

    online: int = 0
    offline: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPrice(Resource):
    """The standing price of one resource: micros per priced unit and hour."""

    price_micros: int = 0
    utilisation: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(Resource):
    """The nodes of one place that share a market."""

    id: str
    name: str
    level: str = "cell"
    parent_id: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    carbon_g_per_kwh: float | None = None
    version: int = 0
    nodes: CellNodes = field(default_factory=CellNodes)
    capacity: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    prices: Mapping[str, CellPrice] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(Resource):
    """One device; ``free`` is what it may still sell: ``capacity`` − ``leased``."""

    id: str
    name: str
    state: str
    state_reason: str = ""
    owner_id: str = ""
    owner_name: str = ""
    cell_id: str | None = None
    cell_name: str | None = None
    arch: str = ""
    cpu_count: int = 0
    agent_version: str = ""
    runtimes: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    capacity: Mapping[str, int] = field(default_factory=dict)
    leased: Mapping[str, int] = field(default_factory=dict)
    free: Mapping[str, int] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    reliability: float | None = None
    speed: float | None = None
    last_seen_at: datetime | None = None
    enrolled_at: datetime | None = None
    certificate_expires_at: datetime | None = None
    offer_id: str | None = None
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer(Resource):
    """An owner's standing intent to sell; ``reserve`` in micros per priced unit and hour."""

    id: str
    node_id: str
    state: str
    owner_id: str = ""
    cell_id: str | None = None
    capacity: Mapping[str, int] = field(default_factory=dict)
    reserve: Mapping[str, int] = field(default_factory=dict)
    accepts: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    version: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
