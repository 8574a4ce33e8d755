"""The WASM sandbox in real children: right results, typed ends, warm reuse, nothing leaks."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.modules import wasm
from tests.integration.agent.children import Bench, bench

PAGE = 1 << 16


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("wasm")) as made:
        yield made


RESULTS: list[tuple[str, bytes, bytes]] = [
    ("echo", b"", b""),
    ("echo", b"hello", b"hello"),
    ("echo", bytes(range(256)) * 3_000, bytes(range(256)) * 3_000),  # larger than a socket holds
    ("primes", b"100", b"25"),  # 2 … 97
    ("primes", b"200000", b"17984"),  # π(2·10⁵)
    ("words", b"  the quick\nbrown\tfox ", b"4"),
    ("words", b"", b"0"),
]


@pytest.mark.parametrize(("module", "given", "result"), RESULTS)
def test_wasm_results(warm: Bench, module: str, given: bytes, result: bytes) -> None:
    finish, output = warm.run(warm.job("wasm", wasm(module)), given)
    assert (finish.reason, finish.detail) == ("ok", "")
    assert output == result
    assert finish.bytes_in == len(given)
    assert finish.wall_us > 0


def test_wasm_input_from_file(warm: Bench, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"a b c")
    job = warm.job("wasm", wasm("words"), input_path=str(tmp_path / "input"))
    finish, output = warm.run(job)
    assert (output, finish.bytes_in) == (b"3", 5)


def test_wasm_arguments_and_environment_are_the_jobs_own(warm: Bench) -> None:
    job = warm.job("wasm", wasm("arguments"), args=("-n", "ä"), env={"MODE": "fast"})
    assert warm.run(job)[1] == "main\0-n\0ä\0MODE=fast\0".encode()


FAILURES: list[tuple[str, dict[str, Any], str, str]] = [
    ("loop", {"run_ms": 150}, "timeout", "longer than its 150 ms"),
    ("loop", {"fuel_max": 100_000}, "fuel", "100000 units of fuel"),
    ("hoard", {"memory_bytes": 4 << 20}, "memory", "limit of 4 MiB"),
    ("exit", {}, "exit_code", "code 3"),
    ("trap", {}, "trap", "divide by zero"),
    ("flood", {"output_bytes_max": 100_000}, "output_limit", "100000 bytes"),
    ("flood", {"output_bytes_max": 10}, "output_limit", "10 bytes"),
    ("echo", {"memory_bytes": PAGE}, "memory", "limit of 0 MiB"),  # its first memory is 2 pages
]


@pytest.mark.parametrize(
    ("module", "changes", "reason", "said"), FAILURES, ids=[f"{f[0]}-{f[2]}" for f in FAILURES]
)
def test_wasm_failures_are_typed(
    warm: Bench, module: str, changes: dict[str, Any], reason: str, said: str
) -> None:
    finish, output = warm.run(warm.job("wasm", wasm(module), **changes))
    assert finish.reason == reason, finish
    assert said in finish.detail
    assert output == b""


def test_wasm_exit_code_and_log_tail(warm: Bench) -> None:
    finish, _ = warm.run(warm.job("wasm", wasm("exit")))
    assert (finish.exit_code, finish.log_tail) == (3, "no such thing\n")
    finish, _ = warm.run(warm.job("wasm", wasm("echo")))
    assert finish.log_tail == ""  # the next task sees nothing of it


@pytest.mark.parametrize(
    "module",
    [b"", b"garbage", b"\x00asm\x01\x00\x00\x00\xff", b"(module)", wasm("echo")[:-20]],
    ids=["empty", "garbage", "broken", "text", "cut"],
)
def test_wasm_bad_module_is_invalid_input(warm: Bench, module: bytes) -> None:
    finish, _ = warm.run(warm.job("wasm", module))
    assert finish.reason == "invalid_input"
    assert finish.detail


def test_wasm_module_without_start_is_invalid_input(warm: Bench) -> None:
    finish, _ = warm.run(warm.job("wasm", b"\x00asm\x01\x00\x00\x00"))
    assert finish.reason == "invalid_input"
    assert "_start" in finish.detail


def test_wasm_after_every_failure_the_child_still_works(warm: Bench) -> None:
    pids = warm.pool.pids
    for module, changes, _, _ in FAILURES:
        warm.run(warm.job("wasm", wasm(module), **changes))
    assert warm.run(warm.job("wasm", wasm("primes")), b"100")[1] == b"25"
    assert warm.pool.pids == pids


def test_wasm_memory_peak_is_the_guests(warm: Bench) -> None:
    finish, _ = warm.run(warm.job("wasm", wasm("echo")), b"x")
    assert finish.memory_peak_bytes == 2 * PAGE


def test_wasm_cpu_is_metered(warm: Bench) -> None:
    warm.run(warm.job("wasm", wasm("primes")), b"10")
    small, _ = warm.run(warm.job("wasm", wasm("primes")), b"10")
    large, _ = warm.run(warm.job("wasm", wasm("primes")), b"300000")
    assert large.cpu_us > 10 * small.cpu_us
    assert large.cpu_us <= large.wall_us * 1.5


def test_wasm_warm_task_is_quick(warm: Bench) -> None:
    warm.run(warm.job("wasm", wasm("echo")), b"x")
    used = sorted(warm.run(warm.job("wasm", wasm("echo")), b"x")[0].cpu_us for _ in range(50))
    assert used[25] < 10_000  # half of them; a cold start takes ten times as much


def test_wasm_stop_kills_the_run_and_meters_it(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        ending = made.start(made.job("wasm", wasm("loop")))
        made.wait(ending, for_start=True)
        (pid,) = made.pool.pids
        assert made.pool.stop("job-1")
        made.wait(ending)
        assert not Path(f"/proc/{pid}").exists()
        assert ending.heard[0][0].wall_us > 0
        assert made.run(made.job("wasm", wasm("words")), b"a b")[1] == b"2"


def test_wasm_killed_child_is_reported_and_replaced(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        ending = made.start(made.job("wasm", wasm("loop")))
        made.wait(ending, for_start=True)
        os.kill(made.pool.pids[0], signal.SIGKILL)
        made.wait(ending)
        assert ending.heard[0][0].reason in ("trap", "memory")
        assert made.run(made.job("wasm", wasm("words")), b"a b")[1] == b"2"


def test_wasm_jobs_at_once_get_a_child_each(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        endings = [made.start(made.job("wasm", wasm("words")), b"a " * n) for n in range(3)]
        assert len(made.pool.pids) == 3
        for number, ending in enumerate(endings):
            made.wait(ending)
            assert ending.heard[0][1] == str(number).encode()


def test_wasm_compiled_module_is_reused_by_the_next_child(tmp_path: Path) -> None:
    with bench(tmp_path, idle_s=0.0) as made:
        job = made.job("wasm", wasm("words"))
        made.run(job, b"a")
        (compiled,) = (tmp_path / "compiled").iterdir()
        written = compiled.stat().st_mtime_ns
        assert made.run(job, b"a b")[1] == b"2"
        assert compiled.stat().st_mtime_ns == written
        compiled.write_bytes(b"damaged")
        made.turn()
        assert made.run(job, b"a b c")[1] == b"3"


def test_idle_child_is_ended(tmp_path: Path) -> None:
    with bench(tmp_path, idle_s=0.05) as made:
        made.run(made.job("wasm", wasm("words")), b"a")
        (pid,) = made.pool.pids
        deadline = time.monotonic() + 10
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            made.turn()
        assert made.pool.pids == []


def test_child_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUK_SECRET", "of the owner")
    with bench(tmp_path) as made:
        made.run(made.job("wasm", wasm("words")), b"a")
        (pid,) = made.pool.pids
        proc = Path(f"/proc/{pid}")
        assert b"SOUK_SECRET" not in (proc / "environ").read_bytes()
        assert os.getpgid(pid) == pid
        targets = {os.readlink(handle) for handle in (proc / "fd").iterdir()}
        files = {t for t in targets if t.startswith("/") and not t.startswith("/memfd:")}
        assert files == {"/dev/null", str(made.folder / "scratch" / "children.log")}
        status = (proc / "status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert os.getpriority(os.PRIO_PROCESS, pid) >= 10


def test_jobs_beyond_the_bound_wait_their_turn(tmp_path: Path) -> None:
    with bench(tmp_path, children_max=2) as made:
        loops = [made.start(made.job("wasm", wasm("loop"), run_ms=100)) for _ in range(2)]
        waiting = [made.start(made.job("wasm", wasm("words")), b"a " * n) for n in range(3)]
        assert len(made.pool.pids) == 2
        assert made.pool.stop("job-5")
        for ending in (*loops, *waiting):
            made.wait(ending)
        assert [ending.heard[0][1] for ending in waiting] == [b"0", b"1", b""]
        assert waiting[2].starts == 0
        assert len(made.pool.pids) == 2


def test_idle_child_of_another_kind_gives_way(tmp_path: Path) -> None:
    with bench(tmp_path, children_max=1) as made:
        made.run(made.job("wasm", wasm("words")), b"a")
        finish, _ = made.run(made.job("onnx", b"garbage"))
        assert finish.reason == "invalid_input"
        assert len(made.pool.pids) == 1


def test_child_has_no_network_where_the_kernel_allows(tmp_path: Path) -> None:
    allowed = subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True)
    with bench(tmp_path) as made:
        made.run(made.job("wasm", wasm("words")), b"a")
        theirs = os.readlink(f"/proc/{made.pool.pids[0]}/ns/net")
        assert (theirs != os.readlink("/proc/self/ns/net")) == (allowed.returncode == 0)
