"""Gathers arrived messages to batches: at once when idle, in company when busy.

A lone message is worked on at once. While messages keep coming, each batch waits about as long for
company as the last one took to be written, so the process spends half its time at most in the
database, whatever the load.
"""

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from broker.mqtt import Arrived

BATCH_MAX = 1_000
WAITING_MAX = 50_000
GATHER_MIN_S = 0.002
GATHER_MAX_S = 0.020
IDLE_AFTER_S = 0.030  # without a batch for so long, the next message need not wait for company


@dataclass(slots=True)
class Gatherer:
    """A bounded queue between paho's thread, which waits when it is full, and the worker."""

    clock: Callable[[], float] = time.monotonic
    _waiting: "queue.Queue[Arrived]" = field(default_factory=lambda: queue.Queue(WAITING_MAX))
    _took_s: float = 0.0
    _ended: float = 0.0

    def put(self, message: Arrived) -> None:
        """Add a message; blocks while the queue is full, which slows the MQTT server down."""
        self._waiting.put(message)

    def take(self, *, timeout_s: float) -> list[Arrived]:
        """The next batch; [] if nothing came within ``timeout_s``."""
        try:
            batch = [self._waiting.get(timeout=timeout_s)]
        except queue.Empty:
            return []
        began = self.clock()
        busy = began - self._ended < IDLE_AFTER_S
        until = began + (min(max(self._took_s, GATHER_MIN_S), GATHER_MAX_S) if busy else 0.0)
        while len(batch) < BATCH_MAX:
            try:
                batch.append(self._waiting.get(timeout=max(0.0, until - self.clock())))
            except queue.Empty:
                break
        return batch

    def done(self, began: float) -> None:
        """The batch that was begun at ``began`` has been written."""
        self._ended = self.clock()
        self._took_s = self._ended - began

    @property
    def waiting(self) -> int:
        return self._waiting.qsize()
