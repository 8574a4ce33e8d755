"""The whole platform as a context manager, for tests and benchmarks: real processes, own home.

``with running_platform(tmp) as platform: platform.api_url; platform.kill("ingest")``. It is the
``souk up`` that people run, in a process of its own, on free ports.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stack.checkout import CHECKOUT, python
from stack.home import Home, ProcessState, State
from stack.processes import ProcessId, wait_until
from stack.supervisor import tail

START_TIMEOUT_S = 120.0
RESTART_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 90.0

FREE_PORTS: Mapping[str, str] = {
    "SOUK_API_PORT": "0",
    "SOUK_AGENT_PORT": "0",
    "SOUK_MQTT_PORT": "0",
}
FOREIGN = ("DATABASE_URL", "MQTT_URL", "CELERY_BROKER_URL")


class PlatformFailed(Exception):
    """The platform did not do as asked; the text ends with what it said."""


@dataclass(slots=True)
class Platform:
    """A running platform with its home in ``root``."""

    root: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Home:
        return Home(self.root)

    @property
    def state(self) -> State:
        return self.home.read_state()

    @property
    def api_url(self) -> str:
        return self.state.api_url

    @property
    def agent_url(self) -> str:
        return self.state.agent_url

    @property
    def mqtt_url(self) -> str:
        """As devices reach it."""
        return self.state.mqtt_url

    @property
    def database_url(self) -> str:
        return str(self.recorded["database_url"])

    @property
    def recorded(self) -> dict[str, Any]:
        """The settings that ``up`` chose, by field name."""
        found: dict[str, Any] = json.loads((self.home.run / "settings.json").read_text())
        return found

    @property
    def operator(self) -> dict[str, Any]:
        """The operator's credentials, as the first start saved them."""
        path = self.root / "credentials" / "operator.json"
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    @property
    def env(self) -> dict[str, str]:
        """Environment for a command that is to reach this platform."""
        own = {k: v for k, v in os.environ.items() if k not in FOREIGN}
        return {**own, **FREE_PORTS, **self.settings, "SOUK_HOME": str(self.root)}

    def start(self) -> None:
        """Start and wait until everything is ready. Raises ``PlatformFailed``."""
        self.root.mkdir(parents=True, exist_ok=True)
        output = self.root / "up.log"
        with output.open("ab") as log:
            self.process = subprocess.Popen(
                python("-m", "stack", "up"),
                cwd=CHECKOUT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        started = self.process
        wait_until(lambda: self._up or started.poll() is not None, timeout_s=START_TIMEOUT_S)
        if not self._up:
            self.stop()
            raise PlatformFailed(tail(output, 30))

    def stop(self) -> int:
        """Stop as Ctrl-C does; return the exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process = None
        return code

    def process_state(self, name: str) -> ProcessState:
        return self.state.processes[name]

    def id_of(self, name: str) -> ProcessId:
        return self.process_state(name).process

    def pid_of(self, name: str) -> int:
        return self.process_state(name).pid

    def kill(
        self, name: str, number: signal.Signals = signal.SIGKILL, *, wait: bool = True
    ) -> ProcessId:
        """Send ``number`` to process ``name``; with ``wait``, return when its successor is ready.

        Returns the process that was hit. Raises ``PlatformFailed`` if no successor comes.
        """
        hit = self.id_of(name)
        hit.send(number)
        if wait and not wait_until(
            lambda: self.id_of(name) != hit and self.is_ready(name), timeout_s=RESTART_TIMEOUT_S
        ):
            raise PlatformFailed(f"{name} did not come back:\n{tail(self.home.log_file(name), 30)}")
        return hit

    def is_ready(self, name: str) -> bool:
        return self.process_state(name).state == "ready"

    def log(self, name: str) -> str:
        """The whole log of a process."""
        return self.home.log_file(name).read_text(errors="replace")

    @property
    def _up(self) -> bool:
        state = self.state
        return (
            self.process is not None
            and state.supervisor_pid == self.process.pid
            and state.phase == "running"
        )


@contextmanager
def running_platform(root: Path, **settings: str) -> Iterator[Platform]:
    """A platform with its home in ``root``, stopped at the end; ``settings`` are variables.

    The home stays, so that a second ``running_platform(root)`` goes on where this one stopped.
    """
    platform = Platform(root, settings)
    platform.start()
    try:
        yield platform
    finally:
        platform.stop()
