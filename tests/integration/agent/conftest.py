"""One MQTT server for all tests of the agent; a control plane and an office for each."""

from collections.abc import Iterator

import pytest

from stack.mqtt_server import MqttServer, ephemeral_mqtt
from tests.integration.agent.office import Office
from tests.integration.agent.platform import ControlPlane


@pytest.fixture(scope="package")
def mqtt_server() -> Iterator[MqttServer]:
    with ephemeral_mqtt() as server:
        yield server


_nodes = iter(range(1_000_000))


@pytest.fixture
def office(mqtt_server: MqttServer) -> Iterator[Office]:
    """Every test has a node of its own, so that retained messages of others do not matter."""
    node = f"node_{next(_nodes):032x}"
    made = Office(pki=mqtt_server.pki, mqtt_url=mqtt_server.public_url, node=node)
    yield made
    made.close()


@pytest.fixture
def control(mqtt_server: MqttServer, office: Office) -> Iterator[ControlPlane]:
    made = ControlPlane(mqtt_server, office.node)
    yield made
    made.close()
