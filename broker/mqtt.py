"""The platform's connection to the MQTT server: mutual TLS, a session that outlives the process.

paho runs its loop in a thread of its own. What arrives goes to ``on_message`` in that thread and
is acknowledged to the server only by ``ack``, once its effect is committed: what a killed process
had not finished, the server delivers again.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

KEEPALIVE_S = 20
RECONNECT_MAX_S = 5
INFLIGHT_MAX = 1_000
QUEUED_MAX = 100_000  # messages that wait here while the server is away


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A message, and what is needed to acknowledge it."""

    topic: str
    payload: bytes
    retained: bool
    mid: int
    qos: int
    connection: int  # number of the connection that it came over


class Link:
    """One client; ``start`` returns at once and connecting is tried until it works."""

    def __init__(
        self,
        url: str,
        tls: tuple[Path, Path, Path],
        *,
        client_id: str,
        subscriptions: tuple[str, ...] = (),
        on_message: Callable[[Arrived], None] | None = None,
        on_connect: Callable[[], None] | None = None,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "localhost", parts.port or 8883)
        self._subscriptions = subscriptions
        self._handle, self._greet = on_message, on_connect
        self._connection = 0
        self.connected = threading.Event()
        self._paho = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=not subscriptions,  # a session is kept for what is to be received
            manual_ack=True,
        )
        self._paho.tls_set_context(_context(tls))
        self._paho.max_inflight_messages_set(INFLIGHT_MAX)
        self._paho.max_queued_messages_set(QUEUED_MAX)
        self._paho.reconnect_delay_set(1, RECONNECT_MAX_S)
        self._paho.on_connect = self._on_connect
        self._paho.on_disconnect = self._on_disconnect
        self._paho.on_message = self._on_message
        self._paho.on_socket_open = _no_delay
        if will is not None:
            self._paho.will_set(will[0], will[1], qos=1, retain=True)

    def start(self) -> None:
        """Begin connecting, in a thread."""
        self._paho.connect_async(*self._address, keepalive=KEEPALIVE_S)
        self._paho.loop_start()

    def stop(self) -> None:
        """Disconnect orderly; the session stays on the server."""
        self._paho.disconnect()
        self._paho.loop_stop()

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1
    ) -> mqtt.MQTTMessageInfo:
        """Send, now or when the server is back; what the queue cannot hold is lost."""
        return self._paho.publish(topic, payload, qos=qos, retain=retain)

    def ack(self, message: Arrived) -> None:
        """Tell the server that ``message`` is done with, unless it came over a connection that is
        gone: then it will come again."""
        if message.qos and message.connection == self._connection:
            self._paho.ack(message.mid, message.qos)

    def _on_connect(self, client: mqtt.Client, *details: Any) -> None:
        reason = details[2]
        if reason.is_failure:
            return
        self._connection += 1
        for topic in self._subscriptions:
            client.subscribe(topic, qos=1)
        self.connected.set()
        if self._greet is not None:
            self._greet()

    def _on_disconnect(self, *_details: Any) -> None:
        self.connected.clear()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if self._handle is not None:
            self._handle(
                Arrived(
                    topic=message.topic,
                    payload=bytes(message.payload),
                    retained=message.retain,
                    mid=message.mid,
                    qos=message.qos,
                    connection=self._connection,
                )
            )


def _context(tls: tuple[Path, Path, Path]) -> ssl.SSLContext:
    ca, certificate, key = tls
    context = ssl.create_default_context(cafile=str(ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def _no_delay(_client: mqtt.Client, _data: Any, opened: Any) -> None:
    """Small messages go out at once: with Nagle's algorithm a reply waits 40 ms for an ACK."""
    with contextlib.suppress(OSError, AttributeError):
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
