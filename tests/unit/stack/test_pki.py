"""Certificates: who is signed, for what name, and who is refused."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.services import pki
from broker.services.pki_files import device_authority, ensure_pki

NOW = datetime(2030, 1, 1, tzinfo=UTC)
NODE = "node_0190a3"


@pytest.fixture(scope="module")
def authority() -> pki.Authority:
    return pki.create_authority("test CA", now=NOW)


def make_csr(key, name: str = "whoever") -> str:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    )
    return request.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def sign(authority: pki.Authority, csr: str, ttl_s: int = 3600) -> x509.Certificate:
    pem = pki.sign_csr(authority, csr, node_id=NODE, now=NOW, ttl_s=ttl_s)
    return x509.load_pem_x509_certificate(pem.encode())


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()]
)
def test_certificate_names_the_node_whatever_the_request_says(authority, key) -> None:
    certificate = sign(authority, make_csr(key, name="souk-platform"))
    certificate.verify_directly_issued_by(authority.certificate)
    assert pki.common_name(certificate) == NODE
    assert certificate.public_key() == key.public_key()
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints.ca is False


def test_certificate_ends_when_it_should(authority) -> None:
    certificate = sign(authority, make_csr(ec.generate_private_key(ec.SECP256R1())), ttl_s=60)
    assert certificate.not_valid_after_utc == NOW + timedelta(seconds=60)
    assert certificate.not_valid_before_utc == NOW - pki.CLOCK_SKEW


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())],
    ids=["rsa", "p384"],
)
def test_other_keys_are_refused(authority, key) -> None:
    with pytest.raises(pki.BadRequest, match="P-256"):
        sign(authority, make_csr(key))


def test_request_signed_by_another_key_is_refused(authority) -> None:
    mine, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    csr = x509.load_pem_x509_csr(make_csr(mine).encode())
    der = csr.public_bytes(serialization.Encoding.DER)
    swapped = der.replace(_point(mine), _point(other))
    pem = x509.load_der_x509_csr(swapped).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(pki.BadRequest, match="possession"):
        sign(authority, pem)


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


@pytest.mark.parametrize("node_id", ["souk-platform", "", "job_1"])
def test_only_nodes_are_signed(authority, node_id: str) -> None:
    csr = make_csr(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(pki.BadRequest, match="not the id of a node"):
        pki.sign_csr(authority, csr, node_id=node_id, now=NOW, ttl_s=60)


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin1")))
@settings(max_examples=100, deadline=None)
def test_garbage_is_refused_with_a_reason(text: str) -> None:
    for given_text in (text, f"-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END"):
        with pytest.raises(pki.BadRequest):
            pki.public_key_fingerprint(given_text)


def test_huge_request_is_refused_unread(authority) -> None:
    with pytest.raises(pki.BadRequest, match="at most"):
        sign(authority, "x" * (pki.CSR_BYTES_MAX + 1))


def test_renewal_needs_the_enrolled_key(authority) -> None:
    enrolled, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    fingerprint = pki.public_key_fingerprint(make_csr(enrolled))
    pki.verify_renewal(make_csr(enrolled, name="again"), enrolled_key_sha256=fingerprint)
    with pytest.raises(pki.BadRenewal):
        pki.verify_renewal(make_csr(other), enrolled_key_sha256=fingerprint)


def test_fingerprint_of_key_is_the_same_from_request_and_certificate(authority) -> None:
    csr = make_csr(ec.generate_private_key(ec.SECP256R1()))
    pem = pki.sign_csr(authority, csr, node_id=NODE, now=NOW, ttl_s=60)
    assert pki.public_key_fingerprint(csr) == pki.public_key_fingerprint(pem)


def test_fingerprint_of_the_authority_is_sha256_of_its_der(authority) -> None:
    der = authority.certificate.public_bytes(serialization.Encoding.DER)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    assert authority.fingerprint == digest.finalize().hex()


def test_directory_is_made_once_with_private_keys(tmp_path: Path) -> None:
    paths = ensure_pki(tmp_path / "pki", now=NOW)
    first = {path.name: path.read_bytes() for path in paths.ca_pem.parent.iterdir()}
    ensure_pki(tmp_path / "pki", now=NOW)
    assert {p.name: p.read_bytes() for p in paths.ca_pem.parent.iterdir()} == first
    for name in first:
        mode = stat.S_IMODE((tmp_path / "pki" / name).stat().st_mode)
        assert mode == (0o600 if name.endswith(".key") else 0o644), name
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700


def test_server_is_renewed_before_it_ends_and_authority_stays(tmp_path: Path) -> None:
    paths = ensure_pki(tmp_path, now=NOW)
    ca, server = paths.ca_pem.read_bytes(), paths.server_pem.read_bytes()
    ensure_pki(tmp_path, now=NOW + pki.SERVER_TTL - timedelta(days=31))
    assert paths.server_pem.read_bytes() == server
    ensure_pki(tmp_path, now=NOW + pki.SERVER_TTL - timedelta(days=29))
    assert paths.server_pem.read_bytes() != server
    assert paths.ca_pem.read_bytes() == ca


@pytest.mark.parametrize("broken", ["server.pem", "server.key", "platform.key"])
def test_missing_half_of_a_pair_is_made_anew(tmp_path: Path, broken: str) -> None:
    paths = ensure_pki(tmp_path, now=NOW)
    (tmp_path / broken).unlink()
    ensure_pki(tmp_path, now=NOW)
    for certificate, key in (
        (paths.server_pem, paths.server_key),
        (paths.platform_pem, paths.platform_key),
    ):
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
        held = x509.load_pem_x509_certificate(certificate.read_bytes())
        assert held.public_key() == private.public_key()


def test_new_name_renews_the_server(tmp_path: Path) -> None:
    ensure_pki(tmp_path, now=NOW)
    paths = ensure_pki(tmp_path, now=NOW, names=["souk.example", "10.1.2.3"])
    held = x509.load_pem_x509_certificate(paths.server_pem.read_bytes())
    names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "souk.example" in names.get_values_for_type(x509.DNSName)
    assert "10.1.2.3" in {str(ip) for ip in names.get_values_for_type(x509.IPAddress)}


def test_platform_is_not_signed_by_the_authority_of_devices(tmp_path: Path) -> None:
    paths = ensure_pki(tmp_path, now=NOW)
    platform = x509.load_pem_x509_certificate(paths.platform_pem.read_bytes())
    assert pki.common_name(platform) == pki.PLATFORM_CN
    with pytest.raises((ValueError, InvalidSignature)):
        platform.verify_directly_issued_by(device_authority(tmp_path).certificate)
