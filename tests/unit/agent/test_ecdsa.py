"""The pure-Python curve agrees with a reviewed implementation, and with the RFC's own numbers."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent import csr, ecdsa

# RFC 6979, appendix A.2.5 (P-256, SHA-256)
RFC_KEY = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
RFC_SIGNATURES = {
    b"sample": (
        0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
        0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
    ),
    b"test": (
        0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
        0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,
    ),
}
PRIVATES = st.integers(1, ecdsa.N - 1)


@pytest.mark.parametrize("message", RFC_SIGNATURES)
def test_sign_rfc_6979_vectors(message: bytes) -> None:
    assert ecdsa.sign(RFC_KEY, message) == RFC_SIGNATURES[message]


@given(private=PRIVATES, message=st.binary(max_size=100))
@settings(max_examples=25, deadline=None)
def test_sign_is_accepted_by_cryptography(private: int, message: bytes) -> None:
    key = ec.derive_private_key(private, ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    assert ecdsa.public_point(private) == (numbers.x, numbers.y)
    key.public_key().verify(csr.sign_der(private, message), message, ec.ECDSA(hashes.SHA256()))


@given(private=PRIVATES, message=st.binary(max_size=100))
@settings(max_examples=15, deadline=None)
def test_verify_takes_foreign_signatures_and_no_other(private: int, message: bytes) -> None:
    key = ec.derive_private_key(private, ec.SECP256R1())
    signature = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    point = ecdsa.public_point(private)
    assert ecdsa.verify(point, message, signature)
    assert not ecdsa.verify(point, message + b"!", signature)
    assert not ecdsa.verify(point, message, (signature[0], 0))


@given(private=PRIVATES, name=st.text("abcdef0123456789_-äß", min_size=1, max_size=60))
@settings(max_examples=15, deadline=None)
def test_request_is_valid_pkcs10(private: int, name: str) -> None:
    request = x509.load_pem_x509_csr(csr.request_pem(private, name).encode())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == f"CN={name}"


def test_private_key_file_round_trip(tmp_path: Path) -> None:
    private = ecdsa.generate()
    text = csr.private_key_pem(private)
    loaded = serialization.load_pem_private_key(text.encode(), password=None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    assert loaded.private_numbers().private_value == private
    assert csr.load_private_key(text) == private


def test_generate_differs_each_time() -> None:
    keys = {ecdsa.generate() for _ in range(20)}
    assert len(keys) == 20
    assert all(0 < key < ecdsa.N for key in keys)


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\n?\n"])
def test_load_private_key_refuses_garbage(text: str) -> None:
    with pytest.raises(ValueError, match=r"PRIVATE KEY|P-256"):
        csr.load_private_key(text)


def test_key_pair_is_loaded_by_ssl(tmp_path: Path) -> None:
    private = ecdsa.generate()
    key_path, certificate_path = tmp_path / "key.pem", tmp_path / "certificate.pem"
    key_path.write_text(csr.private_key_pem(private))
    certificate_path.write_bytes(_self_signed(private))
    ssl.create_default_context().load_cert_chain(certificate_path, key_path)


def _self_signed(private: int) -> bytes:
    from datetime import UTC, datetime, timedelta

    key = ec.derive_private_key(private, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
