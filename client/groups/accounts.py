"""Accounts, their API keys, and join tokens."""

from collections.abc import Iterator, Sequence
from typing import Any

from ..pages import iterate
from ..parsing import parse
from ..resources import Account, ApiKey, JoinToken
from ..transport import Transport


class Accounts:
    """Who takes part; operators make and fund accounts, everyone sees their own."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> Iterator[Account]:
        return iterate(self._transport, "/v1/accounts", Account, limit=limit)

    def get(self, account_id: str = "me") -> Account:
        return parse(Account, self._transport.get(f"/v1/accounts/{account_id}"))

    def create(
        self,
        name: str,
        *,
        role: str,
        password: str | None = None,
        fair_weight: float | None = None,
    ) -> Account:
        body: dict[str, Any] = {"name": name, "role": role}
        if password is not None:
            body["password"] = password
        if fair_weight is not None:
            body["fair_weight"] = fair_weight
        return parse(Account, self._transport.create("/v1/accounts", body))

    def deposit(self, account_id: str, *, amount_micros: int, note: str = "") -> Any:
        """Put credits in; returns the transfer as the API gives it."""
        return self._move(account_id, "deposits", amount_micros, note)

    def withdraw(self, account_id: str, *, amount_micros: int, note: str = "") -> Any:
        """Take credits out; returns the transfer as the API gives it."""
        return self._move(account_id, "withdrawals", amount_micros, note)

    def _move(self, account_id: str, what: str, amount_micros: int, note: str) -> Any:
        body: dict[str, Any] = {"amount_micros": amount_micros}
        if note:
            body["note"] = note
        return self._transport.create(f"/v1/accounts/{account_id}/{what}", body)


class Keys:
    """API keys; the secret is shown once, in the answer of ``create``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> Iterator[ApiKey]:
        return iterate(self._transport, "/v1/keys", ApiKey, limit=limit)

    def create(
        self,
        *,
        name: str = "",
        scopes: Sequence[str] | None = None,
        expires_at: str | None = None,
        account_id: str | None = None,
    ) -> ApiKey:
        body: dict[str, Any] = {"name": name} if name else {}
        if scopes is not None:
            body["scopes"] = [*scopes]
        if expires_at is not None:
            body["expires_at"] = expires_at
        if account_id is not None:
            body["account_id"] = account_id
        return parse(ApiKey, self._transport.create("/v1/keys", body))

    def revoke(self, key_id: str) -> None:
        self._transport.json("DELETE", f"/v1/keys/{key_id}")


class Tokens:
    """Join tokens, by which devices enrol."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int | None = None) -> Iterator[JoinToken]:
        return iterate(self._transport, "/v1/tokens", JoinToken, limit=limit)

    def create(
        self, *, cell: str, owner_id: str | None = None, uses: int = 1, ttl_s: int = 3600
    ) -> JoinToken:
        """A token for ``cell`` (name or id); an owner makes it for itself."""
        body: dict[str, Any] = {"cell": cell, "uses": uses, "ttl_s": ttl_s}
        if owner_id is not None:
            body["owner_id"] = owner_id
        return parse(JoinToken, self._transport.create("/v1/tokens", body))

    def revoke(self, token_id: str) -> None:
        self._transport.json("DELETE", f"/v1/tokens/{token_id}")
