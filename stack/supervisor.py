"""Starts processes stage by stage, restarts what dies, and ends all in reverse order.

One thread and no state that a restart would lose: what runs is written to ``run/state.json`` at
every change, so that the next supervisor can end what a killed one left. A process that dies is
started again with exponential back-off, for ever: the platform heals when its cause is gone.
"""

import itertools
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from stack.home import Home, ProcessState, State
from stack.processes import ProcessId, find_process, spawn, stop
from stack.specs import Spec, Stage, Step, hung

TICK_S = 0.05
IDLE_TICK_S = 0.25
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
STABLE_AFTER_S = 30.0  # up for so long, and the back-off starts from the beginning
START_TIMEOUT_S = 90.0
START_FAILURES_MAX = 6  # a process that ended so often at the start will not come up
STEP_TIMEOUT_S = 120.0
CHORES_EVERY_S = 1.0
LOG_BYTES_MAX = 16 * 2**20
LOGS_KEPT = 3

Report = Callable[[str, str], None]


class StartFailed(Exception):
    """The platform did not come up; the text says which part and ends with its log."""


class Interrupted(Exception):
    """Asked to stop while still starting."""


@dataclass(slots=True)
class _Running:
    spec: Spec
    state: ProcessState
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    retry_at: float = 0.0
    failures: int = 0
    reloaded_ns: int = 0


@dataclass(slots=True, kw_only=True)
class Supervisor:
    """Runs ``stages`` in ``home``; ``report(name, text)`` is told every change."""

    home: Home
    stages: Sequence[Stage]
    env: Mapping[str, str]
    directory: Path
    state: State
    report: Report
    on_ready: Callable[[], None] = lambda: None
    _groups: list[list[_Running]] = field(default_factory=list)
    _wake: int = -1  # read end of the pipe that every signal writes to
    _ending: bool = False
    _chores_at: float = 0.0

    def run(self) -> None:
        """Start everything, watch it until SIGTERM or SIGINT, end everything.

        Raises ``StartFailed`` after ending what had started. Call it from the main thread.
        """
        self._listen()
        self._set_phase("starting")
        try:
            for stage in self.stages:
                self._run_stage(stage)
            self._set_phase("running")
            self.on_ready()
            while not self._ending:
                self._tick()
                self._pause(IDLE_TICK_S)
        except Interrupted:
            pass
        except StartFailed as error:
            self.state.problem = str(error)
            raise
        finally:
            self._stop_all()

    def _listen(self) -> None:
        def end(_number: int, _frame: object) -> None:
            self._ending = True

        self._wake, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _run_stage(self, stage: Stage) -> None:
        started: list[_Running] = []
        self._groups.append(started)
        for spec in stage.specs:
            started.append(self._add(spec))
        deadline = time.monotonic() + START_TIMEOUT_S
        while any(each.state.state != "ready" for each in started):
            self._check_interrupted()
            self._tick()
            late = [each for each in started if each.state.state != "ready"]
            given_up = [each for each in late if each.failures >= START_FAILURES_MAX]
            if given_up or (late and time.monotonic() > deadline):
                raise StartFailed(self._why_late([*given_up, *late][0]))
            self._pause(TICK_S)
        for step in stage.steps:
            self._check_interrupted()
            self._run_step(step) if isinstance(step, Step) else step()

    def _check_interrupted(self) -> None:
        if self._ending:
            raise Interrupted

    def _run_step(self, step: Step) -> None:
        began = time.monotonic()
        if step.done():
            self.report(step.name, "nothing to do")
            return
        log_file = self.home.log_file(step.name)
        self.report(step.name, "started")
        with log_file.open("ab") as log:
            child = spawn(step.argv, env={**self.env, **step.env}, cwd=self.directory, output=log)
        while child.poll() is None:
            self._tick()
            if self._ending or time.monotonic() - began > STEP_TIMEOUT_S:
                child.terminate()
                child.wait()
            self._pause(TICK_S)
        self._check_interrupted()
        if child.returncode != 0:
            raise StartFailed(
                f"{step.name} failed ({_ending(child.returncode)}):\n{tail(log_file)}"
            )
        self.report(step.name, f"done in {time.monotonic() - began:.1f} s")

    def _add(self, spec: Spec) -> _Running:
        running = _Running(spec=spec, state=ProcessState(state="starting"))
        self.state.processes[spec.name] = running.state
        self._launch(running)
        return running

    def _launch(self, running: _Running) -> None:
        running.started_at = time.time()
        try:
            child = self._spawn(running.spec)
        except Exception as error:  # a full disk or a lost program is to be waited out as well
            running.state.last_exit = f"{type(error).__name__}: {error}"
            self._retry_later(running)
            return
        found = find_process(child.pid)
        running.child = child
        running.state.pid = child.pid
        running.state.started = found.started if found else 0
        self._change(running, "starting", "started")

    def _spawn(self, spec: Spec) -> subprocess.Popen[bytes]:
        ready_file = self.home.ready_file(spec.name)
        ready_file.unlink(missing_ok=True)
        argv = spec.prepare()
        with self.home.log_file(spec.name).open("ab") as log:
            return spawn(
                argv,
                env={**self.env, **spec.env, "SOUK_READY_FILE": str(ready_file)},
                cwd=self.directory,
                output=log,
                death_signal=spec.stop_signal,
            )

    def _tick(self) -> None:
        for running in self._all():
            self._look_at(running)
        if time.monotonic() >= self._chores_at:
            self._chores_at = time.monotonic() + CHORES_EVERY_S
            self._do_chores()

    def _look_at(self, running: _Running) -> None:
        if running.state.state == "waiting":
            if time.monotonic() >= running.retry_at:
                running.state.restarts += 1
                self._launch(running)
            return
        if running.child is None:
            return
        if running.child.poll() is not None:
            self._bury(running)
        elif running.state.state == "starting" and running.spec.ready(running.child.pid):
            took_s = time.time() - running.started_at
            self._change(running, "ready", f"ready in {took_s:.1f} s")
        elif running.state.state == "ready" and hung(running.spec, started_at=running.started_at):
            running.child.kill()

    def _bury(self, running: _Running) -> None:
        """A process has ended by itself: end what is left of its group, and try again later."""
        assert running.child is not None
        running.state.last_exit = _ending(running.child.returncode)
        end_group(running.child.pid)
        running.child = None
        self._retry_later(running)

    def _retry_later(self, running: _Running) -> None:
        if time.time() - running.started_at > STABLE_AFTER_S:
            running.failures = 0
        delay_s = min(BACKOFF_FIRST_S * 2**running.failures, BACKOFF_MAX_S)
        running.failures += 1
        running.retry_at = time.monotonic() + delay_s
        self._change(
            running, "waiting", f"ended ({running.state.last_exit}), again in {delay_s:.1f} s"
        )

    def _do_chores(self) -> None:
        for path in self.home.logs.glob("*.log"):
            rotate(path)
        for running in self._all():
            self._reload_if_changed(running)

    def _reload_if_changed(self, running: _Running) -> None:
        spec, child = running.spec, running.child
        if spec.reload is None or spec.reload_file is None or child is None:
            return
        try:
            changed_ns = spec.reload_file.stat().st_mtime_ns
        except OSError:
            return
        if running.state.state == "ready" and changed_ns != running.reloaded_ns:
            running.reloaded_ns = changed_ns
            with suppress(OSError):  # it has just ended: its successor reads the file anyway
                spec.reload(child.pid)

    def _stop_all(self) -> None:
        self._set_phase("stopping")
        for group in reversed(self._groups):
            for running in group:
                if running.child is not None and running.child.poll() is None:
                    running.child.send_signal(running.spec.stop_signal)
            for running in reversed(group):
                self._await_end(running)
        self._set_phase("stopped")

    def _await_end(self, running: _Running) -> None:
        child, how = running.child, "stopped"
        if child is not None:
            try:
                child.wait(running.spec.stop_grace_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                how = "stopped by force"
            end_group(child.pid)
            running.child = None
            self._change(running, "stopped", how)
        running.state.state, running.state.pid = "stopped", 0

    def _all(self) -> Iterator[_Running]:
        return itertools.chain.from_iterable(self._groups)

    def _change(self, running: _Running, state: str, text: str) -> None:
        running.state.state = state
        running.state.since = time.time()
        self.report(running.spec.name, text)
        self._record()

    def _set_phase(self, phase: str) -> None:
        own = find_process(os.getpid())
        assert own is not None
        self.state.phase = phase
        self.state.supervisor_pid, self.state.supervisor_started = own.pid, own.started
        self._record()

    def _record(self) -> None:
        with suppress(OSError):  # a full disk must not end what still runs
            self.home.write_state(self.state)

    def _pause(self, seconds: float) -> None:
        """Sleep until ``seconds`` have passed or a signal comes."""
        if select.select([self._wake], [], [], seconds)[0]:
            os.read(self._wake, 4096)

    def _why_late(self, running: _Running) -> str:
        name, ended = running.spec.name, running.state.last_exit
        how = f"keeps ending ({ended})" if ended else f"is not ready after {START_TIMEOUT_S:.0f} s"
        return f"{name} {how}:\n{tail(self.home.log_file(name))}"


def end_leftover(name: str, process: ProcessId) -> None:
    """End one process of an earlier run, the way it would have been ended then."""
    number = signal.SIGINT if name == "postgres" else signal.SIGTERM
    stop(process, number=number, grace_s=20.0)
    end_group(process.pid)


def end_group(leader: int) -> None:
    """End what is left of the process group that ``leader`` led; it is our session's own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def rotate(path: Path) -> None:
    """Keep ``path`` below its bound: copy it aside and cut it, as its writer keeps it open."""
    try:
        if path.stat().st_size <= LOG_BYTES_MAX:
            return
        for number in range(LOGS_KEPT - 1, 0, -1):
            older = path.with_suffix(f".log.{number}")
            if older.exists():
                older.replace(path.with_suffix(f".log.{number + 1}"))
        shutil.copyfile(path, path.with_suffix(".log.1"))
        os.truncate(path, 0)
    except OSError:
        return


def tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
