"""The platform in the background: started, followed while it comes up, stopped.

Apart from ``stack.up``, whose imports a program need not wait for while the platform itself starts.
"""

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from broker.home import default_home
from stack.checkout import CHECKOUT, python
from stack.home import Home, State
from stack.processes import find_process, stop, wait_until

START_TIMEOUT_S = 300.0
DOWN_TIMEOUT_S = 90.0
POLL_S = 0.05


class UpFailed(Exception):
    """The platform could not start; the text says why and what to do."""


class AlreadyRunning(Exception):
    """Another supervisor holds the home; ``state`` says what it runs."""

    def __init__(self, state: State) -> None:
        super().__init__(f"souk already runs (pid {state.supervisor_pid}), API at {state.api_url}")
        self.state = state


@dataclass(slots=True, kw_only=True)
class Start:
    """A platform on its way up; ``position`` is how far its log has been handed on."""

    home: Home
    child: subprocess.Popen[bytes]
    position: int

    def wait(self, report: Callable[[str], None], enough: Callable[[State], bool]) -> State:
        """Hand on what the supervisor says until the state is ``enough``.

        Raises ``UpFailed`` if it ends before, or takes too long.
        """

        def settled() -> bool:
            self._hand_on(report)
            return self.child.poll() is not None or self._is(enough)

        wait_until(settled, timeout_s=START_TIMEOUT_S, poll_s=POLL_S)
        state = self.home.read_state()
        if self.child.poll() is not None or not self._is(enough):
            log_file = self.home.log_file("supervisor")
            raise UpFailed(state.problem or f"it ended at its start; see {log_file}")
        return state

    def stop(self) -> None:
        """End the platform, however far it has come."""
        if (process := find_process(self.child.pid)) is not None:
            stop(process, number=signal.SIGTERM, grace_s=DOWN_TIMEOUT_S)
        self.child.wait()

    def _is(self, enough: Callable[[State], bool]) -> bool:
        state = self.home.read_state()
        return state.supervisor_pid == self.child.pid and enough(state)

    def _hand_on(self, report: Callable[[str], None]) -> None:
        with self.home.log_file("supervisor").open("rb") as log:
            log.seek(self.position)
            for line in log:
                self.position += len(line)
                report(line.decode(errors="replace").rstrip())


def start() -> Start:
    """Start the platform in a session of its own. Raises ``AlreadyRunning``."""
    home = Home(default_home())
    home.make()
    before = home.read_state()
    if before.supervisor is not None:
        raise AlreadyRunning(before)
    log_file = home.log_file("supervisor")
    position = _size(log_file)
    with log_file.open("ab") as log:
        child = subprocess.Popen(
            python("-m", "stack", "up"),
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "SOUK_HOME": str(home.root), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    return Start(home=home, child=child, position=position)


def is_running(state: State) -> bool:
    """Whether everything is ready."""
    return state.phase == "running"


def api_answers(state: State) -> bool:
    """Whether the API is ready, whatever else is still on its way."""
    api = state.processes.get("api")
    return state.phase in ("starting", "running") and api is not None and api.state == "ready"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
