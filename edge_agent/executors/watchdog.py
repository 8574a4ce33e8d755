"""Ends a run at its time limit by calling back from a thread of its own.

The thread sleeps until the deadline that it knows of; a run that is over leaves the deadline to
pass without effect, so that short tasks cost no wake-up.
"""

import threading
import time
from collections.abc import Callable


class Watchdog:
    """Calls ``bark`` when the armed time has passed and ``disarm`` has not been called."""

    def __init__(self, bark: Callable[[], None]) -> None:
        self._bark = bark
        self._condition = threading.Condition()
        self._deadline: float | None = None
        self._asleep_until: float | None = None
        self.barked = False
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def arm(self, run_ms: int) -> None:
        """Start the time of a new run."""
        with self._condition:
            self.barked = False
            self._deadline = time.monotonic() + run_ms / 1000
            if self._asleep_until is None or self._deadline < self._asleep_until:
                self._condition.notify()

    def disarm(self) -> None:
        """The run is over. After this returns ``bark`` is not called for it."""
        with self._condition:
            self._deadline = None

    def _watch(self) -> None:
        with self._condition:
            while True:
                now = time.monotonic()
                if self._deadline is not None and now >= self._deadline:
                    self._deadline, self.barked = None, True
                    self._bark()  # under the lock: never for the run after
                wait = None if self._deadline is None else self._deadline - now
                self._asleep_until = self._deadline
                self._condition.wait(wait)
