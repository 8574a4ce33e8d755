"""A few threads for what blocks (transfers, renewal), started on demand, never waited for."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

WORKERS_MAX = 3


class Workers:
    """Runs calls in daemon threads, so that a hanging transfer cannot hold up the agent's end."""

    def __init__(self, *, workers_max: int = WORKERS_MAX) -> None:
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._waiting = 0
        self._workers_max = workers_max

    def submit(self, call: Callable[[], None]) -> None:
        """Run ``call`` in some thread; it must not raise."""
        with self._lock:
            if self._waiting == 0 and self._threads < self._workers_max:
                self._threads += 1
                name = f"worker-{self._threads}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
        self._queue.put(call)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._waiting += 1
            call = self._queue.get()
            with self._lock:
                self._waiting -= 1
            call()
