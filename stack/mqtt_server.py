"""Our own MQTT server, mosquitto or the embedded amqtt: its command, its start, its revocations.

Both serve devices on one port and the platform on another, with mutual TLS on each; there is no
plain listener. Revocation is by a list of node ids (``revoked`` in the server's directory): amqtt
ends their connections; mosquitto, told by SIGHUP, denies them every topic from that moment on.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from broker.services.pki_files import PkiPaths, ensure_pki
from stack import mosquitto_config
from stack.mqtt_acl import mosquitto_nodes_acl, mosquitto_platform_acl
from stack.processes import accepts_connections, find_process, free_port, spawn, stop, wait_until

Kind = Literal["mosquitto", "amqtt"]
LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 20.0
STOP_GRACE_S = 5.0


class MqttFailed(Exception):
    """The MQTT server did not start; the text ends with the last lines of its log."""


def mosquitto_program() -> str | None:
    """Path of mosquitto; Debian keeps it where a normal user's PATH does not look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def choose_kind(wanted: str = "auto") -> Kind:
    """The server to start. Raises ``MqttFailed`` if mosquitto is wanted and is not installed."""
    if wanted == "amqtt" or (wanted == "auto" and mosquitto_program() is None):
        return "amqtt"
    if mosquitto_program() is None:
        raise MqttFailed("mosquitto is not installed: install the package `mosquitto`")
    return "mosquitto"


@dataclass(slots=True, kw_only=True)
class MqttServer:
    """One server that keeps its files in ``directory``."""

    kind: Kind
    directory: Path
    pki: PkiPaths
    port: int
    platform_port: int
    log_file: Path
    host: str = LOOPBACK
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For the platform's own processes."""
        return f"mqtts://{LOOPBACK}:{self.platform_port}"

    @property
    def public_url(self) -> str:
        """For devices on this machine."""
        return f"mqtts://{LOOPBACK if self.host in {'0.0.0.0', ''} else self.host}:{self.port}"  # noqa: S104

    @property
    def ready(self) -> bool:
        return accepts_connections(LOOPBACK, self.platform_port)

    def prepare(self) -> list[str]:
        """Write the server's files and return the command line that runs it."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.kind == "amqtt":
            return self._amqtt_command()
        self._write_acl()
        config = self.directory / "mosquitto.conf"
        config.write_text(
            mosquitto_config.render(
                pki=self.pki,
                data=self.directory,
                host=self.host,
                port=self.port,
                platform_host=LOOPBACK,
                platform_port=self.platform_port,
                nodes_acl=self.directory / "nodes.acl",
                platform_acl=self.directory / "platform.acl",
                user="root" if os.geteuid() == 0 else None,
            )
        )
        return [mosquitto_program() or "mosquitto", "-c", str(config)]

    def start(self) -> None:
        """Start and wait until connections are taken. Raises ``MqttFailed``."""
        command = self.prepare()
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self.process = spawn(command, output=log, cwd=_CHECKOUT)
        started = self.process
        wait_until(lambda: self.ready or started.poll() is not None, timeout_s=START_TIMEOUT_S)
        if not self.ready:
            self.stop()
            tail = self.log_file.read_text(errors="replace").splitlines()[-10:]
            raise MqttFailed("\n".join([f"{self.kind} did not start:", *tail]))

    def stop(self) -> None:
        """End the server; mosquitto saves retained messages first."""
        if self.process is None:
            return
        if running := find_process(self.process.pid):
            stop(running, number=signal.SIGTERM, grace_s=STOP_GRACE_S)
        self.process.wait()
        self.process = None

    def set_revoked(self, nodes: Iterable[str]) -> None:
        """Write the list of revoked nodes; ``apply_revoked`` makes it effective."""
        temporary = self.revoked_file.with_suffix(".new")
        temporary.write_text("".join(f"{node}\n" for node in sorted(nodes)))
        temporary.replace(self.revoked_file)

    def apply_revoked(self, pid: int) -> None:
        """Make the list of revoked nodes effective on the running server ``pid``."""
        if self.kind == "mosquitto":
            self._write_acl()
            os.kill(pid, signal.SIGHUP)

    @property
    def revoked_file(self) -> Path:
        return self.directory / "revoked"

    def _write_acl(self) -> None:
        revoked = self.revoked_file.read_text().split() if self.revoked_file.exists() else []
        (self.directory / "nodes.acl").write_text(mosquitto_nodes_acl(revoked))
        (self.directory / "platform.acl").write_text(mosquitto_platform_acl())

    def _amqtt_command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "stack.amqtt_server", "--pki", str(self.pki.ca_pem.parent)),
            *("--host", self.host, "--port", str(self.port)),
            *("--platform-port", str(self.platform_port), "--revoked", str(self.revoked_file)),
        ]


_CHECKOUT = Path(__file__).parent.parent


@contextmanager
def ephemeral_mqtt(kind: Kind | None = None) -> Iterator[MqttServer]:
    """A server with a PKI of its own in a temporary directory, gone at the end.

    The platform connects to ``url`` with ``pki.platform_pem`` and ``pki.platform_key``; a device
    to ``public_url`` with a certificate that ``broker.services.pki`` signed; both trust ``ca_pem``.
    """
    with tempfile.TemporaryDirectory(prefix="souk-mqtt-") as name:
        directory = Path(name)
        server = MqttServer(
            kind=kind or choose_kind(),
            directory=directory / "mqtt",
            pki=ensure_pki(directory / "pki", now=datetime.now(UTC)),
            port=free_port(),
            platform_port=free_port(),
            log_file=directory / "mqtt.log",
        )
        try:
            server.start()
            yield server
        finally:
            server.stop()
