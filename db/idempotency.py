"""The same POST twice has one effect: its answer is stored in the transaction of the effect."""

import datetime as dt
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A request under an Idempotency-Key; "": under none."""

    account_id: str
    key: str
    request_hash: bytes


Found = StoredAnswer | IdempotencyMismatch | IdempotencyInFlight | None

_CLAIM = text("""
    SELECT pg_try_advisory_xact_lock(hashtextextended(c.account_id || ' ' || c.key, 0)) AS claimed,
        k.request_hash, k.status, k.headers, k.body
    FROM unnest(CAST(:accounts AS text[]), CAST(:keys AS text[])) WITH ORDINALITY
        AS c (account_id, key, place)
    LEFT JOIN idempotency_keys k ON k.account_id = c.account_id AND k.key = c.key
    ORDER BY c.place
""")
_STORE = text("""
    INSERT INTO idempotency_keys (account_id, key, request_hash, status, headers, body, created_at)
    SELECT k.account_id, k.key, k.hash, k.status, CAST(k.headers AS jsonb), k.body, :now
    FROM unnest(CAST(:account_id AS text[]), CAST(:key AS text[]), CAST(:request_hash AS bytea[]),
        CAST(:status AS int[]), CAST(:headers AS text[]), CAST(:body AS bytea[]))
        AS k (account_id, key, hash, status, headers, body)
""")


def claim(
    session: Session, *, account_id: str, key: str, request_hash: bytes
) -> StoredAnswer | None:
    """The stored answer; None: this transaction has the key and is to do the work.

    Raises ``IdempotencyMismatch``, ``IdempotencyInFlight``.
    """
    [found] = claim_all(session, [Claim(account_id=account_id, key=key, request_hash=request_hash)])
    if isinstance(found, Exception):
        raise found
    return found


def claim_all(session: Session, claims: Sequence[Claim]) -> list[Found]:
    """As ``claim`` for many, whose keys must differ; what it would raise is in its place."""
    keyed = [claim for claim in claims if claim.key]
    if not keyed:
        return [None] * len(claims)
    values = {"accounts": [c.account_id for c in keyed], "keys": [c.key for c in keyed]}
    rows = iter(session.execute(_CLAIM, values).all())
    return [_found(claim, next(rows)) if claim.key else None for claim in claims]


def _found(claim: Claim, row: Any) -> Found:
    if row.request_hash is None:
        if row.claimed:
            return None
        return IdempotencyInFlight(f"a request with Idempotency-Key {claim.key!r} is under way")
    if row.request_hash != claim.request_hash:
        return IdempotencyMismatch(f"Idempotency-Key {claim.key!r} was used with another request")
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
    made = Claim(account_id=account_id, key=key, request_hash=request_hash)
    store_all(session, [(made, answer)], now=now)


def store_all(
    session: Session, answers: Sequence[tuple[Claim, StoredAnswer]], *, now: dt.datetime
) -> None:
    """As ``store`` for many."""
    if not answers:
        return
    try:
        session.execute(
            _STORE,
            {
                "account_id": [claim.account_id for claim, _ in answers],
                "key": [claim.key for claim, _ in answers],
                "request_hash": [claim.request_hash for claim, _ in answers],
                "status": [answer.status for _, answer in answers],
                "headers": [dump_json(answer.headers) for _, answer in answers],
                "body": [answer.body for _, answer in answers],
                "now": now,
            },
        )
    except IntegrityError as error:
        if constraint_of(error) == "pk_idempotency_keys":
            keys = ", ".join(repr(claim.key) for claim, _ in answers)
            raise IdempotencyInFlight(f"Idempotency-Key {keys} was used just now") from error
        raise
