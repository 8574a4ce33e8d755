"""Grants: what lets a node fetch the artifacts of an order, and upload its results.

A token ``grant.<payload>.<mac>``, both base64url: the payload says node, job, account and expiry,
the MAC is HMAC-SHA256 of it under the platform's secret. Nothing is stored: whoever has the secret
can check it, and an order that is sent again gets a fresh one.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from broker.services.refusals import Unauthenticated

PREFIX = "grant"
TOKEN_CHARS_MAX = 1_024
_PURPOSE = b"souk artifact grant v1\n"  # the secret has other uses: no MAC of one fits another


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """``node_id`` may read what ``account_id`` may, and upload results, for ``job_id``."""

    node_id: str
    job_id: str
    account_id: str
    expires_at: datetime


def make_grant(
    secret: bytes, *, node_id: str, job_id: str, account_id: str, expires_at: datetime
) -> str:
    """The token of a grant; good until ``expires_at`` (kept in whole seconds)."""
    payload = json.dumps(
        [node_id, job_id, account_id, int(expires_at.timestamp())], separators=(",", ":")
    ).encode()
    return f"{PREFIX}.{_text(payload)}.{_text(_mac(secret, payload))}"


def check_grant(secret: bytes, token: str, *, now: datetime) -> Grant:
    """The grant that ``token`` carries. Raises ``Unauthenticated`` (``grant_invalid``)."""
    parts = token.split(".")
    if len(token) > TOKEN_CHARS_MAX or len(parts) != 3 or parts[0] != PREFIX:
        raise _invalid("It is not a grant.")
    payload, mac = _bytes(parts[1]), _bytes(parts[2])
    if not hmac.compare_digest(mac, _mac(secret, payload)):
        raise _invalid("It was not made by this platform.")
    node_id, job_id, account_id, expires = json.loads(payload)
    grant = Grant(
        node_id=node_id,
        job_id=job_id,
        account_id=account_id,
        expires_at=datetime.fromtimestamp(expires, UTC),
    )
    if grant.expires_at <= now:
        raise _invalid(f"It ended at {grant.expires_at.isoformat()}.")
    return grant


def _invalid(why: str) -> Unauthenticated:
    return Unauthenticated(f"The grant is not valid. {why}", code="grant_invalid")


def _mac(secret: bytes, payload: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE + payload, hashlib.sha256)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise _invalid("It is not a grant.") from None
