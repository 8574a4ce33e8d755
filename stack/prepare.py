"""``python -m stack.prepare``: the keys of a home, for containers, where no ``souk up`` makes them.

``--mqtt-tls DIR`` also copies there what an MQTT server in another container needs, and no more:
the keys of the certificate authorities stay at home.
"""

import argparse
import shutil
from datetime import UTC, datetime
from pathlib import Path

from broker.services.pki_files import PkiPaths, ensure_pki
from broker.settings import get_settings
from stack.home import Home
from stack.plan import ensure_secret, public_names


def prepare(mqtt_tls: Path | None) -> None:
    """Make what is missing, renew what ends soon."""
    settings = get_settings()
    Home(settings.home).make()
    pki = ensure_pki(settings.pki, now=datetime.now(UTC), names=public_names(settings))
    ensure_secret(settings.secret_path)
    if mqtt_tls is not None:
        export(pki, mqtt_tls)


def export(pki: PkiPaths, directory: Path) -> None:
    """Copy the MQTT server's certificate and key, and the certificates of both authorities."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in (pki.ca_pem, pki.platform_ca_pem, pki.server_pem, pki.server_key):
        temporary = directory / f".{path.name}"
        shutil.copy2(path, temporary)
        temporary.replace(directory / path.name)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the keys and certificates of a home.")
    parser.add_argument("--mqtt-tls", type=Path, help="copy the MQTT server's TLS files there")
    prepare(parser.parse_args().mqtt_tls)


if __name__ == "__main__":
    main()
