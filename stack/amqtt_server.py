"""The embedded MQTT server for machines without mosquitto: amqtt with our identity rules.

``python -m stack.amqtt_server --pki DIR --port N --platform-port N --revoked FILE`` serves MQTT
3.1.1 until SIGTERM. amqtt by itself asks for certificates only optionally, lets a client use any
client id and any will, sends a new client all retained messages that *anybody* subscribed to, never
notices a silent client, and loses messages while others subscribe; each override
below mends one of these. It keeps nothing on disk: the wire needs no memory of it.
"""

import argparse
import asyncio
import contextlib
import logging
import math
import signal
import ssl
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import amqtt.broker
from amqtt.adapters import ReaderAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig
from amqtt.errors import MQTTError
from amqtt.mqtt.connack import NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.publish import PublishPacket
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from broker.services.pki import PLATFORM_CN
from broker.services.pki_files import PkiPaths
from stack.mosquitto_config import MESSAGE_BYTES_MAX
from stack.mqtt_acl import SHARED, is_node, may_read, may_write

PLATFORM_LISTENER = "platform"
KEEPALIVE_FACTOR = 1.5  # MQTT 3.1.1 section 3.1.2.10
REVOKED_POLL_S = 0.5

log = logging.getLogger("souk.amqtt")


class CertificatePlugin(BaseAuthPlugin, BaseTopicPlugin):  # type: ignore[misc]
    """Identity is the certificate's CN; what it may do is ``stack.mqtt_acl``."""

    @dataclass
    class Config:
        """No options."""

    async def authenticate(self, *, session: Session) -> bool | None:
        return bool(session.username)  # set by the handler from the certificate, or refused there

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool | None:
        identity = (session.username if session else None) or ""
        if not topic:
            return False
        return may_write(identity, topic) if action == Action.PUBLISH else may_read(identity, topic)


class _Handler(BrokerProtocolHandler):  # type: ignore[misc]
    """Takes the identity from the certificate, and ends who has been silent for too long."""

    @classmethod
    async def init_from_connect(
        cls, reader: ReaderAdapter, writer: WriterAdapter, *args: Any, **kwargs: Any
    ) -> tuple["_Handler", Session]:
        handler, session = await super().init_from_connect(reader, writer, *args, **kwargs)
        identity = _common_name(writer.get_ssl_info())
        if not _admitted(identity, session):
            await ConnackPacket.build(0, NOT_AUTHORIZED).to_stream(writer)
            raise MQTTError(f"{identity!r} is not admitted, or its will is not its own")
        session.username = identity
        if is_node(identity):
            session.client_id = identity
        session.keep_alive = math.ceil(session.keep_alive * KEEPALIVE_FACTOR)
        return handler, session

    async def handle_publish(self, publish_packet: PublishPacket) -> None:
        if len(publish_packet.data or b"") > MESSAGE_BYTES_MAX:
            await self.handle_connection_closed()  # as mosquitto does
        else:
            await super().handle_publish(publish_packet)

    def handle_read_timeout(self) -> None:
        self._closing = asyncio.ensure_future(self.handle_connection_closed())


class TlsBroker(Broker):  # type: ignore[misc]
    """amqtt's broker with required client certificates and without its leaks."""

    revoked: frozenset[str] = frozenset()

    @staticmethod
    def _create_ssl_context(listener: ListenerConfig) -> ssl.SSLContext:
        context: ssl.SSLContext = Broker._create_ssl_context(listener)
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    async def _authenticate(self, session: Session, listener: ListenerConfig) -> bool:
        is_platform = listener is self.listeners_config[PLATFORM_LISTENER]
        if is_platform != (session.username == PLATFORM_CN) or session.username in self.revoked:
            return False
        return bool(await super()._authenticate(session, listener))

    async def _delete_session(self, client_id: str) -> None:
        """End the connection of a session that another connection replaces."""
        await self._close(client_id)
        await super()._delete_session(client_id)

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        """As amqtt's; a shared subscription is a plain one here, where one process ingests."""
        topic_filter, qos = subscription
        return int(await super().add_subscription((_unshared(topic_filter), qos), session))

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        subscribers = self.subscriptions.get(subscription[0], ())
        if any(each.client_id == session.client_id for each, _ in subscribers):
            await super()._publish_retained_messages_for_subscription(subscription, session)

    async def _run_broadcast(self, running: deque[asyncio.Task[Any]]) -> None:
        """Send the next message to who may read it and is connected.

        amqtt awaits while it walks its table of subscriptions, so a message is lost when anybody
        subscribes meanwhile, and it keeps messages for absent clients without bound.
        """
        message = await self._broadcast_queue.get()
        topic = message["topic"]
        subscriptions = [
            each
            for topic_filter, found in self._subscriptions.items()
            if self._matches(topic, topic_filter)
            for each in found
        ]
        for session, qos in subscriptions:
            handler = self._get_handler(session)
            if handler and session.transitions.is_connected() and may_read(session.username, topic):
                chosen = message.get("qos", qos)
                sending = handler.mqtt_publish(topic, message["data"], chosen, retain=False)
                running.append(asyncio.ensure_future(sending))

    async def revoke(self, nodes: frozenset[str]) -> None:
        """Refuse ``nodes`` from now on and end their connections."""
        self.revoked = nodes
        for node in nodes & self.sessions.keys():
            await self._close(node)

    async def _close(self, client_id: str) -> None:
        _, handler = self.sessions.get(client_id, (None, None))
        if handler is not None:
            await handler.handle_connection_closed()
            await handler.stop()


def _common_name(peer: ssl.SSLObject | None) -> str:
    certificate = peer.getpeercert() if peer else None
    subject: Any = (certificate or {}).get("subject", ())
    parts = dict(part for each in subject for part in each)
    return str(parts.get("commonName", ""))


def _admitted(identity: str, session: Session) -> bool:
    if identity != PLATFORM_CN and not is_node(identity):
        return False
    return not session.will_flag or may_write(identity, session.will_topic or "")


def _unshared(topic_filter: str) -> str:
    return topic_filter.split("/", 2)[2] if topic_filter.startswith(SHARED) else topic_filter


def _listener(host: str, port: int, pki: PkiPaths, ca: Path) -> ListenerConfig:
    return ListenerConfig(
        bind=f"{host}:{port}",
        max_connections=-1,
        ssl=True,
        cafile=ca,
        certfile=pki.server_pem,
        keyfile=pki.server_key,
    )


def configuration(pki: PkiPaths, *, host: str, port: int, platform_port: int) -> BrokerConfig:
    """Two listeners: for devices (amqtt insists on the name ``default``) and for the platform."""
    return BrokerConfig(
        listeners={
            "default": _listener(host, port, pki, pki.ca_pem),
            PLATFORM_LISTENER: _listener("127.0.0.1", platform_port, pki, pki.platform_ca_pem),
        },
        plugins={f"{CertificatePlugin.__module__}.{CertificatePlugin.__name__}": {}},
    )


async def serve(config: BrokerConfig, *, revoked_file: Path) -> None:
    """Serve until SIGTERM or SIGINT, following the list of revoked nodes in ``revoked_file``."""
    amqtt.broker.BrokerProtocolHandler = _Handler  # amqtt has no other way to choose it
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    server = TlsBroker(config)
    await server.start()
    log.info("ready")
    while not ended.is_set():
        nodes = read_revoked(revoked_file)
        if nodes != server.revoked:
            await server.revoke(nodes)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), REVOKED_POLL_S)
    await server.shutdown()


def read_revoked(path: Path) -> frozenset[str]:
    """Node ids, one a line; none if there is no such file."""
    try:
        return frozenset(path.read_text().split())
    except OSError:
        return frozenset()


def main() -> None:
    parser = argparse.ArgumentParser(description="MQTT 3.1.1 server with mutual TLS")
    parser.add_argument("--pki", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--platform-port", type=int, required=True)
    parser.add_argument("--revoked", type=Path, required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)
    config = configuration(
        PkiPaths.within(given.pki),
        host=given.host,
        port=given.port,
        platform_port=given.platform_port,
    )
    asyncio.run(serve(config, revoked_file=given.revoked))


if __name__ == "__main__":
    main()
