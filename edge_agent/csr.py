"""Key files and certificate requests in DER and PEM: just the few ASN.1 types that they take.

Source: RFC 5915 and RFC 5958 (private keys), RFC 2986 (PKCS #10), RFC 5480 (P-256 keys),
X.690 (DER).
"""

import base64
import binascii
import re
import textwrap

from edge_agent import ecdsa

_EC_PUBLIC_KEY = "1.2.840.10045.2.1"
_PRIME256V1 = "1.2.840.10045.3.1.7"
_ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2"
_COMMON_NAME = "2.5.4.3"


def private_key_pem(private: int) -> str:
    """The key as PKCS #8, as ``ssl`` loads it."""
    point = ecdsa.encode_point(ecdsa.public_point(private))
    inner = _sequence(
        _integer(1),
        _tlv(0x04, private.to_bytes(ecdsa.SIZE, "big")),
        _tlv(0xA1, _bit_string(point)),
    )
    algorithm = _sequence(_object_id(_EC_PUBLIC_KEY), _object_id(_PRIME256V1))
    return to_pem("PRIVATE KEY", _sequence(_integer(0), algorithm, _tlv(0x04, inner)))


def load_private_key(text: str) -> int:
    """The number in a key file written by ``private_key_pem``.

    Raises:
        ValueError: not such a file.
    """
    der = from_pem("PRIVATE KEY", text)
    # The number is the one octet string of 32 bytes, behind the inner version INTEGER 1.
    marker = bytes.fromhex("0201010420")
    at = der.find(marker)
    if at < 0:
        raise ValueError("not a P-256 private key of this agent")
    start = at + len(marker)
    return int.from_bytes(der[start : start + ecdsa.SIZE], "big")


def request_pem(private: int, common_name: str) -> str:
    """A signed certificate request for ``common_name`` (RFC 2986 §4)."""
    point = ecdsa.encode_point(ecdsa.public_point(private))
    name = _sequence(
        _tlv(0x31, _sequence(_object_id(_COMMON_NAME), _tlv(0x0C, common_name.encode())))
    )
    algorithm = _sequence(_object_id(_EC_PUBLIC_KEY), _object_id(_PRIME256V1))
    info = _sequence(_integer(0), name, _sequence(algorithm, _bit_string(point)), _tlv(0xA0, b""))
    signature = sign_der(private, info)
    der = _sequence(info, _sequence(_object_id(_ECDSA_WITH_SHA256)), _bit_string(signature))
    return to_pem("CERTIFICATE REQUEST", der)


def sign_der(private: int, message: bytes) -> bytes:
    """An ECDSA-SHA256 signature as X.509 and TLS carry it: a sequence of r and s."""
    r, s = ecdsa.sign(private, message)
    return _sequence(_integer(r), _integer(s))


def to_pem(label: str, der: bytes) -> str:
    """PEM text around ``der`` (RFC 7468)."""
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"


def from_pem(label: str, text: str) -> bytes:
    """The DER of the first ``label`` block in ``text``.

    Raises:
        ValueError: there is none, or it is not base64.
    """
    match = re.search(rf"-----BEGIN {label}-----(.*?)-----END {label}-----", text, re.DOTALL)
    if match is None:
        raise ValueError(f"no {label} in PEM form")
    try:
        return base64.b64decode("".join(match[1].split()), validate=True)
    except binascii.Error as error:
        raise ValueError(f"the {label} is not base64: {error}") from None


def _tlv(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def _sequence(*parts: bytes) -> bytes:
    return _tlv(0x30, b"".join(parts))


def _integer(value: int) -> bytes:
    return _tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _bit_string(content: bytes) -> bytes:
    return _tlv(0x03, b"\x00" + content)


def _object_id(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    content = bytearray([first * 40 + second])
    for number in rest:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return _tlv(0x06, bytes(content))
