"""The supervisor on small real processes: order, restarts, back-off, orderly end, leftovers."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from stack.home import Home
from stack.processes import ProcessId, find_process, wait_until
from stack.supervisor import rotate

CHECKOUT = Path(__file__).parents[3]
WAIT_S = 20.0

# A supervisor in a process of its own: it needs a main thread, and one test kills it.
SCRIPT = """
import json, sys, time
from pathlib import Path
from stack.home import Home, State
from stack.specs import Spec, Stage, Step, ready_by_file
from stack.supervisor import StartFailed, Supervisor
from stack.up import end_leftovers
home = Home(Path(sys.argv[1])); home.make()
plan = json.loads(sys.argv[2])
DONE = "raise SystemExit('done before')"
def spec(name, body):
    return Spec(name=name, prepare=lambda: [sys.executable, "-c", body], stop_grace_s=2.0,
                ready=ready_by_file(home.ready_file(name)), alive_file=home.ready_file(name))
def stage(given):
    return Stage(
        specs=tuple(spec(n, b) for n, b in given.get("specs", {}).items()),
        steps=tuple(Step(name=n, argv=[sys.executable, "-c", b], done=lambda b=b: b == DONE)
                    for n, b in given.get("steps", {}).items()))
report = lambda name, text: print(name, text, flush=True)
end_leftovers(home, report)
try:
    Supervisor(home=home, stages=[stage(each) for each in plan], env={**__import__("os").environ},
               directory=Path.cwd(), state=State(), report=report).run()
except StartFailed as failure:
    print("FAILED", failure); sys.exit(1)
"""
READY = "import os, time, pathlib; pathlib.Path(os.environ['SOUK_READY_FILE']).touch()\n"
STEADY = READY + "time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + STEADY
DONE = "raise SystemExit('done before')"
FORKING = "import os\nif os.fork() == 0:\n import time; time.sleep(600)\n" + STEADY


class Supervised:
    """A running supervisor and what it says."""

    def __init__(self, root: Path, *stages: dict) -> None:
        self.home = Home(root)
        self.output = (root.parent / f"{root.name}.out").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SCRIPT), str(root), json.dumps(stages)],
            stdout=self.output,
            stderr=subprocess.STDOUT,
            cwd=CHECKOUT,
        )

    @property
    def said(self) -> str:
        self.output.seek(0)
        return self.output.read()

    def id_of(self, name: str) -> ProcessId:
        return self.home.read_state().processes[name].process

    def wait_running(self) -> "Supervised":
        own = self.process.pid
        assert wait_until(
            lambda: (s := self.home.read_state()).phase == "running" and s.supervisor_pid == own,
            timeout_s=WAIT_S,
        ), self.said
        return self

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)


@pytest.fixture
def supervise(tmp_path: Path):
    started: list[Supervised] = []

    def start(*stages: dict) -> Supervised:
        started.append(Supervised(tmp_path / "home", *stages))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.end()
        each.output.close()


def test_stages_start_in_order_and_end_in_reverse(supervise) -> None:
    run = supervise({"specs": {"a": STEADY}, "steps": {"s": "pass"}}, {"specs": {"b": STEADY}})
    run.wait_running()
    ids = [run.id_of("a"), run.id_of("b")]
    assert run.end() == 0
    words = [line.split()[:2] for line in run.said.splitlines()]
    firsts = [tuple(each) for each in words]
    order = [("a", "ready"), ("s", "started"), ("s", "done"), ("b", "started"), ("b", "ready")]
    assert [firsts.index(each) for each in order] == sorted(firsts.index(each) for each in order)
    assert firsts.index(("b", "stopped")) < firsts.index(("a", "stopped"))
    assert not any(each.alive for each in ids)
    assert run.home.read_state().phase == "stopped"


def test_step_with_nothing_to_do_is_left_out(supervise) -> None:
    run = supervise({"specs": {"a": STEADY}, "steps": {"s": DONE}}).wait_running()
    assert "s nothing to do" in run.said


def test_killed_process_is_started_again(supervise) -> None:
    run = supervise({"specs": {"a": STEADY, "b": STEADY}}).wait_running()
    first, other = run.id_of("a"), run.id_of("b")
    first.send(signal.SIGKILL)
    assert wait_until(
        lambda: run.id_of("a") != first and run.home.read_state().processes["a"].state == "ready",
        timeout_s=WAIT_S,
    )
    state = run.home.read_state().processes
    assert (state["a"].restarts, state["a"].last_exit) == (1, "SIGKILL")
    assert run.id_of("b") == other


def test_what_a_killed_process_forked_is_ended_with_it(supervise) -> None:
    run = supervise({"specs": {"a": FORKING}}).wait_running()
    leader = run.id_of("a")

    def members() -> list[str]:
        done = subprocess.run(
            ["ps", "-o", "pid=", "-g", str(leader.pid)], capture_output=True, text=True, check=False
        )
        return done.stdout.split()

    assert wait_until(lambda: len(members()) == 2, timeout_s=WAIT_S)
    leader.send(signal.SIGKILL)
    assert wait_until(lambda: not members(), timeout_s=WAIT_S)


def test_process_that_keeps_ending_waits_longer_each_time(supervise) -> None:
    run = supervise({"specs": {"a": "raise SystemExit(7)"}})
    assert wait_until(lambda: run.said.count("ended (exit code 7)") >= 4, timeout_s=WAIT_S)
    for delay in ("0.2 s", "0.4 s", "0.8 s", "1.6 s"):
        assert f"again in {delay}" in run.said


def test_start_is_given_up_when_a_process_does_not_come_up(supervise) -> None:
    run = supervise({"specs": {"a": STEADY, "b": "raise SystemExit('no such module')"}})
    assert run.process.wait(WAIT_S) == 1
    assert "b keeps ending (exit code 1)" in run.said
    assert "no such module" in run.home.read_state().problem
    assert "a stopped" in run.said


def test_failed_step_stops_the_start_and_shows_its_log(supervise) -> None:
    run = supervise({"specs": {"a": STEADY}, "steps": {"s": "raise SystemExit('no such table')"}})
    assert run.process.wait(WAIT_S) == 1
    assert "s failed (exit code 1)" in run.said
    assert "no such table" in run.said
    state = run.home.read_state()
    assert state.processes["a"].pid == 0
    assert "no such table" in state.problem


def test_process_that_ignores_the_signal_is_forced(supervise) -> None:
    run = supervise({"specs": {"a": STUBBORN}}).wait_running()
    process = run.id_of("a")
    assert run.end() == 0
    assert "a stopped by force" in run.said
    assert not process.alive


def test_interrupt_during_the_start_ends_what_has_started(supervise) -> None:
    run = supervise({"specs": {"a": STEADY}}, {"specs": {"never": "import time; time.sleep(600)"}})
    assert wait_until(lambda: "never started" in run.said, timeout_s=WAIT_S)
    ids = [run.id_of("a"), run.id_of("never")]
    assert run.end() == 0
    assert not any(each.alive for each in ids)


def test_children_of_a_killed_supervisor_die(supervise) -> None:
    run = supervise({"specs": {"a": STEADY}}).wait_running()
    process = run.id_of("a")
    run.process.kill()
    assert wait_until(lambda: not process.alive, timeout_s=WAIT_S)


def test_leftover_is_ended_by_pid_and_start_time_only(supervise, tmp_path: Path) -> None:
    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    leftover, stranger = subprocess.Popen(sleeping), subprocess.Popen(sleeping)
    home = Home(tmp_path / "home")
    home.make()
    real, other = find_process(leftover.pid), find_process(stranger.pid)
    rows = {
        "old": {"state": "ready", "pid": real.pid, "started": real.started},
        "reused": {"state": "ready", "pid": other.pid, "started": other.started - 1},
    }
    (home.run / "state.json").write_text(json.dumps({"phase": "running", "processes": rows}))
    try:
        run = supervise({"specs": {"a": STEADY}})
        leftover.wait(WAIT_S)
        run.wait_running()
        assert "old left over" in run.said
        assert stranger.poll() is None
    finally:
        for process in (leftover, stranger):
            process.kill()
            process.wait()


def test_log_over_its_bound_is_moved_aside(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("stack.supervisor.LOG_BYTES_MAX", 100)
    log = tmp_path / "a.log"
    with log.open("ab") as writer:
        for round_number in range(6):
            writer.write(f"{round_number}".encode() * 101)
            writer.flush()
            rotate(log)
            assert os.path.getsize(log) == 0
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["a.log", "a.log.1", "a.log.2", "a.log.3"]
    assert (tmp_path / "a.log.1").read_text() == "5" * 101
