"""The PKI directory: makes what is missing, renews what ends soon, reads what is there."""

import os
import socket
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from broker.services.pki import (
    PLATFORM_CN,
    Authority,
    Pair,
    PkiError,
    create_authority,
    issue,
    key_pem,
)

RENEW_SERVER_WITHIN = timedelta(days=30)
PRIVATE = 0o600
PUBLIC = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class PkiPaths:
    """The files of the PKI directory."""

    ca_pem: Path
    ca_key: Path
    platform_ca_pem: Path
    platform_ca_key: Path
    server_pem: Path
    server_key: Path
    platform_pem: Path
    platform_key: Path

    @classmethod
    def within(cls, directory: Path) -> Self:
        return cls(
            ca_pem=directory / "ca.pem",
            ca_key=directory / "ca.key",
            platform_ca_pem=directory / "platform-ca.pem",
            platform_ca_key=directory / "platform-ca.key",
            server_pem=directory / "server.pem",
            server_key=directory / "server.key",
            platform_pem=directory / "platform.pem",
            platform_key=directory / "platform.key",
        )


def load_authority(certificate: Path, key: Path) -> Authority:
    """Read a CA from its two files."""
    loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise PkiError(f"{key} does not hold an EC key")
    return Authority(
        certificate=x509.load_pem_x509_certificate(certificate.read_bytes()), key=loaded
    )


def device_authority(directory: Path) -> Authority:
    """The CA that signs devices and servers, from the PKI directory."""
    paths = PkiPaths.within(directory)
    return load_authority(paths.ca_pem, paths.ca_key)


def ensure_pki(directory: Path, *, now: datetime, names: Iterable[str] = ()) -> PkiPaths:
    """Make what is missing in ``directory`` and renew what ends soon; return the paths.

    Running it again changes nothing that is still good. The key of a pair is written before its
    certificate, so a power failure between the two leaves a pair that is made anew.
    """
    paths = PkiPaths.within(directory)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    device_ca = _ensure_authority("souk device CA", paths.ca_pem, paths.ca_key, now=now)
    platform_ca = _ensure_authority(
        "souk platform CA", paths.platform_ca_pem, paths.platform_ca_key, now=now
    )
    wanted = (*default_server_names(), *names)
    if _needs_renewal(paths.server_pem, paths.server_key, device_ca, now=now, names=wanted):
        pair = issue(device_ca, wanted[0], now=now, server_names=wanted)
        _write_pair(pair, paths.server_pem, paths.server_key)
    if _needs_renewal(paths.platform_pem, paths.platform_key, platform_ca, now=now):
        pair = issue(platform_ca, PLATFORM_CN, now=now)
        _write_pair(pair, paths.platform_pem, paths.platform_key)
    return paths


def default_server_names() -> tuple[str, ...]:
    """Names under which a server of this machine is reached."""
    host = socket.gethostname()
    return tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", host)))


def _ensure_authority(name: str, certificate: Path, key: Path, *, now: datetime) -> Authority:
    if certificate.exists() and key.exists():
        return load_authority(certificate, key)
    made = create_authority(name, now=now)
    _write_pair(Pair(certificate_pem=made.pem, key_pem=key_pem(made.key)), certificate, key)
    return made


def _needs_renewal(
    certificate: Path, key: Path, authority: Authority, *, now: datetime, names: Iterable[str] = ()
) -> bool:
    if not (certificate.exists() and key.exists()):
        return True
    held = x509.load_pem_x509_certificate(certificate.read_bytes())
    if held.not_valid_after_utc - now < RENEW_SERVER_WITHIN:
        return True
    try:
        held.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return True
    private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    if private.public_key() != held.public_key():
        return True
    return not set(names) <= set(_server_names(held))


def _server_names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    names = found.get_values_for_type(x509.DNSName)
    return [*names, *(str(ip) for ip in found.get_values_for_type(x509.IPAddress))]


def _write_pair(pair: Pair, certificate: Path, key: Path) -> None:
    _write(key, pair.key_pem, mode=PRIVATE)
    _write(certificate, pair.certificate_pem, mode=PUBLIC)


def _write(path: Path, text: str, *, mode: int) -> None:
    """Replace ``path`` in one step; its mode is right from the first byte on."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        os.fchmod(handle, mode)
        file.write(text)
        file.flush()
        os.fsync(handle)
    Path(temporary).replace(path)
