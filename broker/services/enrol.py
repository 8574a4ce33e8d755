"""Enrolment: a join token and a certificate request in, a node with an identity out; and renewal.

The device makes its keys. At enrolment its join token speaks for it; at renewal its enrolled key
does, by a signature over time and request, so an expired certificate is no obstacle within the
grace time. The platform keeps the key's fingerprint and the one before it: if the answer of a
renewal is lost, the device asks again with the key that it still has.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from sqlalchemy.orm import Session

from broker.services import pki
from broker.services.auth import secret_hash, split_secret
from broker.services.refusals import Forbidden, Unauthenticated
from broker.services.tokens import TOKEN_MARK
from db import audit, events
from db.ids import new_id
from db.repositories import nodes, tokens
from db.tables import JoinToken, Node
from market.lifecycle import NodeState

if TYPE_CHECKING:
    from broker.settings import Settings

RENEW_AT = 2 / 3  # of the certificate's life
SIGNED_WITHIN = timedelta(minutes=10)
NAME_CHARS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What a device needs to take part."""

    node_id: str
    certificate: str
    ca: str
    mqtt_url: str
    artifacts_url: str
    renew_after: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Who signs, for how long, and where devices are sent."""

    authority: pki.Authority
    ttl_s: int
    grace_s: int
    mqtt_url: str
    artifacts_url: str

    @classmethod
    def of(cls, settings: "Settings", authority: pki.Authority) -> "Office":
        return cls(
            authority=authority,
            ttl_s=settings.certificate_ttl_s,
            grace_s=settings.certificate_grace_s,
            mqtt_url=settings.mqtt_url_for_devices,
            artifacts_url=settings.agent_url,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """A request for a new certificate, signed by the enrolled key.

    ``signature`` (base64) is over ``"<signed_at>\\n<csr>"``; ``signed_at`` is Unix milliseconds.
    """

    certificate: str
    csr: str
    signed_at: int
    signature: str


def enrol(
    session: Session,
    office: Office,
    *,
    token: str,
    csr: str,
    name: str,
    address: str,
    now: datetime,
) -> Enrolled:
    """Take the device in. A key that is enrolled already gets a new certificate for its node.

    Raises ``Unauthenticated`` (``bad_token``), ``Forbidden`` (``node_revoked``) and
    ``pki.BadRequest``.
    """
    key_sha256 = pki.public_key_fingerprint(csr)
    join = _take_token(session, token, now)
    node = nodes.by_key(session, key_sha256)
    if node is None:
        node = _new_node(join, key_sha256, name, now)
        session.add(node)
        session.flush()
    elif node.state == NodeState.REVOKED or node.owner_id != join.owner_id:
        raise Forbidden("This device's key was revoked; enrol with a new one.", code="node_revoked")
    enrolled = _certify(node, office, csr, now)
    audit.record(
        session,
        account_id=join.created_by,
        action="node.enrol",
        subject_id=node.id,
        after={"token_id": join.id, "owner_id": node.owner_id, "cell_id": node.cell_id},
        address=address,
        now=now,
    )
    new = events.NewEvent(
        kind="node.enrolled",
        subject_id=node.id,
        account_id=node.owner_id,
        data={"name": node.name, "cell_id": node.cell_id},
    )
    events.append(session, [new], now=now)
    return enrolled


def renew(session: Session, office: Office, renewal: Renewal, *, now: datetime) -> Enrolled:
    """A new certificate for the node that ``renewal.certificate`` names, and the key in its CSR.

    Raises ``Unauthenticated`` (``bad_renewal``: not our certificate, not the enrolled key, too
    late, signed at another time) and ``Forbidden`` (``node_revoked``).
    """
    held = _own_certificate(office.authority, renewal.certificate)
    _check_signature(held, renewal, now)
    node = nodes.locked(session, pki.common_name(held), owner_id=None)
    presented = pki.public_key_fingerprint(renewal.certificate)
    if node is None or presented not in (node.public_key_sha256, node.previous_key_sha256):
        raise _bad("The certificate's key is not the one that this node enrolled with.")
    if node.state == NodeState.REVOKED:
        raise Forbidden(
            "This node was revoked; enrol it anew with a join token.", code="node_revoked"
        )
    if now > held.not_valid_after_utc + timedelta(seconds=office.grace_s):
        raise _bad("The certificate ended too long ago; enrol anew with a join token.")
    node.previous_key_sha256 = presented
    node.public_key_sha256 = pki.public_key_fingerprint(renewal.csr)
    enrolled = _certify(node, office, renewal.csr, now)
    session.flush()
    return enrolled


def _take_token(session: Session, presented: str, now: datetime) -> JoinToken:
    text = presented.strip().partition(".")[0]
    try:
        prefix, secret = split_secret(text, TOKEN_MARK)
    except Unauthenticated:
        raise _bad_token() from None
    token = tokens.by_prefix(session, prefix)
    if token is None or not hmac.compare_digest(token.secret_hash, secret_hash(secret)):
        raise _bad_token()
    if not tokens.take_use(session, token.id, now):
        raise _bad_token()
    return token


def _new_node(join: JoinToken, key_sha256: str, name: str, now: datetime) -> Node:
    node_id = new_id("node", now)
    return Node(
        id=node_id,
        owner_id=join.owner_id,
        cell_id=join.cell_id,
        name=name[:NAME_CHARS_MAX] or node_id[-8:],
        state=NodeState.ENROLLED,
        public_key_sha256=key_sha256,
        enrolled_at=now,
    )


def _certify(node: Node, office: Office, csr: str, now: datetime) -> Enrolled:
    certificate = pki.sign_csr(office.authority, csr, node_id=node.id, now=now, ttl_s=office.ttl_s)
    made = x509.load_pem_x509_certificate(certificate.encode())
    node.certificate_serial = f"{made.serial_number:x}"
    node.certificate_expires_at = made.not_valid_after_utc
    return Enrolled(
        node_id=node.id,
        certificate=certificate,
        ca=office.authority.pem,
        mqtt_url=office.mqtt_url,
        artifacts_url=office.artifacts_url,
        renew_after=now + timedelta(seconds=office.ttl_s * RENEW_AT),
        expires_at=made.not_valid_after_utc,
    )


def _own_certificate(authority: pki.Authority, pem: str) -> x509.Certificate:
    try:
        held = x509.load_pem_x509_certificate(pem[: pki.CSR_BYTES_MAX].encode())
        held.verify_directly_issued_by(authority.certificate)
    except Exception as error:  # the parser raises several kinds on hostile bytes
        raise _bad("That is not a certificate of this platform.") from error
    return held


def _check_signature(held: x509.Certificate, renewal: Renewal, now: datetime) -> None:
    try:
        signed_at = datetime.fromtimestamp(renewal.signed_at / 1_000, UTC)
        signature = base64.b64decode(renewal.signature, validate=True)
    except (ValueError, OverflowError, OSError, binascii.Error) as error:
        raise _bad("The signature or its time cannot be read.") from error
    if abs(now - signed_at) > SIGNED_WITHIN:
        raise _bad(f"The request was signed at {signed_at:%FT%TZ}: set the device's clock.")
    message = f"{renewal.signed_at}\n{renewal.csr}".encode()
    key = held.public_key()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            raise _bad("The certificate's key is of a kind that is not enrolled.")
    except InvalidSignature as error:
        raise _bad("The request is not signed by the certificate's key.") from error


def _bad(detail: str) -> Unauthenticated:
    return Unauthenticated(detail, code="bad_renewal")


def _bad_token() -> Unauthenticated:
    return Unauthenticated(
        "The join token is unknown, used up, revoked or expired; ask for a new one.",
        code="bad_token",
    )
