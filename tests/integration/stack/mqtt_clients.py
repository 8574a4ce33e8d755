"""Paho clients and certificates for tests against a real MQTT server."""

import queue
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from broker.services import pki
from broker.services.pki_files import PkiPaths, device_authority

WAIT_S = 5.0
SILENCE_S = 0.6  # how long a message that must not come is waited for


@dataclass(frozen=True)
class Identity:
    certificate: Path
    key: Path


def device_identity(
    paths: PkiPaths,
    folder: Path,
    name: str,
    *,
    authority: pki.Authority | None = None,
    now: datetime | None = None,
    ttl: timedelta = timedelta(days=1),
) -> Identity:
    pair = pki.issue(
        authority or device_authority(paths.ca_pem.parent),
        name,
        now=now or datetime.now(UTC),
        ttl=ttl,
    )
    files = Identity(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
    files.certificate.write_text(pair.certificate_pem)
    files.key.write_text(pair.key_pem)
    return files


class Client:
    """A connected client: its messages in ``inbox``, the outcome of connecting in ``refused``."""

    def __init__(self, url: str, ca: Path, identity: Identity | None, **options) -> None:
        will = options.pop("will", None)
        keepalive = options.pop("keepalive", 30)
        self.inbox: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
        self.connected = threading.Event()
        self.lost = threading.Event()
        self.subscribed = threading.Event()
        self.paho = mqtt.Client(CallbackAPIVersion.VERSION2, **options)
        context = ssl.create_default_context(cafile=str(ca))
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        self.paho.tls_set_context(context)
        if will:
            self.paho.will_set(*will[:2], qos=1, retain=len(will) > 2 and will[2])
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = lambda *_: self.lost.set()
        self.paho.on_subscribe = lambda *_: self.subscribed.set()
        self.paho.on_message = lambda _c, _u, message: self.inbox.put(message)
        self.refused: str | None = None
        parts = urlsplit(url)
        self.paho.connect(parts.hostname, parts.port, keepalive=keepalive)
        self.paho.loop_start()

    def _on_connect(self, _client, _user, _flags, reason, _properties) -> None:
        if reason.is_failure:
            self.refused = str(reason)
        self.connected.set()

    def wait_connected(self) -> "Client":
        assert self.connected.wait(WAIT_S), "no CONNACK"
        assert self.refused is None, self.refused
        return self

    def subscribe(self, topic: str, qos: int = 1) -> None:
        self.subscribed.clear()
        self.paho.subscribe(topic, qos)
        assert self.subscribed.wait(WAIT_S), "no SUBACK"

    def publish(self, topic: str, payload: str, *, qos: int = 1, retain: bool = False) -> None:
        self.paho.publish(topic, payload, qos=qos, retain=retain).wait_for_publish(WAIT_S)

    def next(self, timeout: float = WAIT_S) -> tuple[str, str]:
        message = self.inbox.get(timeout=timeout)
        return message.topic, message.payload.decode()

    def hears_nothing(self) -> bool:
        try:
            self.inbox.get(timeout=SILENCE_S)
        except queue.Empty:
            return True
        return False

    def vanish(self) -> None:
        """Cut the connection without a DISCONNECT."""
        self.paho.on_disconnect = None
        self.paho._sock_close()
        self.paho.loop_stop()

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()
        self.paho._sock_close()


@contextmanager
def clients() -> Iterator[list[Client]]:
    """A list whose clients are closed at the end."""
    opened: list[Client] = []
    try:
        yield opened
    finally:
        for client in opened:
            client.close()
