"""Virtual agents: many nodes in one process, with the real agent's decisions on the real wire.

Each node is an ``edge_agent.core.AgentCore``, so it admits, journals (in memory), acknowledges and
fences as a device does. What is left out is the sandbox: a task ends after ``run`` says so. All
nodes share one MQTT connection under the platform's certificate, which may write every topic.
"""

import base64
import hashlib
import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from broker.mqtt import Arrived, Link
from edge_agent.core.agent import AgentCore
from edge_agent.core.effects import Deliver, Effect, Forget, Resend, Send, Start, Stop
from edge_agent.core.model import Identity, MessageKey, Outcome, OwnerTerms, Sample, Work
from edge_agent.wire import (
    AttemptReport,
    AttemptReports,
    Birth,
    Death,
    Envelope,
    OfferTerms,
    Reading,
    Usage,
    WireError,
    decode,
    encode,
    parse_topic,
    up_topic,
)

Run = Callable[[Work], tuple[Outcome, float]]  # the outcome, and after how many seconds
RUNTIMES = {"wasm": "virtual", "onnx": "virtual"}
HISTORY_MAX = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """One virtual node."""

    id: str
    cpu_millis: int = 64_000
    memory_bytes: int = 64 << 30
    reserve: tuple[tuple[str, int], ...] = (("cpu_millis", 100), ("memory_bytes", 10))
    ops_per_s: int = 10_000_000


def echo(work: Work, *, seconds: float = 0.0) -> tuple[Outcome, float]:
    """A result that names the task, after ``seconds``."""
    result = f"{work.order.task}:{work.order.index}".encode()
    usage = Usage(wall_ms=max(1, int(seconds * 1000)), cpu_ms=1, bytes_out=len(result))
    return Outcome(
        state="succeeded",
        exit_code=0,
        result_digest=f"sha256:{hashlib.sha256(result).hexdigest()}",
        result_base64=base64.b64encode(result).decode(),
        result_bytes=len(result),
        usage=usage,
    ), seconds


class _Device:
    """What a core asks of its machine."""

    def __init__(self, spec: NodeSpec) -> None:
        self._spec = spec
        self._terms = OwnerTerms(
            cpu_millis=spec.cpu_millis,
            memory_bytes=spec.memory_bytes,
            output_bytes_max=1 << 20,
            runtimes=frozenset(RUNTIMES),
        )

    def birth(self, _now: int) -> Birth:
        return Birth(
            agent_version="virtual",
            hostname=self._spec.id,
            arch="x86_64",
            os="virtual",
            cpu_count=self._spec.cpu_millis // 1000,
            memory_bytes=self._spec.memory_bytes,
            disk_bytes=1 << 40,
            runtimes=dict(RUNTIMES),
            calibration_ops_per_s=self._spec.ops_per_s,
            idle_milliwatts=2_000,
            max_milliwatts=10_000,
        )

    def offer(self, _now: int) -> OfferTerms:
        return OfferTerms(
            capacity={
                "cpu_millis": self._spec.cpu_millis,
                "memory_bytes": self._spec.memory_bytes,
            },
            reserve_micros_per_hour=dict(self._spec.reserve),
        )

    def terms(self, _now: int) -> OwnerTerms:
        return self._terms

    def sample(self, _now: int) -> Sample:
        return Sample(disk_free_bytes=1 << 40)

    def readings(self, now: int) -> tuple[Reading, ...]:
        return (Reading(key="load_1m", at=now, value=0.5),)


@dataclass(slots=True)
class _Node:
    """A core with its journal in memory."""

    core: AgentCore
    journal: dict[MessageKey, Envelope] = field(default_factory=dict)
    past: dict[str, AttemptReport] = field(default_factory=dict)
    dead: bool = False  # does nothing any more
    cut_off: bool = False  # goes on, and neither hears nor is heard

    def ended(self, attempts: Sequence[str]) -> dict[str, AttemptReport]:
        return {attempt: self.past[attempt] for attempt in attempts if attempt in self.past}


@dataclass(slots=True, kw_only=True)
class VirtualFleet:
    """Runs nodes in a thread of its own until ``stop``."""

    url: str
    tls: tuple[Path, Path, Path]
    specs: Sequence[NodeSpec]
    run: Run = echo
    boot: int = 1
    client_id: str = "souk-virtual"
    started: dict[str, int] = field(default_factory=dict)  # runs begun, by task: more than once?
    _nodes: dict[str, _Node] = field(default_factory=dict)
    _inbox: "queue.SimpleQueue[Arrived | Callable[[], None]]" = field(
        default_factory=queue.SimpleQueue
    )
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _count: "itertools.count[int]" = field(default_factory=itertools.count)
    _link: Link = field(init=False)
    _thread: threading.Thread = field(init=False)
    _stopping: bool = False

    def start(self) -> "VirtualFleet":
        """Connect and introduce every node."""
        now = _unix_ms()
        for spec in self.specs:
            node = _Node(core=None)  # type: ignore[arg-type]
            node.core = AgentCore(
                identity=Identity(node=spec.id, boot=self.boot),
                device=_Device(spec),
                history=node,
                random=Random(spec.id),
                now=now,
            )
            self._nodes[spec.id] = node
        self._link = Link(
            self.url,
            self.tls,
            client_id=self.client_id,
            subscriptions=("souk/v1/n/+/down/#", "souk/v1/control/state"),
            on_message=self._inbox.put,
            on_connect=lambda: self._inbox.put(self._connected),
        )
        self._thread = threading.Thread(target=self._loop, name="virtual fleet", daemon=True)
        self._thread.start()
        self._link.start()
        return self

    def stop(self) -> None:
        """Leave without a word, once what was asked for before is done."""
        self._inbox.put(self._end)
        self._thread.join(10.0)
        self._link.stop()

    def kill(self, node: str) -> None:
        """The node vanishes: it does and says nothing any more; the server tells its will."""
        self._inbox.put(lambda: self._kill(node))

    def freeze(self, node: str) -> None:
        """The node is cut off: it hears and says nothing, and nobody tells."""
        self._inbox.put(lambda: self._cut(node, True))

    def thaw(self, node: str) -> None:
        """A node that was cut off is back, with its journal."""
        self._inbox.put(lambda: self._cut(node, False))

    # ------------------------------------------------------------ the thread

    def _loop(self) -> None:
        next_tick = 0.0
        while not self._stopping:
            self._take(max(0.0, min(self._next_due(), next_tick) - time.monotonic()))
            now_s = time.monotonic()
            while self._due and self._due[0][0] <= now_s:
                heapq.heappop(self._due)[2]()
            if now_s >= next_tick:
                next_tick = now_s + 0.005
                self._tick()

    def _take(self, timeout_s: float) -> None:
        try:
            item = self._inbox.get(timeout=timeout_s)
            while True:
                if callable(item):
                    item()
                else:
                    self._receive(item)
                item = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _next_due(self) -> float:
        return self._due[0][0] if self._due else float("inf")

    def _tick(self) -> None:
        now = _unix_ms()
        for node in self._nodes.values():
            wake = None if node.dead else node.core.next_wake(now)
            if wake is not None and wake <= now:
                self._do(node, node.core.tick(now))

    def _end(self) -> None:
        self._stopping = True

    def _connected(self) -> None:
        for node in self._nodes.values():
            if not node.dead and not node.cut_off:
                self._do(node, node.core.connected(_unix_ms()))

    def _receive(self, message: Arrived) -> None:
        self._link.ack(message)
        try:
            envelope = decode(message.payload)
        except WireError:
            return
        place = parse_topic(message.topic)
        targets = self._nodes.values() if place is None else [self._nodes.get(place[0])]
        for node in targets:
            if node is not None and not node.dead and not node.cut_off:
                self._do(node, node.core.receive(envelope.data, _unix_ms()))

    def _kill(self, name: str) -> None:
        node = self._nodes[name]
        node.dead = True
        will = Envelope(node=name, boot=self.boot, seq=0, at=_unix_ms(), data=Death())
        self._link.publish(up_topic(name, Death.TYPE), encode(will))

    def _cut(self, name: str, cut_off: bool) -> None:
        node = self._nodes[name]
        node.cut_off = cut_off
        node.core.disconnected(_unix_ms())
        if not cut_off:
            self._do(node, node.core.connected(_unix_ms()))

    def _do(self, node: _Node, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._publish(effect.envelope, retain=effect.retain, qos=effect.qos)
            elif isinstance(effect, Deliver):
                self._deliver(node, effect)
            elif isinstance(effect, Resend):
                for key in effect.keys:
                    if key in node.journal:
                        self._publish(node.journal[key])
            elif isinstance(effect, Forget):
                for key in effect.keys:
                    node.journal.pop(key, None)
            elif isinstance(effect, Start):
                self._start_work(node, effect.work)
            elif isinstance(effect, Stop):
                stopped = Outcome(state="cancelled", reason="cancelled_by_user")
                self._end_work(node, effect.attempt, effect.fence, stopped)

    def _deliver(self, node: _Node, effect: Deliver) -> None:
        envelope = effect.envelope
        node.journal[MessageKey(envelope.boot, envelope.seq)] = envelope
        assert isinstance(envelope.data, AttemptReports)
        for report in envelope.data.reports:
            if report.state not in ("accepted", "running"):
                node.past[report.attempt] = report
        while len(node.past) > HISTORY_MAX:
            del node.past[next(iter(node.past))]
        self._publish(envelope)

    def _start_work(self, node: _Node, work: Work) -> None:
        task = work.order.task
        self.started[task] = self.started.get(task, 0) + 1
        self._do(node, node.core.started(work.attempt, work.fence, _unix_ms()))
        outcome, seconds = self.run(work)
        end = (
            time.monotonic() + seconds,
            next(self._count),
            lambda: self._end_work(node, work.attempt, work.fence, outcome),
        )
        heapq.heappush(self._due, end)

    def _end_work(self, node: _Node, attempt: str, fence: int, outcome: Outcome) -> None:
        if not node.dead:
            self._do(node, node.core.ended(attempt, fence, outcome, _unix_ms()))

    def _publish(self, envelope: Envelope, *, retain: bool = False, qos: int = 1) -> None:
        # Retained births of thousands of virtual nodes would outlive the benchmark.
        del retain
        if self._nodes[envelope.node].cut_off:
            return
        self._link.publish(up_topic(envelope.node, envelope.type), encode(envelope), qos=qos)


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000
