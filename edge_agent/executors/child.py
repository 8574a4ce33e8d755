"""The child's loop: take a job, run it in this kind's sandbox, say how it went."""

import os
import resource
import socket
import sys
import time
from collections.abc import Callable
from typing import Protocol

from edge_agent.executors import hygiene
from edge_agent.executors.frames import BlockingChannel
from edge_agent.executors.job import Finish, Job, TaskFailure

DETAIL_CHARS_MAX = 500


class Sandbox(Protocol):
    """One runtime; keeps engines, modules and sessions warm between jobs."""

    def prepare(self, job: Job) -> None:
        """Load what the job runs; raises ``TaskFailure``."""

    def run(self, job: Job, given: bytes) -> bytes:
        """The job's result; raises ``TaskFailure``."""

    def log_tail(self) -> str:
        """The end of what the last job wrote to its log."""

    def memory_peak_bytes(self) -> int:
        """The most memory that the last job held."""


def main(argv: list[str]) -> None:
    """``child KIND SOCKET PARENT NICENESS COMPILED``: serve until the agent closes the socket."""
    kind, handle, parent, niceness, compiled = argv
    hygiene.confine(int(parent), niceness=int(niceness))
    channel = BlockingChannel(socket.socket(fileno=int(handle)))
    sandbox = _make(kind, compiled)
    channel.send({"ready": True, "cpu_total_us": _cpu_us()})
    while (frame := channel.receive()) is not None:
        header, given = frame
        job = Job.parse(header)
        finish, result = _serve(sandbox, job, given, lambda: channel.send({"started": True}))
        channel.send(finish.header() | {"cpu_total_us": _cpu_us()}, result)


def _make(kind: str, compiled: str) -> Sandbox:
    if kind == "wasm":
        from edge_agent.executors.wasm import WasmSandbox

        return WasmSandbox(compiled)
    from edge_agent.executors.onnx import OnnxSandbox

    return OnnxSandbox()


def _serve(
    sandbox: Sandbox, job: Job, given: bytes, started: Callable[[], None]
) -> tuple[Finish, bytes]:
    wall, cpu = time.perf_counter_ns(), _cpu_us()
    result, failure = b"", TaskFailure("ok", "")
    bytes_in = len(given)
    try:
        if job.input_path:
            with open(job.input_path, "rb") as file:
                given = file.read()
            bytes_in = len(given)
        sandbox.prepare(job)
        started()
        result = sandbox.run(job, given)
    except TaskFailure as caught:
        failure = caught
    except MemoryError:
        failure = TaskFailure("memory", f"needs more than its {job.memory_bytes} bytes of memory")
    finish = Finish(
        reason=failure.reason,
        detail=str(failure)[:DETAIL_CHARS_MAX],
        exit_code=failure.exit_code,
        log_tail=sandbox.log_tail(),
        wall_us=(time.perf_counter_ns() - wall) // 1000,
        cpu_us=_cpu_us() - cpu,
        memory_peak_bytes=sandbox.memory_peak_bytes(),
        bytes_in=bytes_in,
    )
    return finish, result


def _cpu_us() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round((used.ru_utime + used.ru_stime) * 1e6)


if __name__ == "__main__":
    main(sys.argv[1:])
    os._exit(0)  # no finalisers of native libraries: the kernel frees everything
