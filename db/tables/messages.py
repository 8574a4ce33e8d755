"""What must reach others and what must be remembered: outbox, events, idempotency, audit."""

from sqlalchemy import ForeignKey, Identity, Index, LargeBinary, PrimaryKeyConstraint, String, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Document, Id, IdKey, Int64, Time


class OutboxMessage(Base):
    """A command to a node that is resent until the node has shown that it has it.

    Orders (``assign``) are not here: a live attempt is its own outbox row (``attempts.sent_at``).
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_open", "node_id", "id", postgresql_where=text("done_at IS NULL")),
    )

    id: Mapped[Int64] = mapped_column(Identity(always=True), primary_key=True)
    node_id: Mapped[Id] = mapped_column(ForeignKey("nodes.id"))
    type: Mapped[str] = mapped_column(String(16))  # wire type: cancel, config, drain, rebirth
    data: Mapped[Document]
    created_at: Mapped[Time]
    sent_at: Mapped[Time | None]
    tries: Mapped[int] = mapped_column(default=0)
    done_at: Mapped[Time | None]


class Event(Base):
    """What clients may follow over SSE. ``account_id`` None: operators and viewers alone.

    ``txid`` is the writing transaction: readers stay under the oldest one still open, so that no
    event that commits late is skipped. Order and cursor: (txid, id).
    """

    __tablename__ = "events"
    __table_args__ = (
        PrimaryKeyConstraint("txid", "id"),
        Index("ix_events_subject", "subject_id", "txid", "id"),
        Index("ix_events_at", "at"),
    )

    id: Mapped[Int64] = mapped_column(Identity(always=True))
    txid: Mapped[Int64] = mapped_column(server_default=text("pg_current_xact_id()::text::bigint"))
    at: Mapped[Time]
    kind: Mapped[str] = mapped_column(String(48))  # job.running, node.offline, round.cleared, …
    account_id: Mapped[str | None] = mapped_column(String(64))
    subject_id: Mapped[str] = mapped_column(String(64))
    data: Mapped[Document]


class IdempotencyKey(Base):
    """The stored answer to a POST; written in the transaction of its effect."""

    __tablename__ = "idempotency_keys"

    account_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[bytes]
    status: Mapped[int]
    headers: Mapped[Document]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[Time] = mapped_column(index=True)


class AuditEntry(Base):
    """Who changed what, for every change that an operator or owner makes."""

    __tablename__ = "audit_log"

    id: Mapped[IdKey]
    at: Mapped[Time] = mapped_column(index=True)
    account_id: Mapped[Id]
    action: Mapped[str] = mapped_column(String(64))
    subject_id: Mapped[str] = mapped_column(String(64), index=True)
    before: Mapped[Document | None]
    after: Mapped[Document | None]
    address: Mapped[str] = mapped_column(String(64), default="")
