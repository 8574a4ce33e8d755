"""``bench agent``: memory and cpu of an idle agent, and how fast it works off tiny tasks.

A real agent process, a real MQTT server with TLS, real sandboxes; only the control plane is played
by this program. The agent's bytecode is compiled before, as an installed wheel's is.
"""

import argparse
import base64
import itertools
import json
import os
import queue
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import wasmtime
from paho.mqtt.enums import CallbackAPIVersion

from broker.services import pki
from broker.services.pki_files import device_authority
from edge_agent.digests import digest_of
from edge_agent.identity import Enrolment, StateDir
from edge_agent.wire import (
    Ack,
    Assign,
    AttemptReport,
    AttemptReports,
    Envelope,
    Message,
    State,
    TaskOrder,
    WasmSpec,
    decode,
    down_topic,
    encode,
    up_filter,
)
from stack.mqtt_server import MqttServer, ephemeral_mqtt

NODE = "node_" + "b" * 32
ROOT = Path(__file__).parent.parent
WAIT_S = 60.0
BATCH = 100  # tasks in one order
MODULE = """
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "done")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 4))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured."""

    idle_rss_mib: float
    idle_cpu_percent: float  # of one core
    idle_seconds: float
    tasks_per_s: float
    agent_cpu_ms_per_task: float
    one_task_ms_p50: float  # order published → result received
    one_task_ms_p99: float
    rss_after_mib: float


class Control:
    """The control plane's part: sends orders, hears and acknowledges reports."""

    def __init__(self, server: MqttServer) -> None:
        self.ended: queue.Queue[AttemptReport] = queue.Queue()
        self.seen: queue.Queue[State] = queue.Queue()
        self._seq = itertools.count(1)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bench")
        context = ssl.create_default_context(cafile=str(server.pki.ca_pem))
        context.load_cert_chain(server.pki.platform_pem, server.pki.platform_key)
        self._client.tls_set_context(context)
        self._client.on_connect = lambda client, *_: client.subscribe(up_filter(), qos=1)
        self._client.on_message = self._on_message
        self._client.on_socket_open = _no_delay
        parts = urlsplit(server.url)
        self._client.connect(parts.hostname or "", parts.port or 0)
        self._client.loop_start()

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, message: Message) -> None:
        """Send one message to the node."""
        envelope = Envelope(node=NODE, boot=1, seq=next(self._seq), at=_unix_ms(), data=message)
        self._client.publish(down_topic(NODE, message.TYPE), encode(envelope), qos=1)

    def order(self, digest: str, names: Sequence[str], *, slots: int) -> None:
        """Have the node run the module once for each name."""
        tasks = tuple(TaskOrder(attempt=n, fence=1, task=n, index=0) for n in names)
        self.send(
            Assign(
                job="job",
                lease="lease",
                tenant="bench",
                kind="wasm",
                cpu_millis=500,
                memory_bytes=16 << 20,
                max_run_ms=10_000,
                slots=slots,
                lease_ends_at=_unix_ms() + 3_600_000,
                tasks=tasks,
                grant="",
                wasm=WasmSpec(module_digest=digest),
            )
        )

    def await_ends(self, count: int) -> None:
        """Wait until so many attempts have succeeded."""
        for _ in range(count):
            report = self.ended.get(timeout=WAIT_S)
            if base64.b64decode(report.result_base64) != b"done":
                raise RuntimeError(f"a task failed: {report.reason} {report.detail}")

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        if not message.payload:
            return
        envelope = decode(bytes(message.payload))
        if isinstance(envelope.data, State):
            self.seen.put(envelope.data)
        if isinstance(envelope.data, AttemptReports):
            self.send(Ack(acked_boot=envelope.boot, seqs=(envelope.seq,)))
            for report in envelope.data.reports:
                if report.state not in ("accepted", "running"):
                    self.ended.put(report)


def _no_delay(_client: mqtt.Client, _data: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def measure(*, idle_s: float, tasks: int, singles: int) -> Figures:
    """Run one agent through all of it."""
    with tempfile.TemporaryDirectory() as name, ephemeral_mqtt() as server:
        folder = Path(name)
        digest = _prepare(folder, server)
        _warm_bytecode(folder)
        control = Control(server)
        try:
            with _agent(folder) as pid:
                control.seen.get(timeout=WAIT_S)
                return _figures(control, pid, digest, idle_s=idle_s, tasks=tasks, singles=singles)
        finally:
            control.close()


def _figures(
    control: Control, pid: int, digest: str, *, idle_s: float, tasks: int, singles: int
) -> Figures:
    time.sleep(1.0)  # the start is over
    idle_rss, cpu = _rss_mib(pid), _cpu_s(pid)
    time.sleep(idle_s)
    idle_cpu = (_cpu_s(pid) - cpu) / idle_s * 100
    control.order(digest, ["warm0", "warm1"], slots=2)
    control.await_ends(2)
    cpu, started = _cpu_s(pid), time.perf_counter()
    for batch in range(0, tasks, BATCH):
        names = [f"task{n}" for n in range(batch, min(batch + BATCH, tasks))]
        control.order(digest, names, slots=2)
    control.await_ends(tasks)
    took, busy = time.perf_counter() - started, _cpu_s(pid) - cpu
    walls = sorted(_one(control, digest, f"single{n}") for n in range(singles))
    return Figures(
        idle_rss_mib=round(idle_rss, 1),
        idle_cpu_percent=round(idle_cpu, 3),
        idle_seconds=idle_s,
        tasks_per_s=round(tasks / took, 1),
        agent_cpu_ms_per_task=round(busy / tasks * 1000, 3),
        one_task_ms_p50=round(walls[len(walls) // 2] * 1000, 2),
        one_task_ms_p99=round(walls[int(len(walls) * 0.99)] * 1000, 2),
        rss_after_mib=round(_rss_mib(pid), 1),
    )


def _one(control: Control, digest: str, name: str) -> float:
    started = time.perf_counter()
    control.order(digest, [name], slots=1)
    control.await_ends(1)
    return time.perf_counter() - started


def _prepare(folder: Path, server: MqttServer) -> str:
    """Enrol the node by hand and lay the module into its cache; returns the module's digest."""
    state = StateDir(folder / "state")
    state.make()
    now, life = datetime.now(UTC), timedelta(days=1)
    authority = device_authority(server.pki.ca_pem.parent)
    pair = pki.issue(authority, NODE, now=now, ttl=life)
    enrolment = Enrolment(
        node_id=NODE,
        server="https://127.0.0.1:1",
        mqtt_url=server.public_url,
        artifacts_url="https://127.0.0.1:1",
        renew_after=(now + life / 2).isoformat(),
        expires_at=(now + life).isoformat(),
    )
    state.save(enrolment, key=pair.key_pem, certificate=pair.certificate_pem, ca=authority.pem)
    module = bytes(wasmtime.wat2wasm(MODULE))
    digest = digest_of(module)
    (state.artifacts / digest.removeprefix("sha256:")).write_bytes(module)
    (folder / "agent.toml").write_text('[share]\nmemory_bytes = "256 MiB"\n')
    return digest


def _command(folder: Path, name: str) -> list[str]:
    options = ["--config", str(folder / "agent.toml"), "--state-dir", str(folder / "state")]
    return [sys.executable, "-m", "edge_agent", name, *options]


def _environment(folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def _warm_bytecode(folder: Path) -> None:
    code = "import edge_agent.cli, edge_agent.runtime, edge_agent.logs, edge_agent.calibration"
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, env=_environment(folder), timeout=WAIT_S
    )


@contextmanager
def _agent(folder: Path) -> Iterator[int]:
    with (folder / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            _command(folder, "run"), stdout=log, stderr=log, cwd=ROOT, env=_environment(folder)
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(WAIT_S)


def _rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _cpu_s(pid: int) -> float:
    """User and system time of the agent itself; its children are not in it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench agent", description=__doc__)
    parser.add_argument("--idle-seconds", type=float, default=20.0)
    parser.add_argument("--tasks", type=int, default=2_000)
    parser.add_argument("--singles", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args(argv)
    figures = measure(
        idle_s=arguments.idle_seconds, tasks=arguments.tasks, singles=arguments.singles
    )
    if arguments.json:
        print(json.dumps(asdict(figures)))
    else:
        print(f"idle: {figures.idle_rss_mib} MiB RSS, {figures.idle_cpu_percent} % of a core")
        print(
            f"tiny WASM tasks on two slots: {figures.tasks_per_s} a second,"
            f" {figures.agent_cpu_ms_per_task} ms of the agent's cpu each"
        )
        print(
            f"one task, order to result: p50 {figures.one_task_ms_p50} ms,"
            f" p99 {figures.one_task_ms_p99} ms; {figures.rss_after_mib} MiB RSS after all"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
