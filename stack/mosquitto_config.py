"""The mosquitto configuration that we run: two listeners, both with mutual TLS.

On the devices' listener the client id *is* the certificate's CN, so nobody can take over another's
session. The platform has several processes under one CN, so it has a listener of its own that
trusts only the platform CA. ``python -m stack.mosquitto_config`` writes the container's files into
``stack/mosquitto``.
"""

import argparse
from pathlib import Path

from broker.services.pki_files import PkiPaths
from stack.mqtt_acl import mosquitto_nodes_acl, mosquitto_platform_acl

MESSAGE_BYTES_MAX = 1 << 20
QUEUED_MESSAGES_MAX = 100_000  # the default of 1,000 drops most of a burst at QoS 1
INFLIGHT_MESSAGES_MAX = 1_000

_GENERAL = f"""\
per_listener_settings true
set_tcp_nodelay true
max_inflight_messages {INFLIGHT_MESSAGES_MAX}
max_queued_messages {QUEUED_MESSAGES_MAX}
max_packet_size {MESSAGE_BYTES_MAX}
persistent_client_expiration 1d
persistence true
autosave_interval 60
log_dest stdout
log_timestamp_format %Y-%m-%dT%H:%M:%SZ
log_type error
log_type warning
log_type notice
connection_messages false
"""


def render(
    *,
    pki: PkiPaths,
    data: Path,
    host: str,
    port: int,
    platform_host: str,
    platform_port: int,
    nodes_acl: Path,
    platform_acl: Path,
    user: str | None = None,
) -> str:
    """The text of ``mosquitto.conf``; ``user`` is whom to become when started as root."""
    general = f"{_GENERAL}persistence_location {data}/\n" + (f"user {user}\n" if user else "")
    devices = _listener(host, port, pki, ca=pki.ca_pem, acl=nodes_acl)
    platform = _listener(
        platform_host, platform_port, pki, ca=pki.platform_ca_pem, acl=platform_acl
    )
    return f"{general}\n{devices}use_username_as_clientid true\n\n{platform}"


def _listener(host: str, port: int, pki: PkiPaths, *, ca: Path, acl: Path) -> str:
    return f"""\
listener {port} {host}
cafile {ca}
certfile {pki.server_pem}
keyfile {pki.server_key}
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file {acl}
"""


IN_CONTAINER = Path("/mosquitto/config")
CONTAINER_TLS = Path("/mosquitto/tls")
CONTAINER_PORT, CONTAINER_PLATFORM_PORT = 8883, 8884


def container_files() -> dict[str, str]:
    """The files of ``stack/mosquitto`` by name."""
    everywhere = "0.0.0.0"  # noqa: S104 within the container; the ports are published by compose
    return {
        "mosquitto.conf": render(
            pki=PkiPaths.within(CONTAINER_TLS),
            data=Path("/mosquitto/data"),
            host=everywhere,
            port=CONTAINER_PORT,
            platform_host=everywhere,
            platform_port=CONTAINER_PLATFORM_PORT,
            nodes_acl=IN_CONTAINER / "nodes.acl",
            platform_acl=IN_CONTAINER / "platform.acl",
        ),
        "nodes.acl": mosquitto_nodes_acl(),
        "platform.acl": mosquitto_platform_acl(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the container's mosquitto files.")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "mosquitto")
    directory = parser.parse_args().to
    for name, text in container_files().items():
        (directory / name).write_text(text)


if __name__ == "__main__":
    main()
