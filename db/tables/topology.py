"""Places and devices: cells, nodes, offers, telemetry."""

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Document, Id, IdKey, Int64, Name, Time, one_of
from market.lifecycle import NodeState


class Cell(Base):
    """A place with a market of its own; cells form a tree: cell → region → root."""

    __tablename__ = "cells"
    __table_args__ = (CheckConstraint("level IN ('cell', 'region', 'root')", name="level"),)

    id: Mapped[IdKey]
    name: Mapped[Name] = mapped_column(unique=True)
    level: Mapped[str] = mapped_column(String(8))
    parent_id: Mapped[Id | None] = mapped_column(ForeignKey("cells.id"), index=True)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    carbon_g_per_kwh: Mapped[int | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[Time]


class Node(Base):
    """A device: what its agent last said of it, and what the platform believes."""

    __tablename__ = "nodes"
    __table_args__ = (
        CheckConstraint(one_of("state", NodeState), name="state"),
        Index("ix_nodes_cell_state", "cell_id", "state"),
        Index("ix_nodes_state_last_seen", "state", "last_seen_at"),
    )

    id: Mapped[IdKey]
    owner_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"), index=True)
    cell_id: Mapped[Id] = mapped_column(ForeignKey("cells.id"))
    name: Mapped[Name]
    state: Mapped[str] = mapped_column(String(16))
    state_reason: Mapped[str] = mapped_column(default="")
    boot: Mapped[Int64] = mapped_column(default=0)
    seq: Mapped[Int64] = mapped_column(default=0)  # newest seen in this boot
    # What the birth said. Capacities are what may be sold, in base units.
    agent_version: Mapped[str] = mapped_column(String(32), default="")
    arch: Mapped[str] = mapped_column(String(32), default="")
    cpu_count: Mapped[int] = mapped_column(default=0)
    runtimes: Mapped[Document] = mapped_column(default=dict)
    labels: Mapped[Document] = mapped_column(default=dict)
    capacity: Mapped[Document] = mapped_column(default=dict)  # resource name → base units
    calibration_ops_per_s: Mapped[Int64] = mapped_column(default=0)
    idle_milliwatts: Mapped[Int64] = mapped_column(default=0)
    max_milliwatts: Mapped[Int64] = mapped_column(default=0)
    carbon_g_per_kwh: Mapped[int | None]
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    # What the last state said.
    cpu_free_millis: Mapped[Int64] = mapped_column(default=0)
    memory_free_bytes: Mapped[Int64] = mapped_column(default=0)
    disk_free_bytes: Mapped[Int64] = mapped_column(default=0)
    load_1m_milli: Mapped[Int64] = mapped_column(default=0)
    battery_percent: Mapped[int | None]
    on_battery: Mapped[bool] = mapped_column(default=False)
    temperature_millicelsius: Mapped[Int64 | None]
    last_seen_at: Mapped[Time | None]
    silent_since: Mapped[Time | None]  # when the platform noticed that it went offline
    # Reliability: attempts that ended well against all, both decayed by half each 100 attempts.
    reliability_good: Mapped[float] = mapped_column(default=0.0)
    reliability_all: Mapped[float] = mapped_column(default=0.0)
    cooldown_until: Mapped[Time | None]  # takes no lease before
    # Identity.
    certificate_serial: Mapped[str] = mapped_column(String(64), default="")
    certificate_expires_at: Mapped[Time | None]
    public_key_sha256: Mapped[str] = mapped_column(String(64), default="", index=True)
    previous_key_sha256: Mapped[str] = mapped_column(String(64), default="")  # answer may be lost
    enrolled_at: Mapped[Time]
    version: Mapped[int] = mapped_column(default=1)


class Offer(Base):
    """An owner's standing intent to sell one node's capacity."""

    __tablename__ = "offers"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'withdrawn')", name="state"),
        Index("uq_offers_open_node", "node_id", unique=True, postgresql_where="state = 'open'"),
    )

    id: Mapped[IdKey]
    node_id: Mapped[Id] = mapped_column(ForeignKey("nodes.id"), index=True)
    owner_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"), index=True)
    cell_id: Mapped[Id] = mapped_column(ForeignKey("cells.id"), index=True)
    state: Mapped[str] = mapped_column(String(16))
    capacity: Mapped[Document]  # resource name → base units
    reserve: Mapped[Document]  # resource name → micros per priced unit and hour
    accepts: Mapped[list[str]] = mapped_column(JSONB, default=list)  # tenant names; []: all
    refuses: Mapped[list[str]] = mapped_column(JSONB, default=list)
    opens_at: Mapped[Time | None]
    closes_at: Mapped[Time | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[Time]
    updated_at: Mapped[Time]


class TelemetryKey(Base):
    """Small numbers for the names of readings, so that a reading is 24 bytes wide."""

    __tablename__ = "telemetry_keys"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)


# telemetry(node_id, key_id, at, value) is partitioned by day with a BRIN index on ``at``; it is
# written by binary COPY alone, so the migration makes it in SQL and no class maps it.
