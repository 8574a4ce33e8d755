"""A small event loop: sockets, and calls posted from other threads. Asleep when nothing happens."""

import contextlib
import selectors
import signal
import socket
from collections import deque
from collections.abc import Callable

Callback = Callable[[], None]


class Loop:
    """Runs callbacks in the thread that calls ``run_once``."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._posted: deque[Callback] = deque()
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, self._drain)

    def close(self) -> None:
        """Release the loop's own sockets."""
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def post(self, callback: Callback) -> None:
        """Run ``callback`` soon in the loop's thread; may be called from any thread."""
        self._posted.append(callback)
        self.wake()

    def wake(self) -> None:
        """End the current sleep; may be called from any thread and from signal handlers."""
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes as well
            self._wake_out.send(b"\x00")

    def wake_on_signals(self) -> None:
        """Let a Python signal handler run at once instead of at the next event."""
        signal.set_wakeup_fd(self._wake_out.fileno(), warn_on_full_buffer=False)

    def watch(self, sock: socket.socket, on_event: Callback, *, writing: bool = False) -> None:
        """Call ``on_event`` when ``sock`` can be read, or written while ``writing``."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        if sock in self._selector.get_map():
            self._selector.modify(sock, events, on_event)
        else:
            self._selector.register(sock, events, on_event)

    def unwatch(self, sock: socket.socket) -> None:
        """Forget ``sock``."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(sock)

    def run_once(self, timeout_s: float | None) -> None:
        """Wait for events up to ``timeout_s`` (None: without end) and run their callbacks."""
        if self._posted:
            timeout_s = 0
        for key, _ in self._selector.select(timeout_s):
            key.data()
        for _ in range(len(self._posted)):
            self._posted.popleft()()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_in.recv(4096)
