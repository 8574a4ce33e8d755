"""A fleet of real agents on this machine: each a process of its own with its own settings and key.

Used by the demo and by tests. The agents share one machine, so each is given a share of it, small
enough that together they sell no more than there is.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from edge_agent.identity import StateDir, write_private
from stack.processes import ProcessId, find_process, spawn, stop

ENROL_TIMEOUT_S = 60.0
STOP_GRACE_S = 10.0
CPU_MILLIS_MIN = 300
MEMORY_BYTES_MIN = 384 << 20
MEMORY_BYTES_MAX = 2 << 30


class FleetFailed(Exception):
    """An agent could not enrol or start; the text ends with what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One agent: whose it is, where it stands, what it sells and for how much."""

    name: str
    owner: str
    cell: str
    cpu_millis: int
    memory_bytes: int
    cpu_micros_per_core_hour: int = 10_000
    memory_micros_per_gib_hour: int = 1_000
    idle_milliwatts: int = 3_000
    max_milliwatts: int = 9_000
    carbon_g_per_kwh: int = 300
    latitude: float = 0.0
    longitude: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)

    def settings(self, state_dir: Path) -> str:
        """The agent's settings file."""
        labels = "\n".join(f'{name} = "{value}"' for name, value in self.labels.items())
        return f"""\
[agent]
state_dir = "{state_dir}"

[share]
cpu_millis = {self.cpu_millis}
memory_bytes = {self.memory_bytes}

[price]
cpu_micros_per_core_hour = {self.cpu_micros_per_core_hour}
memory_micros_per_gib_hour = {self.memory_micros_per_gib_hour}

[power]
idle_milliwatts = {self.idle_milliwatts}
max_milliwatts = {self.max_milliwatts}
carbon_g_per_kwh = {self.carbon_g_per_kwh}

[location]
latitude = {self.latitude}
longitude = {self.longitude}

[labels]
{labels}
"""


@dataclass(slots=True, kw_only=True)
class Fleet:
    """Agents in ``directory``, logging to ``logs``. Start it from a thread that lives as long."""

    directory: Path
    logs: Path
    members: Sequence[Member]
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def node_id(self, member: Member) -> str | None:
        """The id that the member has enrolled as, if it has."""
        enrolment = self._state(member).enrolment()
        return None if enrolment is None else enrolment.node_id

    def move(self, *, server: str, mqtt_url: str) -> None:
        """Tell devices that have enrolled where the platform of this machine listens now.

        A platform that finds its ports taken starts on others; its devices cannot know.
        """
        for member in self.members:
            state = self._state(member)
            held = state.enrolment()
            if held is None or (held.server, held.mqtt_url) == (server, mqtt_url):
                continue
            moved = replace(held, server=server, artifacts_url=server, mqtt_url=mqtt_url)
            write_private(state.identity, json.dumps(asdict(moved), indent=2) + "\n")

    def enrol(self, tokens: Mapping[str, str], *, server: str) -> None:
        """Enrol the members named in ``tokens`` (name → join token), side by side.

        Raises ``FleetFailed``.
        """
        for name in tokens:
            if self._alive(name):  # with an identity that is to be replaced
                self.kill(name)
        started = [
            (member, self._start_enrolment(member, tokens[member.name], server))
            for member in self.members
            if member.name in tokens
        ]
        for member, child in started:
            try:
                said, _ = child.communicate(timeout=ENROL_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                child.kill()
                said, _ = child.communicate()
            if child.returncode != 0:
                raise FleetFailed(f"{member.name} could not enrol: {said.decode().strip()}")

    def start(self) -> None:
        """Start every member that does not run."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for member in self.members:
            if not self._alive(member.name):
                self._spawn(member)

    def start_enrolled(self) -> None:
        """Start every member that has an identity and does not run; whether it is good shows."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for member in self.members:
            if self.node_id(member) is not None and not self._alive(member.name):
                self._spawn(member)

    def ended(self) -> Iterator[tuple[Member, int]]:
        """Members whose process has ended, with the exit code (negative: the signal)."""
        for member in self.members:
            child = self._running.get(member.name)
            if child is not None and (code := child.poll()) is not None:
                yield member, code

    def process(self, name: str) -> ProcessId:
        """The process of a member that runs."""
        found = find_process(self._running[name].pid)
        if found is None:
            raise FleetFailed(f"{name} does not run; see {self._log(name)}")
        return found

    def kill(self, name: str) -> None:
        """End a member at once, as a power cut would (SIGKILL to its whole process group)."""
        child = self._running[name]
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def stop(self) -> None:
        """Ask every member to end, and see that it does."""
        living = [child for child in self._running.values() if child.poll() is None]
        for child in living:
            child.send_signal(signal.SIGTERM)
        for child in living:
            if (process := find_process(child.pid)) is not None:
                stop(process, number=signal.SIGTERM, grace_s=STOP_GRACE_S)
            child.wait()
        self._running.clear()

    def _alive(self, name: str) -> bool:
        child = self._running.get(name)
        return child is not None and child.poll() is None

    def _spawn(self, member: Member) -> None:
        self._write_settings(member)
        with self._log(member.name).open("ab") as log:
            self._running[member.name] = spawn(
                _agent("run", "--config", str(self._config(member))),
                env=_environment(),
                cwd=Path(__file__).parent.parent,
                output=log,
            )

    def _start_enrolment(self, member: Member, token: str, server: str) -> subprocess.Popen[bytes]:
        self._write_settings(member)
        arguments = ("--config", str(self._config(member)), "--server", server)
        return subprocess.Popen(
            _agent("enrol", *arguments, "--name", member.name, "--force"),
            env={**_environment(), "SOUK_JOIN_TOKEN": token},
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def _write_settings(self, member: Member) -> None:
        config = self._config(member)
        config.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        config.write_text(member.settings(self._state(member).path))

    def _state(self, member: Member) -> StateDir:
        return StateDir(self.directory / member.name / "state")

    def _config(self, member: Member) -> Path:
        return self.directory / member.name / "agent.toml"

    def _log(self, name: str) -> Path:
        return self.logs / f"agent-{name}.log"


def share_of_machine(agents: int, *, cores: int, memory_bytes: int) -> tuple[int, int]:
    """CPU millis and memory bytes of each of ``agents``: nine tenths of the cores, half the memory.

    On a small machine each still gets a useful least, so together they may then oversell it.
    """
    cpu = max(cores * 900 // agents, CPU_MILLIS_MIN)
    memory = min(max(memory_bytes // (2 * agents), MEMORY_BYTES_MIN), MEMORY_BYTES_MAX)
    return cpu, memory


def wait_for(condition: Callable[[], bool], *, fleet: Fleet, timeout_s: float, what: str) -> None:
    """Wait until ``condition`` holds. Raises ``FleetFailed`` when an agent ends or time is over."""
    from stack.processes import wait_until

    def settled() -> bool:
        return condition() or any(fleet.ended())

    in_time = wait_until(settled, timeout_s=timeout_s, poll_s=0.1)
    for member, code in fleet.ended():
        raise FleetFailed(f"{member.name} ended with {code}; see {fleet.logs}")
    if not in_time:
        raise FleetFailed(f"{what} within {timeout_s:g} s; see {fleet.logs}")


def _agent(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "edge_agent", *arguments]


def _environment() -> dict[str, str]:
    """An agent knows nothing of the platform's settings, nor of another agent's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SOUK_")}
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
