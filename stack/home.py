"""The data directory: where each thing is, who holds it, and what runs in it.

``run/state.json`` says what runs (no secrets); ``run/ports.json`` remembers ports between runs, as
devices were told them; ``run/settings.json`` (0600) tells commands run by hand how to connect.
"""

import fcntl
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from broker.home import RUN_SETTINGS
from stack.processes import ProcessId


@dataclass(slots=True, kw_only=True)
class ProcessState:
    """One supervised process, as ``status`` shows it."""

    state: str
    pid: int = 0
    started: int = 0
    since: float = 0.0
    restarts: int = 0
    last_exit: str = ""

    @property
    def process(self) -> ProcessId:
        return ProcessId(pid=self.pid, started=self.started)


@dataclass(slots=True, kw_only=True)
class State:
    """What runs in a home. ``phase`` is ``starting``, ``running``, ``stopping`` or ``stopped``."""

    phase: str = "stopped"
    supervisor_pid: int = 0
    supervisor_started: int = 0
    since: float = 0.0
    api_url: str = ""
    agent_url: str = ""
    mqtt_url: str = ""
    problem: str = ""
    processes: dict[str, ProcessState] = field(default_factory=dict)

    @property
    def supervisor(self) -> ProcessId | None:
        """The supervisor that wrote this, if it is still alive."""
        process = ProcessId(pid=self.supervisor_pid, started=self.supervisor_started)
        return process if self.supervisor_pid and process.alive else None


@dataclass(frozen=True, slots=True)
class Home:
    """Paths within the data directory ``root``."""

    root: Path

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def log_file(self, process: str) -> Path:
        return self.logs / f"{process}.log"

    def ready_file(self, process: str) -> Path:
        return self.run / f"{process}.ready"

    def make(self) -> None:
        """Create the directories, readable by their owner alone."""
        for directory in (self.root, self.run, self.logs):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def lock(self) -> int | None:
        """A descriptor that holds this home until closed; None if another supervisor has it."""
        descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor

    def read_state(self) -> State:
        """What the last supervisor wrote; an empty state if nothing or nonsense is there."""
        found = read_json(self.run / "state.json")
        try:
            processes = {k: ProcessState(**v) for k, v in found.pop("processes", {}).items()}
            return State(**found, processes=processes)
        except (TypeError, AttributeError):
            return State()

    def write_state(self, state: State) -> None:
        write_json(self.run / "state.json", asdict(state))

    def read_ports(self) -> dict[str, int]:
        found = read_json(self.run / "ports.json")
        return {name: port for name, port in found.items() if isinstance(port, int)}

    def write_ports(self, ports: dict[str, int]) -> None:
        write_json(self.run / "ports.json", ports)

    def write_settings(self, settings: dict[str, Any]) -> None:
        write_json(self.root / RUN_SETTINGS, settings)

    def forget_settings(self) -> None:
        (self.root / RUN_SETTINGS).unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """The object in ``path``; empty if there is none that can be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace ``path`` in one step, readable by its owner alone."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        json.dump(value, file, indent=1)
    Path(temporary).replace(path)
