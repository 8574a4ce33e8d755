"""Who takes part: accounts, their keys, and the tokens that admit devices."""

from dataclasses import dataclass, field
from datetime import datetime

from .base import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance(Resource):
    """``available`` = ``posted`` − ``held``."""

    account_id: str = ""
    name: str = ""
    role: str = ""
    posted_micros: int = 0
    held_micros: int = 0
    available_micros: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account(Resource):
    """An operator, owner, tenant or viewer."""

    id: str
    name: str
    role: str
    fair_weight: float = 1.0
    disabled: bool = False
    created_at: datetime | None = None
    balance: Balance = field(default_factory=Balance)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey(Resource):
    """A key; ``key`` itself is there only in the answer that created it."""

    id: str
    name: str = ""
    account_id: str = ""
    prefix: str = ""
    scopes: tuple[str, ...] = ()
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinToken(Resource):
    """Admits devices to a cell for an owner; ``token`` is there only in the creating answer."""

    id: str
    prefix: str = ""
    owner_id: str = ""
    cell_id: str | None = None
    uses_left: int = 0
    expires_at: datetime | None = None
    token: str = field(default="", repr=False)
