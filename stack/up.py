"""``up`` and ``down``: the platform in the foreground, in the background, and stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from broker.home import default_home
from broker.settings import Settings, get_settings
from stack.home import Home, State
from stack.mqtt_server import MqttFailed
from stack.plan import CHECKOUT, PortTaken, make_plan, python
from stack.postgres import PostgresFailed
from stack.postgres_binaries import PostgresMissing
from stack.processes import ProcessId, stop, wait_until
from stack.supervisor import Report, StartFailed, Supervisor, end_leftover

DOWN_TIMEOUT_S = 90.0
DETACHED_START_TIMEOUT_S = 300.0


class UpFailed(Exception):
    """The platform could not start; the text says why and what to do."""


class AlreadyRunning(Exception):
    """Another supervisor holds the home; ``state`` says what it runs."""

    def __init__(self, state: State) -> None:
        super().__init__(f"souk already runs (pid {state.supervisor_pid}), API at {state.api_url}")
        self.state = state


def up(report: Report, on_ready: Callable[[Settings], None]) -> None:
    """Run the platform until it is told to stop. Call it from the main thread.

    Raises ``AlreadyRunning`` or ``UpFailed``.
    """
    home = Home(default_home())
    home.make()
    lock = home.lock()
    if lock is None:
        raise AlreadyRunning(home.read_state())
    try:
        end_leftovers(home, report)
        home.forget_settings()  # of a run that was killed: its servers are gone
        _run(home, report, on_ready)
    except (StartFailed, PortTaken, MqttFailed, PostgresFailed, PostgresMissing) as error:
        raise UpFailed(str(error)) from error
    except ValidationError as error:
        raise UpFailed(
            f"a setting is not right (docs/settings.md has them all):\n{error}"
        ) from error
    finally:
        home.forget_settings()
        os.close(lock)


def _run(home: Home, report: Report, on_ready: Callable[[Settings], None]) -> None:
    plan = make_plan(Settings())
    home.write_settings(dict(plan.recorded))
    get_settings.cache_clear()
    supervisor = Supervisor(
        home=home,
        stages=plan.stages,
        env=plan.env,
        directory=CHECKOUT,
        state=State(
            since=time.time(),
            api_url=plan.settings.api_url,
            agent_url=plan.settings.agent_url,
            mqtt_url=plan.settings.mqtt_url_for_devices,
        ),
        report=report,
        on_ready=lambda: on_ready(plan.settings),
    )
    supervisor.run()


def end_leftovers(home: Home, report: Report) -> None:
    """End what a killed supervisor left running, last started first."""
    for name, left in reversed(home.read_state().processes.items()):
        if left.pid and left.process.alive:
            report(name, f"left over from an earlier run (pid {left.pid}), ending it")
            end_leftover(name, left.process)


def up_detached(report: Callable[[str], None]) -> State:
    """Start the platform in the background; return when it is ready.

    Raises ``AlreadyRunning`` or ``UpFailed``.
    """
    home = Home(default_home())
    home.make()
    before = home.read_state()
    if before.supervisor is not None:
        raise AlreadyRunning(before)
    log_file = home.log_file("supervisor")
    position = log_file.stat().st_size if log_file.exists() else 0
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
    position = _follow_start(home, child, log_file, position, report)
    state = home.read_state()
    if child.poll() is not None or state.phase != "running":
        raise UpFailed(state.problem or f"it ended at its start; see {log_file}")
    return state


def _follow_start(
    home: Home,
    child: subprocess.Popen[bytes],
    log_file: Path,
    position: int,
    report: Callable[[str], None],
) -> int:
    """Hand on what the starting supervisor says until it runs or has ended."""

    def settled() -> bool:
        nonlocal position
        with log_file.open("rb") as log:
            log.seek(position)
            for line in log:
                position += len(line)
                report(line.decode(errors="replace").rstrip())
        state = home.read_state()
        return child.poll() is not None or (
            state.supervisor_pid == child.pid and state.phase == "running"
        )

    wait_until(settled, timeout_s=DETACHED_START_TIMEOUT_S, poll_s=0.1)
    return position


def down() -> bool:
    """Stop the platform and everything that a killed one left; False if nothing ran."""
    home = Home(default_home())
    state = home.read_state()
    supervisor = state.supervisor
    if supervisor is not None:
        _end_supervisor(supervisor)
        return True
    left = [each for each in state.processes.values() if each.pid and each.process.alive]
    end_leftovers(home, lambda name, text: print(f"{name}: {text}", file=sys.stderr))
    return bool(left)


def _end_supervisor(supervisor: ProcessId) -> None:
    stop(supervisor, number=signal.SIGTERM, grace_s=DOWN_TIMEOUT_S)
