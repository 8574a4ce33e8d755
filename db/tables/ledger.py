"""The ledger: transfers are only inserted; a trigger keeps the balances and refuses overdrafts.

A *hold* is a pending transfer: it reserves money on the debit side and moves none. It is resolved
once, by a *charge* (posts part of it, the rest is freed) or a *release* (frees all of it).

    deposit   issuance → account        a tenant buys credits
    hold      tenant   → escrow         pending
    charge    tenant   → escrow         posts ``resolves``
    release   tenant   → escrow         voids ``resolves``, amount 0
    payout    escrow   → owner          for one lease
    fee       escrow   → platform
    withdrawal account → issuance
"""

from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Id, IdKey, Int64, Micros, Time, one_of


class TransferKind(StrEnum):
    """What a transfer is for."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    HOLD = "hold"
    CHARGE = "charge"
    RELEASE = "release"
    PAYOUT = "payout"
    FEE = "fee"


ISSUANCE = "account_issuance"  # system accounts, made by the first migration
ESCROW = "account_escrow"
PLATFORM = "account_platform"


def sides_of_kinds() -> str:
    """The text of a CHECK that each kind moves money between the sides that it is meant for."""
    return f"""CASE kind
        WHEN 'deposit' THEN debit_id = '{ISSUANCE}'
        WHEN 'withdrawal' THEN credit_id = '{ISSUANCE}'
        WHEN 'payout' THEN debit_id = '{ESCROW}'
        WHEN 'fee' THEN debit_id = '{ESCROW}' AND credit_id = '{PLATFORM}'
        ELSE credit_id = '{ESCROW}'
    END"""


class Transfer(Base):
    """One movement of money from ``debit_id`` to ``credit_id``."""

    __tablename__ = "transfers"
    __table_args__ = (
        CheckConstraint(one_of("kind", TransferKind), name="kind"),
        CheckConstraint("debit_id <> credit_id", name="two_sides"),
        CheckConstraint(
            "amount_micros > 0 OR (kind IN ('release', 'charge', 'hold') AND amount_micros = 0)",
            name="amount",
        ),
        CheckConstraint(
            "(kind IN ('charge', 'release')) = (resolves IS NOT NULL)", name="resolves"
        ),
        CheckConstraint("kind <> 'release' OR amount_micros = 0", name="release"),
        CheckConstraint(sides_of_kinds(), name="sides"),
        Index(
            "uq_transfers_resolves",
            "resolves",
            unique=True,
            postgresql_where=text("resolves IS NOT NULL"),
        ),
        Index("ix_transfers_debit", "debit_id", "sequence"),
        Index("ix_transfers_credit", "credit_id", "sequence"),
        Index("ix_transfers_job", "job_id"),
    )

    id: Mapped[IdKey]
    sequence: Mapped[Int64] = mapped_column(Identity(always=True))  # the order of posting
    key: Mapped[str] = mapped_column(String(128), unique=True)  # the same movement only once
    kind: Mapped[str] = mapped_column(String(16))
    debit_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"))
    credit_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"))
    amount_micros: Mapped[Micros]
    resolves: Mapped[str | None] = mapped_column(ForeignKey("transfers.id"))
    job_id: Mapped[str | None] = mapped_column(String(64))
    lease_id: Mapped[str | None] = mapped_column(String(64))
    note: Mapped[str] = mapped_column(default="")
    created_at: Mapped[Time]


class Balance(Base):
    """What each account has and how much of it is held; kept by the trigger on transfers."""

    __tablename__ = "balances"
    __table_args__ = (
        CheckConstraint("held_micros >= 0", name="held"),
        CheckConstraint("may_overdraw OR posted_micros - held_micros >= 0", name="funds"),
    )

    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    posted_micros: Mapped[Micros] = mapped_column(default=0)
    held_micros: Mapped[Micros] = mapped_column(default=0)
    may_overdraw: Mapped[bool] = mapped_column(default=False)  # issuance alone
