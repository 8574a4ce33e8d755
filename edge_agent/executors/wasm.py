"""The WASM sandbox: wasmtime with fuel, memory and time limits; stdin and stdout, nothing else.

The engine and the compiled modules stay; each task gets a store of its own, so that nothing of
one task is seen by the next. Streams are files in memory: wasmtime's callbacks into Python would
cost more than a small task, and may abort the process at its end. Compiled modules are kept on
disk too, in a folder for the agent's user alone, because loading one runs what it holds.
"""

import os
from collections import OrderedDict
from pathlib import Path

import wasmtime

from edge_agent.executors import hygiene
from edge_agent.executors.job import Job, TaskFailure
from edge_agent.executors.scratch import Scratch
from edge_agent.executors.watchdog import Watchdog
from edge_agent.runtimes import installed

_VERSION = installed(("wasm",))["wasm"]
MODULES_MAX = 16  # compiled and kept in memory
LOG_BYTES_MAX = 1 << 20
LOG_TAIL_BYTES = 4 * 1024
TABLE_ELEMENTS_MAX = 1 << 20
UNLIMITED_FUEL = 1 << 63
COMPILER_DATA_BYTES = 1 << 30  # what a hostile module may make the compiler ask for
_FULL = 0.75  # a trap with this share of the limit in use is an allocation that failed
_BRIM = 0.95  # so is an exit code, when the memory is fuller still
_GONE = "the memory limit of {} MiB is used up"


class WasmSandbox:
    """Runs WASI commands (preview 1)."""

    def __init__(self, compiled: str) -> None:
        self._compiled = Path(compiled)
        self._engines: dict[bool, tuple[wasmtime.Engine, wasmtime.Linker]] = {}
        self._modules: OrderedDict[tuple[str, bool], wasmtime.InstancePre] = OrderedDict()
        self._stdin, self._stdout = Scratch("stdin"), Scratch("stdout")
        self._stderr = Scratch("stderr")
        self._watchdog = Watchdog(self._interrupt)
        self._peak = 0
        self._engine(False)

    def prepare(self, job: Job) -> None:
        """Compile the module, or take it from memory or disk."""
        self._stderr.fill(b"")
        self._peak = 0
        self._module(job)

    def run(self, job: Job, given: bytes) -> bytes:
        """Standard output of the module's ``_start``."""
        pre = self._module(job)
        engine, _ = self._engine(job.fuel_max > 0)
        self._stdin.fill(given)
        store = wasmtime.Store(engine)
        try:
            self._limit(store, job)
            hygiene.limit_file_size(max(job.output_bytes_max, LOG_BYTES_MAX) + 1)
            self._call(store, pre, job)
        finally:
            hygiene.limit_file_size(hygiene.unlimited())
            store.close()
        if self._stdout.size() > job.output_bytes_max:
            raise _too_much_output(job)
        return self._stdout.read()

    def log_tail(self) -> str:
        """The end of standard error."""
        tail = self._stderr.read(max(self._stderr.size() - LOG_TAIL_BYTES, 0))
        return tail.decode(errors="replace").replace("\x00", "�")

    def memory_peak_bytes(self) -> int:
        """Linear memory never shrinks, so its size at the end is its peak."""
        return self._peak

    # ------------------------------------------------------------ one run

    def _limit(self, store: wasmtime.Store, job: Job) -> None:
        store.set_limits(
            memory_size=job.memory_bytes,
            table_elements=TABLE_ELEMENTS_MAX,
            instances=1,
            tables=8,
            memories=1,
        )
        store.set_epoch_deadline(1)
        if job.fuel_max:
            store.set_fuel(job.fuel_max)
        wasi = wasmtime.WasiConfig()
        wasi.argv = ["main", *job.args]
        wasi.env = list(job.env.items())
        wasi.stdin_file = self._stdin.path
        wasi.stdout_file = self._stdout.path
        wasi.stderr_file = self._stderr.path
        store.set_wasi(wasi)

    def _call(self, store: wasmtime.Store, pre: wasmtime.InstancePre, job: Job) -> None:
        instance = None
        self._watchdog.arm(job.run_ms)
        try:
            instance = pre.instantiate(store)
            start = instance.exports(store).get("_start")
            if not isinstance(start, wasmtime.Func):
                raise TaskFailure("invalid_input", "the module is no WASI command: no _start")
            start(store)
        except wasmtime.ExitTrap as error:
            self._measure(store, instance)
            if error.code != 0:
                raise self._exited(job, error.code) from None
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            self._measure(store, instance)
            raise self._failed(job, error) from None
        finally:
            self._watchdog.disarm()
        self._measure(store, instance)

    def _measure(self, store: wasmtime.Store, instance: wasmtime.Instance | None) -> None:
        memory = instance.exports(store).get("memory") if instance is not None else None
        if isinstance(memory, wasmtime.Memory):
            self._peak = memory.data_len(store)

    def _exited(self, job: Job, code: int) -> TaskFailure:
        if self._stdout.size() > job.output_bytes_max:
            return _too_much_output(job)
        if self._peak >= _BRIM * job.memory_bytes:
            return TaskFailure("memory", _GONE.format(job.memory_bytes >> 20), exit_code=code)
        return TaskFailure("exit_code", f"the program ended with code {code}", exit_code=code)

    def _failed(self, job: Job, error: Exception) -> TaskFailure:
        code = error.trap_code if isinstance(error, wasmtime.Trap) else None
        text = _first_line(str(error))
        if code is wasmtime.TrapCode.INTERRUPT and self._watchdog.barked:
            return TaskFailure("timeout", f"it ran longer than its {job.run_ms} ms")
        if code is wasmtime.TrapCode.OUT_OF_FUEL:
            return TaskFailure("fuel", f"its {job.fuel_max} units of fuel are used up")
        if self._stdout.size() > job.output_bytes_max:
            return _too_much_output(job)
        if self._peak >= _FULL * job.memory_bytes or "exceeds memory limits" in str(error):
            return TaskFailure("memory", _GONE.format(job.memory_bytes >> 20))
        if code is None and not isinstance(error, wasmtime.Trap):
            return TaskFailure("invalid_input", text)
        return TaskFailure("trap", text)

    def _interrupt(self) -> None:
        for engine, _ in self._engines.values():
            engine.increment_epoch()

    # ------------------------------------------------------------ modules

    def _engine(self, fuel: bool) -> tuple[wasmtime.Engine, wasmtime.Linker]:
        if fuel not in self._engines:
            config = wasmtime.Config()
            config.epoch_interruption = True
            config.consume_fuel = fuel
            config.cranelift_nan_canonicalization = True  # the same bytes on every device
            config.wasm_threads = False
            config.wasm_relaxed_simd = False  # its results differ between processors
            config.parallel_compilation = False  # the tenant leased so many cores, not all
            engine = wasmtime.Engine(config)
            linker = wasmtime.Linker(engine)
            linker.define_wasi()
            self._engines[fuel] = (engine, linker)
        return self._engines[fuel]

    def _module(self, job: Job) -> wasmtime.InstancePre:
        key = (job.artifact_digest, job.fuel_max > 0)
        if key in self._modules:
            self._modules.move_to_end(key)
            return self._modules[key]
        engine, linker = self._engine(job.fuel_max > 0)
        hygiene.limit_data(hygiene.own_memory("VmData") + COMPILER_DATA_BYTES)
        try:
            pre = linker.instantiate_pre(self._load(engine, job))
        except wasmtime.WasmtimeError as error:
            text = _first_line(str(error))
            raise TaskFailure("invalid_input", f"not a module that runs here: {text}") from None
        finally:
            hygiene.limit_data(hygiene.unlimited())
        self._modules[key] = pre
        while len(self._modules) > MODULES_MAX:
            self._modules.popitem(last=False)
        return pre

    def _load(self, engine: wasmtime.Engine, job: Job) -> wasmtime.Module:
        fuel = "fuel" if job.fuel_max else "plain"
        name = f"{job.artifact_digest.removeprefix('sha256:')}-{_VERSION}-{fuel}"
        path = self._compiled / f"{name}.cwasm"
        if path.exists():
            try:
                return wasmtime.Module.deserialize_file(engine, str(path))
            except wasmtime.WasmtimeError:
                path.unlink(missing_ok=True)  # of another version or processor, or cut short
        data = Path(job.artifact_path).read_bytes()
        if not data.startswith(b"\x00asm"):  # the library would take text for WAT
            raise TaskFailure("invalid_input", "not a WASM module: it does not begin with \\0asm")
        module = wasmtime.Module(engine, data)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(module.serialize())
        temporary.replace(path)
        return module


def _too_much_output(job: Job) -> TaskFailure:
    return TaskFailure("output_limit", f"it wrote more than its {job.output_bytes_max} bytes")


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # wasmtime puts the cause last, behind a backtrace of the module
    return lines[-1] if lines and lines[0].startswith("error while executing") else " ".join(lines)
