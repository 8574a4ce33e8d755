"""What the long-running processes share: stop by signal, the clock, readiness."""

import signal
import threading
from datetime import UTC, datetime
from types import FrameType


def utc_now() -> datetime:
    """The clock of every entry point."""
    return datetime.now(UTC)


class StopSignal:
    """Set by SIGTERM or SIGINT; the process then ends what it is at and leaves."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def listen(self) -> "StopSignal":
        """Take over both signals; from the main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        return self

    def set(self) -> None:
        self._event.set()

    def __call__(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        return self._event.wait(timeout_s)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._event.set()
