"""How a process tells whoever started it that it is ready, and that it is still alive.

The contract: touch the file named by ``SOUK_READY_FILE`` when ready to work and at least every five
seconds after. No such setting, no file.
"""

import threading
from pathlib import Path

from broker.settings import Settings, get_settings

TOUCH_EVERY_S = 2.0


def mark_ready(settings: Settings | None = None) -> None:
    """Touch the ready file once; call it from the loop whose liveness is to be shown."""
    path = (settings or get_settings()).ready_file
    if path is not None:
        Path(path).touch()


class ReadyThread(threading.Thread):
    """Touches the ready file until stopped, for a process whose main loop is not ours."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(name="ready-file", daemon=True)
        self._settings = settings or get_settings()
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            mark_ready(self._settings)
            self._ended.wait(TOUCH_EVERY_S)

    def stop(self) -> None:
        self._ended.set()
