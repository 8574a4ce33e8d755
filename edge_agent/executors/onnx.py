"""The ONNX sandbox: onnxruntime on the CPU with a bound on memory, time and threads.

Sessions stay warm by model and thread count. The memory bound is on writable private memory
(RLIMIT_DATA) above what the idle child holds: onnxruntime's address space says nothing, since its
arenas reserve far more than they touch.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from edge_agent.executors import hygiene, tensors
from edge_agent.executors.job import Job, TaskFailure
from edge_agent.executors.watchdog import Watchdog

SESSIONS_MAX = 4
SLACK_BYTES = 64 << 20  # thread stacks and the interpreter's own needs during a run
_ALLOCATION_WORDS = ("bad_alloc", "bad allocation", "failed to allocate", "out of memory")


class OnnxSandbox:
    """Runs one inference at a time."""

    def __init__(self) -> None:
        onnxruntime.set_default_logger_severity(4)
        self._sessions: OrderedDict[tuple[str, int], Any] = OrderedDict()
        self._options = onnxruntime.RunOptions()
        self._watchdog = Watchdog(self._interrupt)

    def prepare(self, job: Job) -> None:
        """Load the model, or take its session from memory."""
        hygiene.reset_memory_peak()
        with _Bound(job.memory_bytes):
            self._session(job)

    def run(self, job: Job, given: bytes) -> bytes:
        """The model's outputs for the inputs in ``given``."""
        with _Bound(job.memory_bytes):
            session = self._session(job)
            outputs = self._infer(session, job, _inputs(session, job, given))
            result = tensors.write(outputs, job.output_encoding)
        if len(result) > job.output_bytes_max:
            raise TaskFailure("output_limit", f"it gave more than {job.output_bytes_max} bytes")
        return result

    def log_tail(self) -> str:
        """A model writes no log."""
        return ""

    def memory_peak_bytes(self) -> int:
        """Resident peak of the child since the job began."""
        return hygiene.own_memory("VmHWM")

    def _infer(
        self, session: Any, job: Job, inputs: dict[str, tensors.Array]
    ) -> dict[str, tensors.Array]:
        self._options = onnxruntime.RunOptions()
        self._watchdog.arm(job.run_ms)
        try:
            values = session.run(None, inputs, self._options)
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime's errors share no base class
            if self._watchdog.barked:
                raise TaskFailure("timeout", f"it ran longer than its {job.run_ms} ms") from None
            raise _failure(error, job, "trap") from None
        finally:
            self._watchdog.disarm()
        names = [output.name for output in session.get_outputs()]
        return {
            name: np.asarray(value)
            for name, value in zip(names, values, strict=True)
            if _is_tensor(name, value)
        }

    def _interrupt(self) -> None:
        self._options.terminate = True

    def _session(self, job: Job) -> Any:
        key = (job.artifact_digest, job.threads)
        if key in self._sessions:
            self._sessions.move_to_end(key)
            return self._sessions[key]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(job.threads, 1)
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.use_deterministic_compute = True
        # Idle threads that spin would burn the owner's cores between two inferences.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = Path(job.artifact_path).read_bytes()
        try:
            session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except MemoryError:
            raise
        except Exception as error:
            raise _failure(error, job, "invalid_input") from None
        self._sessions[key] = session
        while len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return session


class _Bound:
    """Within it, memory may grow by so much above what is held already."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes

    def __enter__(self) -> None:
        held = hygiene.own_memory("VmData")
        if held:
            hygiene.limit_data(held + self._memory_bytes + SLACK_BYTES)

    def __exit__(self, *_: object) -> None:
        hygiene.limit_data(hygiene.unlimited())


def _inputs(session: Any, job: Job, given: bytes) -> dict[str, tensors.Array]:
    found = tensors.read(given, job.input_encoding)
    wanted = {declared.name: declared for declared in session.get_inputs()}
    if missing := sorted(wanted.keys() - found.keys()):
        raise TaskFailure("invalid_input", f"missing inputs: {', '.join(missing)}")
    if unknown := sorted(found.keys() - wanted.keys()):
        raise TaskFailure("invalid_input", f"the model has no inputs {', '.join(unknown)}")
    return {
        name: tensors.fit(name, found[name], kind=declared.type, shape=declared.shape)
        for name, declared in wanted.items()
    }


def _is_tensor(name: str, value: Any) -> bool:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return True
    raise TaskFailure("invalid_input", f"output {name} is not a tensor of numbers")


def _failure(error: Exception, job: Job, otherwise: str) -> TaskFailure:
    text = str(error)
    if any(word in text.lower() for word in _ALLOCATION_WORDS):
        return TaskFailure("memory", f"needs more than its {job.memory_bytes >> 20} MiB of memory")
    if type(error).__name__ == "InvalidArgument":
        otherwise = "invalid_input"
    return TaskFailure(otherwise, text or type(error).__name__)
