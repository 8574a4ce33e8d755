"""Who may do what: accounts, API keys, browser sessions, join tokens."""

from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import String

from db.tables.base import Base, Id, IdKey, Name, Time, one_of


class Role(StrEnum):
    """What an account is allowed to do."""

    OPERATOR = "operator"
    OWNER = "owner"
    TENANT = "tenant"
    VIEWER = "viewer"
    SYSTEM = "system"  # the platform's own ledger accounts; nobody signs in as one


class Account(Base):
    """A party of the market; it signs in with ``name`` and a password, or with an API key."""

    __tablename__ = "accounts"
    __table_args__ = (CheckConstraint(one_of("role", Role), name="role"),)

    id: Mapped[IdKey]
    name: Mapped[Name] = mapped_column(unique=True)
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str | None]  # argon2; None: API keys alone
    fair_weight: Mapped[float] = mapped_column(default=1.0)  # share it is entitled to
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[Time]
    disabled_at: Mapped[Time | None]


class ApiKey(Base):
    """``souk_<prefix>_<secret>``; the secret is kept as SHA-256 (it has 256 bits of its own)."""

    __tablename__ = "api_keys"

    id: Mapped[IdKey]
    account_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"), index=True)
    name: Mapped[Name] = mapped_column(default="")
    prefix: Mapped[str] = mapped_column(String(16), unique=True)
    secret_hash: Mapped[bytes]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(32)))
    created_at: Mapped[Time]
    expires_at: Mapped[Time | None]
    revoked_at: Mapped[Time | None]
    last_used_at: Mapped[Time | None]


class BrowserSession(Base):
    """A signed-in browser; the cookie's secret is kept as SHA-256."""

    __tablename__ = "browser_sessions"

    id: Mapped[IdKey]
    account_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"), index=True)
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[Time]
    expires_at: Mapped[Time]


class JoinToken(Base):
    """Lets a device enrol for an owner into a cell, a limited number of times."""

    __tablename__ = "join_tokens"
    __table_args__ = (
        CheckConstraint("uses_left >= 0", name="uses_left"),
        Index("ix_join_tokens_live", "prefix", postgresql_where=text("revoked_at IS NULL")),
    )

    id: Mapped[IdKey]
    prefix: Mapped[str] = mapped_column(String(16), unique=True)
    secret_hash: Mapped[bytes]
    owner_id: Mapped[Id] = mapped_column(ForeignKey("accounts.id"), index=True)
    cell_id: Mapped[Id] = mapped_column(ForeignKey("cells.id"))
    uses_left: Mapped[int]
    created_by: Mapped[Id]
    created_at: Mapped[Time]
    expires_at: Mapped[Time]
    revoked_at: Mapped[Time | None]
