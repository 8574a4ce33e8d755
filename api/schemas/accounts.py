"""Accounts, sessions, keys and join tokens."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from api.answers import PageOf
from api.schemas.base import Flag, Key, Label, Moment, Name, PositiveMicros, Request, Text, View
from broker.services.passwords import PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN
from broker.services.tokens import TTL_S_MAX, USES_MAX
from db.repositories.accounts import AccountRecord
from db.tables import ApiKey, JoinToken

RoleName = Literal["operator", "owner", "tenant", "viewer"]
Scope = Literal["read", "write", "admin"]
Weight = Annotated[float, Field(strict=True, gt=0, le=1_000_000)]
Password = Annotated[
    str, StringConstraints(min_length=PASSWORD_CHARS_MIN, max_length=PASSWORD_CHARS_MAX)
]


class BalanceView(View):
    """What an account has, in micros of a credit."""

    posted_micros: int
    held_micros: int = Field(description="Set aside for jobs that have not ended.")
    available_micros: int


class AccountView(View):
    """A party of the market."""

    id: str
    name: str
    role: str
    fair_weight: float
    disabled: bool
    created_at: datetime
    balance: BalanceView

    @classmethod
    def of(cls, record: AccountRecord) -> Self:
        account = record.account
        return cls(
            id=account.id,
            name=account.name,
            role=account.role,
            fair_weight=account.fair_weight,
            disabled=account.disabled_at is not None,
            created_at=account.created_at,
            balance=BalanceView(
                posted_micros=record.posted_micros,
                held_micros=record.held_micros,
                available_micros=record.posted_micros - record.held_micros,
            ),
        )


class AccountCreate(Request):
    """A new account; without a password it is used with API keys alone."""

    name: Name
    role: RoleName
    password: Password | None = None
    fair_weight: Weight = 1.0


class AccountChange(Request):
    """What changes; what is absent stays."""

    disabled: Flag | None = None
    fair_weight: Weight | None = None
    password: Password | None = None


class MoneyRequest(Request):
    """Credits that enter or leave."""

    amount_micros: PositiveMicros = Field(examples=[5_000_000])
    note: Text = ""


class SessionCreate(Request):
    """Sign in by name and password, or by an API key."""

    name: Annotated[str, StringConstraints(max_length=200)] | None = None
    password: Annotated[str, StringConstraints(max_length=PASSWORD_CHARS_MAX)] | None = None
    api_key: Annotated[str, StringConstraints(max_length=512)] | None = None

    @model_validator(mode="after")
    def one_way(self) -> Self:
        by_name = self.name is not None and self.password is not None
        if by_name == (self.api_key is not None):
            raise ValueError("give name and password, or api_key")
        return self


class SessionView(View):
    """Who is signed in; the token goes into X-CSRF-Token of every change."""

    account: AccountView
    csrf_token: str


class KeyCreate(Request):
    """A new API key; without scopes it may do all that the role may."""

    name: Label = ""
    scopes: Annotated[list[Scope], Field(max_length=3)] = Field(default_factory=list)
    expires_at: Moment | None = None
    account_id: Key | None = Field(default=None, description="Operators: whose key. Default: own.")


class KeyView(View):
    """An API key without its secret."""

    id: str
    account_id: str
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class KeyCreated(KeyView):
    """A new API key with its text, which is never shown again."""

    key: str = Field(examples=["souk_0123456789ab_…"])

    @classmethod
    def made(cls, key: ApiKey, presented: str) -> Self:
        return cls(**KeyView.model_validate(key).model_dump(), key=presented)


class TokenCreate(Request):
    """A join token for devices of an owner; ``cell`` or ``cell_id``: its id or name."""

    cell: Key | None = None
    cell_id: Key | None = None
    owner_id: Key | None = Field(default=None, description="Operators: whose. Default: own.")
    uses: Annotated[int, Field(strict=True, ge=1, le=USES_MAX)] = 1
    ttl_s: Annotated[int, Field(strict=True, ge=1, le=TTL_S_MAX)] = 3_600

    @model_validator(mode="after")
    def one_cell(self) -> Self:
        if (self.cell is None) == (self.cell_id is None):
            raise ValueError("give cell (its id or name)")
        return self


class TokenView(View):
    """A join token without its secret."""

    id: str
    prefix: str
    owner_id: str
    cell_id: str
    uses_left: int
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class TokenCreated(TokenView):
    """A new join token with its text, which is never shown again."""

    token: str = Field(examples=["souk_join_0123456789ab_….…"])

    @classmethod
    def made(cls, token: JoinToken, presented: str) -> Self:
        return cls(**TokenView.model_validate(token).model_dump(), token=presented)


class EnrolRequest(Request):
    """A device asks to take part."""

    token: Annotated[str, StringConstraints(max_length=512)]
    csr: Annotated[str, StringConstraints(max_length=16_384)]
    name: Label = ""


class RenewRequest(Request):
    """A device asks for a new certificate; ``signature`` (base64) is over `<signed_at>\\n<csr>`."""

    certificate: Annotated[str, StringConstraints(max_length=16_384)]
    csr: Annotated[str, StringConstraints(max_length=16_384)]
    signed_at: Annotated[int, Field(strict=True, ge=0, le=2**53)]
    signature: Annotated[str, StringConstraints(max_length=1_024)]


class EnrolledView(View):
    """What a device needs to take part."""

    node_id: str
    certificate: str
    ca: str
    mqtt_url: str
    artifacts_url: str
    renew_after: datetime
    expires_at: datetime


AccountPage = PageOf[AccountView]
KeyPage = PageOf[KeyView]
TokenPage = PageOf[TokenView]
