"""The ledger and leases."""

from datetime import datetime

from pydantic import Field

from api.answers import PageOf
from api.schemas.base import Amounts, View
from db.tables import Lease
from market.resources import RESOURCE_NAMES


class TransferView(View):
    """One movement of money."""

    id: str
    kind: str
    debit_id: str
    credit_id: str
    amount_micros: int
    resolves: str | None = Field(description="The hold that this charge or release resolves.")
    job_id: str | None
    lease_id: str | None
    note: str
    created_at: datetime


class BalanceRow(View):
    """What one account has."""

    account_id: str
    name: str
    role: str
    posted_micros: int
    held_micros: int


class BalancesView(View):
    """Balances by role and name."""

    items: list[BalanceRow]


class InvariantView(View):
    """Something that must always be true of the ledger."""

    name: str
    ok: bool
    detail: str


class InvariantsView(View):
    """All of them, checked at one moment."""

    ok: bool
    checked_at: datetime
    items: list[InvariantView]


class LeaseView(View):
    """A right to capacity on a node for a window."""

    id: str
    job_id: str
    node_id: str
    cell_id: str
    owner_id: str
    tenant_id: str
    round_id: str
    state: str
    state_reason: str
    slots: int
    resources: Amounts = Field(description="Of one slot, in base units.")
    rate_micros_per_hour: int = Field(description="What the tenant pays for one slot.")
    reserve_micros_per_hour: int
    limit_micros_per_hour: int
    starts_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    charge_micros: int | None
    created_at: datetime

    @classmethod
    def of(cls, lease: Lease) -> "LeaseView":
        own = {name: getattr(lease, name) for name in cls.model_fields if name != "resources"}
        amounts = {name: amount for name in RESOURCE_NAMES if (amount := int(getattr(lease, name)))}
        return cls(**own, resources=amounts)


TransferPage = PageOf[TransferView]
LeasePage = PageOf[LeaseView]
