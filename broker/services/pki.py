"""The platform's certificate authorities: one for servers and devices, one for the platform itself.

Devices and servers are signed by the *device CA* (``ca.pem``). The platform's own MQTT clients are
signed by a second one (``platform-ca.pem``), because an MQTT server lets a client take over the
session of another by its client id: the listener for the platform trusts that CA alone, so that no
device, however enrolled, can push a platform process out. Keys are EC P-256.

Everything here is a pure function of keys, requests and ``now``; ``pki_files`` touches the disk.

Errors: ``PkiError`` ← ``BadRequest`` (not a CSR, wrong key type, bad proof of possession),
``BadRenewal`` (the signature is not of the enrolled key), each with a stable ``code``.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PLATFORM_CN = "souk-platform"
NODE_CN_PREFIX = "node_"
CA_TTL = timedelta(days=3650)
SERVER_TTL = timedelta(days=365)
CLOCK_SKEW = timedelta(minutes=5)
CSR_BYTES_MAX = 16 * 1024

_SERVER = ExtendedKeyUsageOID.SERVER_AUTH
_CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class PkiError(Exception):
    """A certificate could not be made; ``code`` says why in a stable word."""

    code = "pki"


class BadRequest(PkiError):
    """The certificate signing request is not one that we sign."""

    code = "bad_csr"


class BadRenewal(PkiError):
    """The renewal is not signed by the key that was enrolled."""

    code = "bad_renewal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A CA: its certificate and the key that signs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return _pem(self.certificate)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.certificate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its key, both in PEM."""

    certificate_pem: str
    key_pem: str


def create_authority(name: str, *, now: datetime) -> Authority:
    """A new self-signed CA that may sign leaves only (path length 0)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    certificate = (
        _builder(subject, subject, key.public_key(), starts_at=now, ends_at=now + CA_TTL)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate=certificate, key=key)


def issue(
    authority: Authority,
    common_name: str,
    *,
    now: datetime,
    ttl: timedelta = SERVER_TTL,
    server_names: Iterable[str] = (),
) -> Pair:
    """A new key and certificate: for a server if ``server_names`` are given, else for a client."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _leaf(
        authority,
        key.public_key(),
        common_name,
        starts_at=now,
        ends_at=now + ttl,
        server_names=tuple(server_names),
    )
    return Pair(certificate_pem=_pem(certificate), key_pem=key_pem(key))


def sign_csr(authority: Authority, csr_pem: str, *, node_id: str, now: datetime, ttl_s: int) -> str:
    """The client certificate (PEM) for the key in ``csr_pem``; its CN is ``node_id`` alone.

    Raises ``BadRequest``: not PEM, too large, a key that is neither P-256 nor Ed25519, or a
    signature that does not prove possession of the key.
    """
    public_key = _requested_key(csr_pem)
    if not node_id.startswith(NODE_CN_PREFIX):
        raise BadRequest(f"{node_id!r} is not the id of a node")
    certificate = _leaf(
        authority, public_key, node_id, starts_at=now, ends_at=now + timedelta(seconds=ttl_s)
    )
    return _pem(certificate)


def public_key_fingerprint(pem: str) -> str:
    """SHA-256 (hex) of the public key in a certificate or CSR in PEM: what enrolment records.

    Raises ``BadRequest`` if it is neither.
    """
    if "CERTIFICATE REQUEST" in pem:
        key = _requested_key(pem)
    else:
        try:
            key = _allowed(x509.load_pem_x509_certificate(pem.encode()).public_key())
        except ValueError as error:
            raise BadRequest(f"not a certificate: {error}") from error
    return _key_fingerprint(key)


def verify_renewal(csr_pem: str, *, enrolled_key_sha256: str) -> None:
    """Check that ``csr_pem`` is signed by the enrolled key, so that its holder asks.

    A node renews with the key it enrolled with: the CSR's own signature is the proof, which holds
    for an expired certificate as well. Raises ``BadRequest`` or ``BadRenewal``.
    """
    if _key_fingerprint(_requested_key(csr_pem)) != enrolled_key_sha256:
        raise BadRenewal("the request is not signed by the key that this node enrolled with")


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, as 64 hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def common_name(certificate: x509.Certificate) -> str:
    """The certificate's CN, or the empty string."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _leaf(
    authority: Authority,
    public_key: PublicKey,
    name: str,
    *,
    starts_at: datetime,
    ends_at: datetime,
    server_names: tuple[str, ...] = (),
) -> x509.Certificate:
    issuer = authority.certificate
    builder = (
        _builder(_name(name), issuer.subject, public_key, starts_at=starts_at, ends_at=ends_at)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([_SERVER if server_names else _CLIENT]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    if server_names:
        names = [_general_name(each) for each in dict.fromkeys(server_names)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: PublicKey,
    *,
    starts_at: datetime,
    ends_at: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts_at - CLOCK_SKEW)
        .not_valid_after(ends_at)
    )


def _requested_key(csr_pem: str) -> PublicKey:
    if len(csr_pem) > CSR_BYTES_MAX:
        raise BadRequest(f"a request is at most {CSR_BYTES_MAX} bytes long")
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        key, proven = csr.public_key(), csr.is_signature_valid
    except Exception as error:  # the parser raises several kinds on hostile bytes
        raise BadRequest(f"not a certificate signing request: {error}") from error
    if not proven:
        raise BadRequest("the request's signature does not prove possession of its key")
    return _allowed(key)


def _allowed(key: object) -> PublicKey:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise BadRequest("the key must be EC P-256 or Ed25519")


def _key_fingerprint(key: PublicKey) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return digest.finalize().hex()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """The key in PEM (PKCS 8), unencrypted: it is for a file of mode 0600."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
