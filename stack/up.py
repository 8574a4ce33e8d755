"""``up`` and ``down``: the platform in the foreground, and stopped."""

import os
import signal
import sys
import time
from collections.abc import Callable

from pydantic import ValidationError

from broker.home import default_home
from broker.settings import Settings, get_settings
from stack.checkout import CHECKOUT
from stack.detached import DOWN_TIMEOUT_S, AlreadyRunning, UpFailed
from stack.home import Home, State
from stack.mqtt_server import MqttFailed
from stack.plan import PortTaken, make_plan
from stack.postgres import PostgresFailed
from stack.postgres_binaries import PostgresMissing
from stack.processes import ProcessId, stop
from stack.supervisor import Report, StartFailed, Supervisor, end_leftover


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
