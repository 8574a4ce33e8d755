"""The children of one agent: reused while warm, killed when they overrun, ended when idle."""

import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from edge_agent.executors.frames import Frame
from edge_agent.executors.job import Finish, Job, Kind
from edge_agent.executors.process import ChildProcess, Exit, Workplace
from edge_agent.loop import Loop

LOAD_S = 30.0  # to start a child and compile a module
OVERRUN_S = 1.0  # beyond the run's limit, which the child itself enforces
TASKS_PER_CHILD_MAX = 20_000


class Listener(Protocol):
    """Who is told about a job; both are called at most once, ``finished`` always."""

    def started(self) -> None:
        """The job's own code begins to run."""

    def finished(self, finish: Finish, result: bytes) -> None:
        """The job is over."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    job: Job
    given: bytes
    listener: Listener


@dataclass(slots=True)
class _Busy:
    job: Job
    listener: Listener
    since: float
    deadline: float
    is_running: bool = False
    overran: bool = False


@dataclass(slots=True)
class _Child:
    kind: Kind
    process: ChildProcess | None = None
    busy: _Busy | None = None
    idle_since: float = 0.0
    is_ready: bool = False
    cpu_accounted_us: int = 0
    tasks: int = 0
    warm: set[str] = field(default_factory=set)


class Pool:
    """Children by kind; used in the loop's thread."""

    def __init__(
        self,
        loop: Loop,
        place: Workplace,
        *,
        idle_s: float,
        children_max: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop, self._place = loop, place
        self._idle_s, self._clock = idle_s, clock
        self._children_max = children_max
        self._waiting: deque[_Waiting] = deque()
        self._children: list[_Child] = []
        self._leaving: list[ChildProcess] = []  # killed, their exit is not seen yet

    def run(self, job: Job, given: bytes, listener: Listener) -> None:
        """Run ``job`` in a child that is free, preferably one that has its module warm.

        A lease may have more slots than the machine has room for processes: the job then waits.
        """
        try:
            child = self._free_child(job) or self._new_child(job.kind)
        except OSError as error:
            listener.finished(Finish(reason="internal", detail=f"no process: {error}"), b"")
            return
        if child is None:
            self._waiting.append(_Waiting(job, given, listener))
            return
        now = self._clock()
        deadline = now + LOAD_S + job.run_ms / 1e3
        child.busy = _Busy(job=job, listener=listener, since=now, deadline=deadline)
        child.warm.add(job.artifact_digest)
        assert child.process is not None
        child.process.unpacker.body_bytes_max = job.output_bytes_max + (1 << 16)
        child.process.send(job.header(), given)

    def stop(self, job_id: str) -> bool:
        """End this job: kill its child, or take it out of the line; False when it is unknown."""
        for waiting in self._waiting:
            if waiting.job.id == job_id:
                self._waiting.remove(waiting)
                waiting.listener.finished(Finish(reason="internal", detail="never started"), b"")
                return True
        for child in self._children:
            if child.busy is not None and child.busy.job.id == job_id:
                self._kill(child)
                return True
        return False

    def tick(self) -> None:
        """Kill what overruns, end what idles."""
        now = self._clock()
        for child in list(self._children):
            if child.busy is not None and now >= child.busy.deadline:
                child.busy.overran = True
                self._kill(child)
            elif child.busy is None and now >= child.idle_since + self._idle_s:
                self._kill(child)

    def next_wake(self) -> float | None:
        """When ``tick`` is due on the pool's clock."""
        times = [
            child.busy.deadline if child.busy else child.idle_since + self._idle_s
            for child in self._children
        ]
        return min(times, default=None)

    def close(self) -> None:
        """Kill every child and wait until all are gone; what still runs is reported as ended."""
        self._waiting.clear()
        for child in list(self._leaving):
            child.close_and_wait()
        for held in list(self._children):
            assert held.process is not None
            held.process.close_and_wait()

    @property
    def pids(self) -> list[int]:
        """The children's process ids."""
        return [child.process.pid for child in self._children if child.process is not None]

    def _free_child(self, job: Job) -> _Child | None:
        free = [c for c in self._children if c.busy is None and c.kind == job.kind]
        free.sort(key=lambda c: (job.artifact_digest not in c.warm, -c.idle_since))
        return free[0] if free else None

    def _new_child(self, kind: Kind) -> _Child | None:
        """Another child, in the place of an idle one of another kind if need be."""
        if len(self._children) >= self._children_max:
            idle = [child for child in self._children if child.busy is None]
            if not idle:
                return None
            self._kill(min(idle, key=lambda c: c.idle_since))
        child = _Child(kind=kind)
        child.process = ChildProcess(
            kind,
            self._place,
            self._loop,
            on_frame=lambda frame: self._on_frame(child, frame),
            on_exit=lambda end: self._on_exit(child, end),
        )
        self._children.append(child)
        return child

    def _kill(self, child: _Child) -> None:
        if child.busy is None:
            self._children.remove(child)  # its exit has nobody to tell
            assert child.process is not None
            self._leaving.append(child.process)
        else:
            child.busy.deadline = float("inf")  # it is going; its exit reports
        assert child.process is not None
        child.process.close()

    def _on_frame(self, child: _Child, frame: Frame) -> None:
        header, _ = frame
        if "ready" in header:
            child.is_ready = True
            child.cpu_accounted_us = _whole(header.get("cpu_total_us"))
        elif (busy := child.busy) is not None and "started" in header:
            if not busy.is_running:
                busy.is_running = True
                busy.deadline = self._clock() + busy.job.run_ms / 1e3 + OVERRUN_S
                busy.listener.started()
        elif busy is not None:
            self._finish(child, busy, frame)

    def _finish(self, child: _Child, busy: _Busy, frame: Frame) -> None:
        header, body = frame
        try:
            finish = Finish.parse(header)
        except ValueError:
            self._kill(child)  # it does not keep to the format: do not believe it further
            return
        child.busy = None
        child.idle_since = self._clock()
        child.cpu_accounted_us = _whole(header.get("cpu_total_us"))
        child.tasks += 1
        if child.tasks >= TASKS_PER_CHILD_MAX:
            self._kill(child)
        busy.listener.finished(finish, body)
        self._run_waiting()

    def _run_waiting(self) -> None:
        if self._waiting:
            waiting = self._waiting.popleft()
            self.run(waiting.job, waiting.given, waiting.listener)

    def _on_exit(self, child: _Child, end: Exit) -> None:
        if child in self._children:
            self._children.remove(child)
        if child.process in self._leaving:
            self._leaving.remove(child.process)
        busy, child.busy = child.busy, None
        if busy is None:
            return
        reason, detail = _why(child, busy, end)
        finish = Finish(
            reason=reason,
            detail=detail,
            wall_us=round((self._clock() - busy.since) * 1e6),
            cpu_us=max(end.cpu_us - child.cpu_accounted_us, 0),
            memory_peak_bytes=end.memory_peak_bytes,
        )
        busy.listener.finished(finish, b"")
        self._run_waiting()


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _why(child: _Child, busy: _Busy, end: Exit) -> tuple[str, str]:
    if busy.overran and busy.is_running:
        return "timeout", f"it ran longer than its {busy.job.run_ms} ms and did not stop"
    if busy.overran:
        return "invalid_input", f"loading it took longer than {LOAD_S:.0f} s"
    if not child.is_ready:
        return "runtime_missing", f"the {child.kind} runtime does not start (exit {end.code})"
    if end.memory_peak_bytes >= busy.job.memory_bytes and end.signal in (
        signal.SIGKILL,
        signal.SIGABRT,
        signal.SIGSEGV,
        signal.SIGBUS,
    ):
        return "memory", "its process ended for want of memory"
    name = signal.Signals(end.signal).name if end.signal else f"exit {end.code}"
    return "trap", f"its process ended: {name}"
