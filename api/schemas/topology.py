"""Cells, nodes and offers."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field

from api.answers import PageOf
from api.schemas.base import (
    Amounts,
    Flag,
    Key,
    Label,
    Latitude,
    Longitude,
    Micros,
    Moment,
    Name,
    Request,
    View,
)
from broker.services import nodes
from db.repositories.cells import CellRecord
from db.repositories.nodes import NodeRecord
from db.telemetry import Point

Carbon = Annotated[int, Field(strict=True, ge=0, le=5_000)]
Names = Annotated[list[Label], Field(max_length=1_000)]


class CellCreate(Request):
    """A new place; without a parent it hangs below the root."""

    name: Name
    level: Literal["cell", "region", "root"] = "cell"
    parent_id: Key | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    carbon_g_per_kwh: Carbon | None = None


class CellChange(Request):
    """What changes; what is absent stays."""

    name: Name | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    carbon_g_per_kwh: Carbon | None = None


class NodeCounts(View):
    """Nodes of a cell, those revoked left out."""

    online: int
    offline: int
    total: int


class CapacityView(View):
    """Amounts in base units: offered by nodes online, leased of it, still to be sold."""

    total: Amounts
    leased: Amounts
    free: Amounts


class CellPrice(View):
    """Standing price, micros per priced unit and hour; utilisation in [0, 1]."""

    price_micros: int
    utilisation: float


class CellView(View):
    """A place with a market of its own."""

    id: str
    name: str
    level: str
    parent_id: str | None
    latitude: float | None
    longitude: float | None
    carbon_g_per_kwh: int | None
    version: int
    nodes: NodeCounts
    capacity: CapacityView
    prices: dict[str, CellPrice]

    @classmethod
    def of(cls, record: CellRecord) -> Self:
        cell = record.cell
        free = {
            name: max(0, have - record.leased.get(name, 0)) for name, have in record.total.items()
        }
        return cls(
            id=cell.id,
            name=cell.name,
            level=cell.level,
            parent_id=cell.parent_id,
            latitude=cell.latitude,
            longitude=cell.longitude,
            carbon_g_per_kwh=cell.carbon_g_per_kwh,
            version=cell.version,
            nodes=NodeCounts(online=record.online, offline=record.offline, total=record.nodes),
            capacity=CapacityView(total=record.total, leased=record.leased, free=free),
            prices={
                price.resource: CellPrice(
                    price_micros=round(price.price_micros), utilisation=price.utilisation
                )
                for price in record.prices
            },
        )


class Measured(View):
    """What the device said of itself last."""

    cpu_free_millis: int
    memory_free_bytes: int
    disk_free_bytes: int
    load_1m_milli: int
    battery_percent: int | None
    on_battery: bool
    temperature_millicelsius: int | None


class NodeView(View):
    """A device: capacity is offered, leased is promised, free may still be sold."""

    id: str
    name: str
    owner_id: str
    owner_name: str
    cell_id: str
    cell_name: str
    state: str
    state_reason: str
    arch: str
    cpu_count: int
    agent_version: str
    runtimes: dict[str, str]
    labels: dict[str, str]
    capacity: Amounts
    leased: Amounts
    free: Amounts
    measured: Measured
    reliability: float
    speed: float = Field(description="Of one core; the reference core is 1.")
    last_seen_at: datetime | None
    enrolled_at: datetime
    certificate_expires_at: datetime | None
    offer_id: str | None
    version: int

    @classmethod
    def of(cls, record: NodeRecord) -> Self:
        node, derived = record.node, nodes.figures(record)
        return cls(
            id=node.id,
            name=node.name,
            owner_id=node.owner_id,
            owner_name=record.owner_name,
            cell_id=node.cell_id,
            cell_name=record.cell_name,
            state=node.state,
            state_reason=node.state_reason,
            arch=node.arch,
            cpu_count=node.cpu_count,
            agent_version=node.agent_version,
            runtimes=node.runtimes,
            labels=node.labels,
            capacity=derived.capacity,
            leased=derived.leased,
            free=derived.free,
            measured=Measured.model_validate(node),
            reliability=derived.reliability,
            speed=derived.speed,
            last_seen_at=node.last_seen_at,
            enrolled_at=node.enrolled_at,
            certificate_expires_at=node.certificate_expires_at,
            offer_id=None if record.offer is None else record.offer.id,
            version=node.version,
        )


class NodeChange(Request):
    """What changes; what is absent stays."""

    draining: Flag | None = None
    cell_id: Key | None = None


class ReadingView(View):
    """Readings of one key in one stretch of time that begins at ``at``."""

    key: str
    at: datetime
    value: float = Field(description="Their mean.")
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, point: Point) -> Self:
        return cls(
            key=point.key,
            at=point.at,
            value=point.mean,
            low=point.low,
            high=point.high,
            count=point.count,
        )


class ReadingsView(View):
    """Readings by key, oldest first, as some 300 stretches."""

    items: list[ReadingView]


class OfferView(View):
    """An owner's standing intent to sell one node's capacity."""

    id: str
    node_id: str
    owner_id: str
    cell_id: str
    state: str
    capacity: Amounts
    reserve: Amounts = Field(description="Micros per priced unit and hour, by resource.")
    accepts: list[str] = Field(description="Names of tenants; none: all.")
    refuses: list[str]
    opens_at: datetime | None
    closes_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class OfferChange(Request):
    """What changes; what is absent stays. Prices not named keep."""

    reserve: dict[Key, Micros] | None = None
    accepts: Names | None = None
    refuses: Names | None = None
    closes_at: Moment | None = None


CellPage = PageOf[CellView]
NodePage = PageOf[NodeView]
OfferPage = PageOf[OfferView]
