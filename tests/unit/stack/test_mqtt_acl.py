"""The rule of topics, case by case."""

import pytest

from stack.mqtt_acl import is_node, may_read, may_write, mosquitto_nodes_acl

A = "node_a"
PLATFORM = "souk-platform"


@pytest.mark.parametrize(
    ("identity", "topic", "allowed"),
    [
        (A, "souk/v1/n/node_a/up/state", True),
        (A, "souk/v1/n/node_a/up/", True),
        (A, "souk/v1/n/node_a/up", False),  # not below up/
        (A, "souk/v1/n/node_a/upper/state", False),
        (A, "souk/v1/n/node_ab/up/state", False),  # another whose id begins alike
        (A, "souk/v1/n/node_b/up/state", False),
        (A, "souk/v1/n/node_a/down/assign", False),
        (A, "souk/v1/control/state", False),
        (PLATFORM, "souk/v1/n/node_a/down/assign", True),
        ("", "souk/v1/n//up/state", False),
        ("localhost", "souk/v1/n/localhost/up/state", False),  # a certificate that is no node's
    ],
)
def test_writing(identity: str, topic: str, allowed: bool) -> None:
    assert may_write(identity, topic) is allowed


@pytest.mark.parametrize(
    ("identity", "topic_filter", "allowed"),
    [
        (A, "souk/v1/n/node_a/down/#", True),
        (A, "souk/v1/n/node_a/down/assign", True),
        (A, "souk/v1/control/state", True),
        (A, "souk/v1/n/+/down/#", False),
        (A, "souk/v1/n/#", False),
        (A, "souk/v1/n/node_b/down/#", False),
        (A, "souk/v1/n/node_a/up/#", False),
        (A, "#", False),
        (A, "$share/g/souk/v1/n/node_b/down/#", False),
        (A, "$SYS/#", False),
        (PLATFORM, "#", True),
    ],
)
def test_reading(identity: str, topic_filter: str, allowed: bool) -> None:
    assert may_read(identity, topic_filter) is allowed


@pytest.mark.parametrize("name", ["node_+", "node_#", "node_a/b", "node a", "node_a\nuser x"])
def test_name_that_an_acl_would_misread_is_no_node(name: str) -> None:
    assert not is_node(name)
    assert name not in mosquitto_nodes_acl([name])


def test_denials_stand_before_permissions() -> None:
    text = mosquitto_nodes_acl(["node_bad"])
    assert text.index("user node_bad\ntopic deny #") < text.index("pattern write")
