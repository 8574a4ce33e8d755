"""The topics of the protocol, version 1: ``souk/v1/n/{node}/up|down/{type}``."""

import re
from typing import Literal

Direction = Literal["up", "down"]

PREFIX = "souk/v1"
CONTROL_STATE = f"{PREFIX}/control/state"

_NODE_TOPIC = re.compile(rf"{PREFIX}/n/(node_[0-9a-f]{{32}})/(up|down)/([a-z]+)")


def up_topic(node: str, message_type: str) -> str:
    """Where ``node`` writes."""
    return f"{PREFIX}/n/{node}/up/{message_type}"


def down_topic(node: str, message_type: str) -> str:
    """Where the control plane writes to ``node``; the node subscribes to ``down/#``."""
    return f"{PREFIX}/n/{node}/down/{message_type}"


def up_filter(node: str = "+") -> str:
    """The subscription that sees all that nodes (or one node) write."""
    return f"{PREFIX}/n/{node}/up/#"


def parse_topic(topic: str) -> tuple[str, Direction, str] | None:
    """``(node, direction, type)`` of a node's topic, None for any other topic."""
    match = _NODE_TOPIC.fullmatch(topic)
    if match is None:
        return None
    node, direction, message_type = match.groups()
    return node, "up" if direction == "up" else "down", message_type
