"""The platform's MQTT side for tests of the agent, and agents as real processes."""

import base64
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge_agent.wire import (
    CONTROL_STATE,
    Ack,
    Assign,
    AttemptReport,
    AttemptReports,
    Birth,
    Envelope,
    Message,
    OnnxSpec,
    TaskOrder,
    WasmSpec,
    decode,
    down_topic,
    encode,
    up_filter,
)
from stack.mqtt_server import MqttServer
from tests.integration.agent.office import GRANT, Office

DEADLINE_S = 30.0
ROOT = Path(__file__).parents[3]
ENDS = ("succeeded", "failed", "cancelled")
Found = TypeVar("Found")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class ControlPlane:
    """Hears everything that one node says, and acknowledges its reports while told to."""

    def __init__(self, server: MqttServer, node: str) -> None:
        self.acknowledges = True
        self.node = node
        self.stale: set[str] = set()
        self.heard: list[Envelope] = []
        self._changed = threading.Condition()
        self._seq = 0
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="control")
        context = ssl.create_default_context(cafile=str(server.pki.ca_pem))
        context.load_cert_chain(server.pki.platform_pem, server.pki.platform_key)
        self._client.tls_set_context(context)
        self._client.on_connect = lambda c, *_: c.subscribe(up_filter(node), qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.on_socket_open = lambda _c, _d, sock: sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        parts = urlsplit(server.url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._client.connect(parts.hostname, parts.port)
        self._client.loop_start()
        assert self._subscribed.wait(DEADLINE_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, message: Message) -> None:
        self._seq += 1
        envelope = Envelope(node=self.node, boot=1, seq=self._seq, at=now_ms(), data=message)
        self.send_raw(down_topic(self.node, message.TYPE), encode(envelope))

    def send_raw(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain)

    def send_control_state(self, message: Message) -> None:
        envelope = Envelope(node="control", boot=1, seq=1, at=now_ms(), data=message)
        self.send_raw(CONTROL_STATE, encode(envelope), retain=True)

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        if not message.payload:
            return  # a retained death taken back
        envelope = decode(bytes(message.payload))
        with self._changed:
            self.heard.append(envelope)
            self._changed.notify_all()
        if isinstance(envelope.data, AttemptReports) and self.acknowledges:
            stale = sorted({r.attempt for r in envelope.data.reports} & self.stale)
            ack = Ack(acked_boot=envelope.boot, seqs=(envelope.seq,), stale=tuple(stale))
            self.send(ack)

    # ------------------------------------------------------------ looking

    def wait(self, find: Callable[[], Found | None], what: str) -> Found:
        """Wait until ``find`` gives something, looking again after each message."""
        deadline = time.monotonic() + DEADLINE_S
        with self._changed:
            while (found := find()) is None:
                left = deadline - time.monotonic()
                assert left > 0, f"{what} did not come; heard {[e.data for e in self.heard[-6:]]}"
                self._changed.wait(min(left, 0.2))
        return found

    def wait_for(
        self, cls: type[Message], matches: Callable[[Any], bool] = lambda _: True, *, after: int = 0
    ) -> Envelope:
        """The first message of ``cls`` that matches, among those heard from ``after`` on."""

        def find() -> Envelope | None:
            return next(
                (e for e in self.heard[after:] if isinstance(e.data, cls) and matches(e.data)), None
            )

        return self.wait(find, cls.__name__)

    def reports(self, attempt: str) -> list[AttemptReport]:
        """All reports of one attempt, in order of arrival."""
        messages = [e.data for e in list(self.heard) if isinstance(e.data, AttemptReports)]
        return [r for message in messages for r in message.reports if r.attempt == attempt]

    def wait_report(self, attempt: str, *states: str) -> AttemptReport:
        """The first report of ``attempt`` in one of ``states``."""

        def find() -> AttemptReport | None:
            return next((r for r in self.reports(attempt) if r.state in states), None)

        return self.wait(find, f"{attempt} {states}")

    def wait_end(self, attempt: str) -> AttemptReport:
        """The report of the attempt's end."""
        return self.wait_report(attempt, *ENDS)


def order(attempt: str, given: bytes = b"", *, fence: int = 1, **changes: Any) -> TaskOrder:
    values: dict[str, Any] = {
        "attempt": attempt,
        "fence": fence,
        "task": f"task_{attempt}",
        "index": 0,
        "input_base64": base64.b64encode(given).decode(),
    }
    return TaskOrder(**values | changes)


def assign(digest: str, *orders: TaskOrder, kind: str = "wasm", **changes: Any) -> Assign:
    values: dict[str, Any] = {
        "job": "job_1",
        "lease": "lease_1",
        "tenant": "tess",
        "kind": kind,
        "cpu_millis": 500,
        "memory_bytes": 64 << 20,
        "max_run_ms": 20_000,
        "slots": 1,
        "lease_ends_at": now_ms() + 600_000,
        "tasks": orders,
        "grant": GRANT,
        "wasm": WasmSpec(module_digest=digest) if kind == "wasm" else None,
        "onnx": OnnxSpec(model_digest=digest) if kind == "onnx" else None,
    }
    return Assign(**values | changes)


class AgentProcess:
    """``souk-agent`` with a state directory of its own."""

    def __init__(self, folder: Path, config: str = "") -> None:
        self.state = folder / "state"
        self.config = folder / "agent.toml"
        self.log = folder / "agent.log"
        self.config.write_text(config)
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str) -> list[str]:
        options = ["--config", str(self.config), "--state-dir", str(self.state)]
        return [sys.executable, "-m", "edge_agent", arguments[0], *options, *arguments[1:]]

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run one command to its end."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, cwd=ROOT, timeout=60
        )

    def enrol(self, office: Office) -> None:
        done = self.call("enrol", "--server", office.url, "--token", office.token)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.command("run"), stdout=log, stderr=log, cwd=ROOT)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """As a loss of power would: no last words."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """As a service manager does; returns the exit code."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(DEADLINE_S)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def _end(self, number: int) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(number)
        return process.wait(DEADLINE_S)


@contextmanager
def agent_process(folder: Path, office: Office, config: str = "") -> Iterator[AgentProcess]:
    """An enrolled, running agent."""
    agent = AgentProcess(folder, config)
    agent.enrol(office)
    agent.start()
    try:
        yield agent
    finally:
        agent.kill()


def births(heard: Sequence[Envelope]) -> list[Envelope]:
    return [e for e in heard if isinstance(e.data, Birth)]
