"""What the platform needs of an MQTT server, on each one that it starts."""

import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from broker.services import pki
from stack.mosquitto_config import MESSAGE_BYTES_MAX
from stack.mqtt_server import MqttServer, ephemeral_mqtt
from stack.processes import find_process

from .mqtt_clients import Client, Identity, clients, device_identity

A, B = "node_a", "node_b"
UP_A, UP_B = f"souk/v1/n/{A}/up", f"souk/v1/n/{B}/up"
DOWN_A, DOWN_B = f"souk/v1/n/{A}/down", f"souk/v1/n/{B}/down"
Connect = Callable[..., Client]


@pytest.fixture(scope="module", params=["mosquitto", "amqtt"])
def server(request):
    with ephemeral_mqtt(request.param) as started:
        yield started


@pytest.fixture
def connect(server: MqttServer, tmp_path: Path):
    with clients() as opened:

        def open_client(name: str, **options) -> Client:
            identity = device_identity(server.pki, tmp_path, name)
            client = Client(server.public_url, server.pki.ca_pem, identity, **options)
            opened.append(client)
            return client

        yield open_client


@pytest.fixture
def platform(server: MqttServer):
    identity = Identity(certificate=server.pki.platform_pem, key=server.pki.platform_key)
    client = Client(server.url, server.pki.ca_pem, identity).wait_connected()
    yield client
    client.close()


def handshake_refused(url: str, ca: Path, identity: Identity | None) -> bool:
    """Whether the server ends a TLS connection before it answers a CONNECT (TLS 1.3 ends late)."""
    context = ssl.create_default_context(cafile=str(ca))
    if identity:
        context.load_cert_chain(identity.certificate, identity.key)
    parts = urlsplit(url)
    connect_packet = bytes.fromhex("100d00044d5154540402003c00017a")
    try:
        with (
            socket.create_connection((parts.hostname, parts.port), timeout=5) as raw,
            context.wrap_socket(raw, server_hostname=parts.hostname) as secured,
        ):
            secured.sendall(connect_packet)
            return secured.recv(4) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def test_qos_1_round_trip_both_ways(connect: Connect, platform: Client) -> None:
    node = connect(A).wait_connected()
    platform.subscribe("souk/v1/n/+/up/#")
    node.subscribe(f"{DOWN_A}/#")
    node.publish(f"{UP_A}/state", "s")
    assert platform.next() == (f"{UP_A}/state", "s")
    platform.publish(f"{DOWN_A}/assign", "work")
    assert node.next() == (f"{DOWN_A}/assign", "work")


def test_burst_at_qos_1_arrives_whole_and_in_order(connect: Connect, platform: Client) -> None:
    node = connect(A).wait_connected()
    platform.subscribe(f"{UP_A}/#")
    last = [node.paho.publish(f"{UP_A}/attempt", str(i), qos=1) for i in range(3_000)][-1]
    last.wait_for_publish(30)
    assert [platform.next()[1] for _ in range(3_000)] == [str(i) for i in range(3_000)]


def test_no_message_is_lost_while_others_come_and_go(connect: Connect, platform: Client) -> None:
    node = connect(A).wait_connected()
    platform.subscribe(f"{UP_A}/#")
    last = [node.paho.publish(f"{UP_A}/attempt", str(i), qos=1) for i in range(2_000)][-1]
    for index in range(5):
        other = connect(f"node_{index}").wait_connected()
        other.subscribe(f"souk/v1/n/node_{index}/down/#")
        other.paho.disconnect()
    last.wait_for_publish(30)
    assert [platform.next()[1] for _ in range(2_000)] == [str(i) for i in range(2_000)]


def test_shared_subscription_is_served(connect: Connect, platform: Client) -> None:
    node = connect(A).wait_connected()
    platform.subscribe("$share/ingest/souk/v1/n/+/up/#")
    node.publish(f"{UP_A}/state", "s")
    assert platform.next() == (f"{UP_A}/state", "s")


@pytest.mark.parametrize("listener", ["url", "public_url"])
def test_client_without_certificate_is_refused(server: MqttServer, listener: str) -> None:
    assert handshake_refused(getattr(server, listener), server.pki.ca_pem, None)


def test_certificate_of_a_foreign_authority_is_refused(server: MqttServer, tmp_path: Path) -> None:
    foreign = pki.create_authority("souk device CA", now=datetime.now(UTC))
    identity = device_identity(server.pki, tmp_path, A, authority=foreign)
    assert handshake_refused(server.public_url, server.pki.ca_pem, identity)


def test_expired_certificate_is_refused(server: MqttServer, tmp_path: Path) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=2)
    identity = device_identity(server.pki, tmp_path, A, now=long_ago, ttl=timedelta(days=1))
    assert handshake_refused(server.public_url, server.pki.ca_pem, identity)


def test_device_is_refused_on_the_platform_listener(server: MqttServer, tmp_path: Path) -> None:
    identity = device_identity(server.pki, tmp_path, A)
    assert handshake_refused(server.url, server.pki.ca_pem, identity)


def test_plain_connection_gets_no_answer(server: MqttServer) -> None:
    parts = urlsplit(server.public_url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as raw:
        raw.sendall(bytes.fromhex("100d00044d5154540402003c00017a"))
        raw.settimeout(5)
        try:
            answer = raw.recv(4)
        except ConnectionResetError:
            answer = b""
        assert not answer.startswith(b"\x20")  # CONNACK


def test_node_cannot_write_as_another(connect: Connect, platform: Client) -> None:
    node = connect(A).wait_connected()
    platform.subscribe("souk/v1/#")
    for topic in (f"{UP_B}/state", f"{DOWN_A}/assign", "souk/v1/control/state", "souk/v1/n/x"):
        node.publish(topic, "forged")
    node.publish(f"{UP_A}/state", "own")
    assert platform.next() == (f"{UP_A}/state", "own")
    assert platform.hears_nothing()


@pytest.mark.parametrize(
    "topic_filter", [f"{DOWN_B}/#", "souk/v1/n/+/down/#", f"{UP_B}/#", "#", "souk/v1/n/#"]
)
def test_node_cannot_read_of_another(connect: Connect, platform: Client, topic_filter: str) -> None:
    node = connect(A).wait_connected()
    node.subscribe(topic_filter)
    platform.publish(f"{DOWN_B}/assign", "secret")
    other = connect(B).wait_connected()
    other.publish(f"{UP_B}/state", "secret")
    assert node.hears_nothing()


def test_node_reads_control(connect: Connect, platform: Client) -> None:
    platform.publish("souk/v1/control/state", "online", retain=True)
    node = connect(A).wait_connected()
    node.subscribe("souk/v1/control/#")
    assert node.next() == ("souk/v1/control/state", "online")


def test_will_fires_when_the_connection_is_cut(connect: Connect, platform: Client) -> None:
    platform.subscribe("souk/v1/n/+/up/death")
    node = connect(A, will=(f"{UP_A}/death", "gone")).wait_connected()
    node.vanish()
    assert platform.next() == (f"{UP_A}/death", "gone")


def test_will_fires_when_the_node_falls_silent(connect: Connect, platform: Client) -> None:
    platform.subscribe("souk/v1/n/+/up/death")
    node = connect(A, will=(f"{UP_A}/death", "silent"), keepalive=1).wait_connected()
    node.paho.loop_stop()  # the socket stays open and nothing is sent
    assert platform.next(timeout=10) == (f"{UP_A}/death", "silent")


def test_will_on_a_topic_of_another_never_arrives(connect: Connect, platform: Client) -> None:
    platform.subscribe("souk/v1/n/+/up/death")
    node = connect(A, will=(f"{UP_B}/death", "forged"))
    node.connected.wait(5)
    node.vanish()
    assert platform.hears_nothing()


def test_retained_birth_is_given_to_who_comes_later(connect: Connect, platform: Client) -> None:
    node = connect(A).wait_connected()
    node.publish(f"{UP_A}/birth", "born", retain=True)
    platform.subscribe(f"{UP_A}/birth")
    assert platform.next() == (f"{UP_A}/birth", "born")


def test_retained_messages_of_others_do_not_leak_to_a_new_node(
    connect: Connect, platform: Client
) -> None:
    platform.subscribe("souk/v1/n/+/up/#")
    connect(B).wait_connected().publish(f"{UP_B}/birth", "private", retain=True)
    newcomer = connect(A).wait_connected()
    assert newcomer.hears_nothing()


def test_nobody_takes_over_a_node_by_its_client_id(connect: Connect, platform: Client) -> None:
    victim = connect(B, client_id=B).wait_connected()
    connect(A, client_id=B).wait_connected()
    assert not victim.lost.wait(0.5)
    platform.subscribe(f"{UP_B}/state")
    victim.publish(f"{UP_B}/state", "alive")
    assert platform.next() == (f"{UP_B}/state", "alive")


def test_second_connection_of_a_node_ends_the_first(connect: Connect) -> None:
    first = connect(A).wait_connected()
    connect(A).wait_connected()
    assert first.lost.wait(5)


def test_garbage_does_not_hurt_the_server(
    server: MqttServer, connect: Connect, tmp_path: Path
) -> None:
    identity = device_identity(server.pki, tmp_path, A)
    context = ssl.create_default_context(cafile=str(server.pki.ca_pem))
    context.load_cert_chain(identity.certificate, identity.key)
    parts = urlsplit(server.public_url)
    for junk in (b"\x00" * 64, b"\xff" * 64, b"GET / HTTP/1.1\r\n\r\n", b"\x10\xff\xff\xff\x7f"):
        with (
            socket.create_connection((parts.hostname, parts.port), timeout=5) as raw,
            context.wrap_socket(raw, server_hostname=parts.hostname) as secured,
        ):
            secured.sendall(junk)
    connect(A).wait_connected()
    assert find_process(server.process.pid)


def test_huge_message_goes_nowhere_and_its_sender_is_cut_off(
    connect: Connect, platform: Client
) -> None:
    platform.subscribe("souk/v1/n/+/up/state")
    node = connect("node_huge").wait_connected()
    node.paho.publish("souk/v1/n/node_huge/up/state", b"x" * (MESSAGE_BYTES_MAX + 100), qos=1)
    assert node.lost.wait(10)
    node.paho.disconnect()
    connect(A).wait_connected().publish(f"{UP_A}/state", "fine")
    assert platform.next() == (f"{UP_A}/state", "fine")
    assert platform.hears_nothing()


def test_revoked_node_is_cut_off_at_once(
    server: MqttServer, connect: Connect, platform: Client
) -> None:
    platform.subscribe("souk/v1/n/+/up/state")
    node = connect("node_revoked").wait_connected()
    node.publish("souk/v1/n/node_revoked/up/state", "before")
    assert platform.next()[1] == "before"
    server.set_revoked(["node_revoked"])
    server.apply_revoked(server.process.pid)
    fine = connect(A).wait_connected()
    node.lost.wait(1.5)
    node.paho.publish("souk/v1/n/node_revoked/up/state", "after", qos=1)
    assert platform.hears_nothing()
    fine.publish(f"{UP_A}/state", "fine")
    assert platform.next() == (f"{UP_A}/state", "fine")
