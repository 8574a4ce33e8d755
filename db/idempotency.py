"""The same POST twice has one effect: its answer is stored in the transaction of the effect."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.engine import dump_json
from db.errors import StorageError, constraint_of


class IdempotencyMismatch(StorageError):
    """The key was used with another request."""

    code = "idempotency_mismatch"


class IdempotencyInFlight(StorageError):
    """A request with this key is being worked on right now."""

    code = "idempotency_in_flight"
    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """The answer that the first request with the key got."""

    status: int
    headers: Mapping[str, Any]
    body: bytes


_CLAIM = text("""
    SELECT pg_try_advisory_xact_lock(hashtextextended(:account_id || ' ' || :key, 0)) AS claimed,
        k.request_hash, k.status, k.headers, k.body
    FROM (SELECT 1) AS one
    LEFT JOIN idempotency_keys k ON k.account_id = :account_id AND k.key = :key
""")
_STORE = text("""
    INSERT INTO idempotency_keys (account_id, key, request_hash, status, headers, body, created_at)
    VALUES (:account_id, :key, :request_hash, :status, CAST(:headers AS jsonb), :body, :now)
""")


def claim(
    session: Session, *, account_id: str, key: str, request_hash: bytes
) -> StoredAnswer | None:
    """The stored answer; None: this transaction has the key and is to do the work.

    Raises ``IdempotencyMismatch``, ``IdempotencyInFlight``.
    """
    row = session.execute(_CLAIM, {"account_id": account_id, "key": key}).one()
    if row.request_hash is None:
        if not row.claimed:
            raise IdempotencyInFlight(f"a request with Idempotency-Key {key!r} is under way")
        return None
    if row.request_hash != request_hash:
        raise IdempotencyMismatch(f"Idempotency-Key {key!r} was used with another request")
    return StoredAnswer(status=row.status, headers=row.headers, body=row.body)


def store(
    session: Session,
    *,
    account_id: str,
    key: str,
    request_hash: bytes,
    answer: StoredAnswer,
    now: dt.datetime,
) -> None:
    """Keep the answer, in the transaction that claimed the key.

    Raises ``IdempotencyInFlight`` if another request with the key ended between our look and our
    claim: the caller rolls back and asks again, and gets that request's answer.
    """
    try:
        session.execute(
            _STORE,
            {
                "account_id": account_id,
                "key": key,
                "request_hash": request_hash,
                "status": answer.status,
                "headers": dump_json(answer.headers),
                "body": answer.body,
                "now": now,
            },
        )
    except IntegrityError as error:
        if constraint_of(error) == "pk_idempotency_keys":
            raise IdempotencyInFlight(f"Idempotency-Key {key!r} was used just now") from error
        raise
