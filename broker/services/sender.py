"""Puts messages to nodes on the wire: envelope, count and topic in one place."""

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from edge_agent.wire import Envelope, down_topic, encode
from edge_agent.wire.messages import Message


class Publisher(Protocol):
    """What a sender needs of an MQTT connection."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> Any:
        """Send now, or when there is a connection again."""
        ...


@dataclass(slots=True, kw_only=True)
class Sender:
    """Sends to nodes as one boot of the control plane; ``epoch`` orders the boots."""

    publisher: Publisher
    epoch: int
    clock: Callable[[], datetime]
    _count: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, node: str, message: Message) -> Any:
        """Publish ``message`` to ``node``; returns what the publisher returns."""
        return self.publisher.publish(
            down_topic(node, message.TYPE), encode(self.envelope(node, message))
        )

    def envelope(self, node: str, message: Message) -> Envelope:
        """``message`` with the next number of this boot."""
        with self._lock:
            number = next(self._count)
        at = int(self.clock().timestamp() * 1000)
        return Envelope(node=node, boot=self.epoch, seq=number, at=at, data=message)
