"""HTTPS by the standard library: contexts, one-shot JSON requests and the server's own errors."""

import http.client
import json
import ssl
from typing import Any

from edge_agent.addresses import Address
from edge_agent.exits import AgentError, Exit

TIMEOUT_S = 20.0
ANSWER_BYTES_MAX = 1 << 20


def verified_context(ca_pem: str) -> ssl.SSLContext:
    """TLS that trusts this CA alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca_pem)
    return context


def unverified_context() -> ssl.SSLContext:
    """TLS for fetching the CA, whose fingerprint is then checked against the token's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def request(
    address: Address,
    method: str,
    path: str,
    *,
    context: ssl.SSLContext,
    body: dict[str, Any] | None = None,
) -> bytes:
    """The answer's body.

    Raises:
        AgentError: no connection, or an error of the server with what it says about it.
    """
    headers = {"Accept": "application/json, application/problem+json, */*"}
    payload = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        payload = json.dumps(body).encode()
    connection = http.client.HTTPSConnection(
        address.host, address.port, timeout=TIMEOUT_S, context=context
    )
    try:
        connection.request(method, address.prefix + path, body=payload, headers=headers)
        answer = connection.getresponse()
        data = answer.read(ANSWER_BYTES_MAX + 1)
    except ssl.SSLCertVerificationError as error:
        raise AgentError(
            Exit.CA_MISMATCH,
            f"{address.host}:{address.port} shows a certificate that the platform's CA does not"
            f" vouch for: {error.verify_message}",
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise AgentError(
            Exit.NO_SERVER, f"{address.host}:{address.port} does not answer: {error}"
        ) from None
    finally:
        connection.close()
    if answer.status >= 400:
        raise _refused(address, answer.status, data)
    return data


def _refused(address: Address, status: int, data: bytes) -> AgentError:
    try:
        problem = json.loads(data)
        detail = str(problem.get("detail") or problem.get("title") or "")
        code = str(problem.get("code") or "")
    except (ValueError, AttributeError):
        detail = code = ""
    said = detail or f"HTTP {status}"
    exit_code = Exit.REVOKED if code == "node_revoked" else Exit.REFUSED
    if status >= 500 or status == 404:
        exit_code = Exit.NO_SERVER
    return AgentError(exit_code, f"{address.host}:{address.port} says: {said}")
