"""Enrolment and renewal: a join token and a certificate request in, an identity out.

The token carries the fingerprint of the platform's CA, so that the first connection needs no
other trust: the CA is fetched unverified, compared, and all that follows is verified by it.
"""

import base64
import hashlib
import hmac
import json
import re
import time
from dataclasses import dataclass
from typing import Any

from edge_agent import csr, ecdsa
from edge_agent.addresses import parse_address
from edge_agent.exits import AgentError, Exit
from edge_agent.https import request, unverified_context, verified_context
from edge_agent.identity import FIELDS, Enrolment, StateDir

_TOKEN = re.compile(r"souk_join_[A-Za-z0-9]+_[A-Za-z0-9_-]+\.([0-9a-f]{64})")


def ca_fingerprint(ca_pem: str) -> str:
    """SHA-256 of the CA's DER form, in hexadecimal."""
    return hashlib.sha256(csr.from_pem("CERTIFICATE", ca_pem)).hexdigest()


def token_fingerprint(token: str) -> str:
    """The CA's fingerprint that a join token carries.

    Raises:
        AgentError: not a join token.
    """
    match = _TOKEN.fullmatch(token.strip())
    if match is None:
        raise AgentError(
            Exit.USAGE,
            "that is not a join token, which reads souk_join_<id>_<secret>.<fingerprint>",
        )
    return match[1]


def enrol(state: StateDir, *, server: str, token: str, name: str) -> Enrolment:
    """Make a key, have the platform sign it, and store the identity.

    Raises:
        AgentError: not a token, no server, another CA than the token's, or refused.
    """
    fingerprint = token_fingerprint(token)
    address = parse_address(server)
    fetched = request(address, "GET", "/v1/ca", context=unverified_context())
    ca_pem = fetched.decode(errors="replace")
    _check_ca(ca_pem, fingerprint, server)
    private = ecdsa.generate()
    answer = request(
        address,
        "POST",
        "/v1/enrol",
        context=verified_context(ca_pem),
        body={"token": token.strip(), "csr": csr.request_pem(private, name), "name": name},
    )
    return _store(state, _Answer.parse(answer), private=private, server=server, ca_pem=ca_pem)


def renew(state: StateDir, enrolment: Enrolment, *, now: int | None = None) -> Enrolment:
    """Have the platform sign a new key, proven by the enrolled one.

    Also after the certificate has ended: within the platform's grace time the enrolled key is
    still good.

    Raises:
        AgentError: no server, or refused (the node is revoked, the grace time is over).
    """
    credentials = state.credentials.read_text(encoding="utf-8")
    old_key = csr.load_private_key(credentials)
    ca_pem = state.ca.read_text(encoding="utf-8")
    private = ecdsa.generate()
    request_pem = csr.request_pem(private, enrolment.node_id)
    signed_at = now if now is not None else time.time_ns() // 1_000_000
    signature = csr.sign_der(old_key, f"{signed_at}\n{request_pem}".encode())
    answer = request(
        parse_address(enrolment.server),
        "POST",
        "/v1/enrol/renew",
        context=verified_context(ca_pem),
        body={
            "certificate": csr.to_pem("CERTIFICATE", csr.from_pem("CERTIFICATE", credentials)),
            "csr": request_pem,
            "signed_at": signed_at,
            "signature": base64.b64encode(signature).decode(),
        },
    )
    parsed = _Answer.parse(answer)
    return _store(state, parsed, private=private, server=enrolment.server, ca_pem=ca_pem)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The body of a 201 of enrolment and renewal."""

    fields: dict[str, str]
    certificate: str
    ca: str

    @staticmethod
    def parse(data: bytes) -> "_Answer":
        try:
            raw: dict[str, Any] = json.loads(data)
            fields = {name: str(raw[name]) for name in FIELDS if name != "server"}
            return _Answer(fields=fields, certificate=str(raw["certificate"]), ca=str(raw["ca"]))
        except (ValueError, KeyError, TypeError) as error:
            raise AgentError(
                Exit.NO_SERVER, f"the server's answer is not that of a souk platform: {error!r}"
            ) from None


def _check_ca(ca_pem: str, fingerprint: str, server: str) -> None:
    try:
        found = ca_fingerprint(ca_pem)
    except ValueError as error:
        raise AgentError(
            Exit.NO_SERVER, f"{server} is not a souk platform: its CA is missing ({error})"
        ) from None
    if not hmac.compare_digest(found, fingerprint):
        raise AgentError(
            Exit.CA_MISMATCH,
            f"the CA of {server} has fingerprint {found[:16]}…, the token names"
            f" {fingerprint[:16]}…: a wrong address, or somebody in between",
        )


def _store(
    state: StateDir, answer: _Answer, *, private: int, server: str, ca_pem: str
) -> Enrolment:
    enrolment = Enrolment(server=server, **answer.fields)
    try:
        enrolment.renew_after_ms(), enrolment.expires_at_ms()
    except ValueError as error:
        raise AgentError(
            Exit.NO_SERVER, f"the server's answer has no valid times: {error}"
        ) from None
    # The CA stays the one that the token vouched for, whatever an answer says.
    state.save(
        enrolment,
        key=csr.private_key_pem(private),
        certificate=answer.certificate,
        ca=ca_pem,
    )
    return enrolment
