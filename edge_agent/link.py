"""The MQTT connection: mutual TLS, one client object for each connection, jittered back-off.

A new client each time means that the library holds no messages across connections: what must
arrive is in the journal, and everything else is out of date by then. The library's thread hands
all events to the loop.
"""

import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Protocol

from edge_agent import mqtt
from edge_agent.addresses import Address
from edge_agent.loop import Loop
from edge_agent.workers import Workers

KEEPALIVE_S = 30
BACKOFF_FIRST_MS = 500
BACKOFF_MAX_MS = 60_000
STEADY_MS = 5_000  # a connection that held for so long starts the back-off anew
INFLIGHT_MAX = 1_000
QUEUED_MAX = 5_000
_log = logging.getLogger("souk.link")


class LinkEvents(Protocol):
    """Who is told what the link sees; called in the loop's thread."""

    def link_up(self) -> None:
        """Connected and subscribed."""

    def link_down(self) -> None:
        """The connection broke, or one could not be made."""

    def message(self, topic: str, payload: bytes) -> None:
        """A message arrived."""


def client_context(*, ca: Path, credentials: Path) -> ssl.SSLContext:
    """Mutual TLS: trusts the platform's CA alone and shows this node's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca)
    context.load_cert_chain(credentials)
    return context


class Link:
    """Keeps one connection; all methods are called in the loop's thread."""

    def __init__(
        self,
        *,
        node: str,
        address: Address,
        context: Callable[[], ssl.SSLContext],
        will: Callable[[], tuple[str, bytes]],
        subscriptions: Sequence[str],
        events: LinkEvents,
        loop: Loop,
        random: Random,
        now: Callable[[], int],
    ) -> None:
        self._now = now
        self._node, self._address = node, address
        self._context, self._will = context, will
        self._subscriptions = subscriptions
        self._events, self._loop, self._random = events, loop, random
        self._workers = Workers(workers_max=1)
        self._client: mqtt.Client | None = None
        self._ended: mqtt.Client | None = None  # the library may report one end twice
        self._is_up = False
        self._closed = False
        self._failures = 0
        self._up_at = 0
        self._connect_at: int | None = 0
        self.last_error = ""
        self.refused_publishes = 0

    @property
    def is_up(self) -> bool:
        """Whether messages can go out."""
        return self._is_up

    def tick(self, now: int) -> None:
        """Connect when it is time to."""
        if self._connect_at is not None and now >= self._connect_at and not self._closed:
            self._connect_at = None
            will_topic, will_payload = self._will()
            self._workers.submit(lambda: self._connect(will_topic, will_payload))

    def next_wake(self) -> int | None:
        """When ``tick`` is due."""
        return self._connect_at

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> bool:
        """Send, or say that it was dropped."""
        if self._client is None or not self._is_up:
            return False
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            self.refused_publishes += 1
        return info.rc == mqtt.MQTT_ERR_SUCCESS

    def close(self, topic: str, payload: bytes, *, timeout_s: float) -> None:
        """Publish a last retained message, wait for it to arrive, and disconnect orderly."""
        self._closed = True
        client = self._client
        if client is None:
            return
        if self._is_up:
            info = client.publish(topic, payload, qos=1, retain=True)
            with contextlib.suppress(ValueError, RuntimeError):
                info.wait_for_publish(timeout_s)
        self._is_up = False
        client.disconnect()
        client.loop_stop()

    # ------------------------------------------------------------ in the worker

    def _connect(self, will_topic: str, will_payload: bytes) -> None:
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=self._node,
            clean_session=False,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(INFLIGHT_MAX)
        client.max_queued_messages_set(QUEUED_MAX)
        client.will_set(will_topic, will_payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_socket_open = _no_delay
        try:
            client.tls_set_context(self._context())
            client.connect(self._address.host, self._address.port, keepalive=KEEPALIVE_S)
        except (OSError, ValueError) as error:  # ValueError: the credentials cannot be read
            said = str(error)
            self._loop.post(lambda: self._lost(client, said))
            return
        self._loop.post(lambda: self._opened(client))
        client.loop_start()

    # ------------------------------------------------------------ in paho's thread

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            said = f"the MQTT server refused the connection: {reason}"
            self._loop.post(lambda: self._note(said))
            client.disconnect()
        else:
            client.subscribe([(topic, 1) for topic in self._subscriptions])

    def _on_subscribe(
        self, client: mqtt.Client, _data: Any, _mid: int, codes: Any, _properties: Any
    ) -> None:
        if any(code.is_failure for code in codes):
            self._loop.post(lambda: self._note("the MQTT server refused the subscription"))
            client.disconnect()
        else:
            self._loop.post(lambda: self._ready(client))

    def _on_message(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        topic, payload = message.topic, bytes(message.payload)
        self._loop.post(lambda: self._events.message(topic, payload))

    def _on_disconnect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        said = str(reason)
        self._loop.post(lambda: self._lost(client, said))

    # ------------------------------------------------------------ in the loop

    def _opened(self, client: mqtt.Client) -> None:
        self._client = client

    def _ready(self, client: mqtt.Client) -> None:
        self._client = client
        self._is_up, self._up_at, self.last_error = True, self._now(), ""
        _log.info("connected to %s:%d", self._address.host, self._address.port)
        self._events.link_up()

    def _note(self, error: str) -> None:
        self.last_error = error

    def _lost(self, client: mqtt.Client, error: str) -> None:
        is_other = self._client is not None and client is not self._client
        if self._closed or is_other or client is self._ended:
            return
        self._ended = client
        # Two agents with one identity push each other out: that must not become a race.
        if self._is_up and self._now() - self._up_at >= STEADY_MS:
            self._failures = 0
        self._is_up, self._client = False, None
        self.last_error = self.last_error or error
        delay = self._next_delay()
        _log.warning(
            "no connection to %s:%d (%s), next try in %.1f s",
            self._address.host,
            self._address.port,
            self.last_error,
            delay / 1000,
        )
        self._failures += 1
        self._events.link_down()
        self._connect_at = self._now() + delay

    def _next_delay(self) -> int:
        ceiling = min(BACKOFF_FIRST_MS << min(self._failures, 10), BACKOFF_MAX_MS)
        return self._random.randint(ceiling // 2, ceiling)


def _no_delay(_client: mqtt.Client, _data: Any, sock: Any) -> None:
    """Small messages go out at once: Nagle's algorithm costs 40 ms on each answered one."""
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
