"""Makes orders, cores and devices, so that a test states only what it is about."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from edge_agent.core import AgentCore, Deliver, Effect, Identity, OwnerTerms, Restored, Sample
from edge_agent.wire import (
    Assign,
    AttemptReport,
    Birth,
    OfferTerms,
    OnnxSpec,
    Reading,
    TaskOrder,
    WasmSpec,
)

NODE = "node_" + "0" * 32
T0 = 1_700_000_000_000
LEASE_MS = 3_600_000


class FakeDevice:
    """A machine of four cores and 4 GiB that the tests may change."""

    def __init__(self) -> None:
        self.owner = OwnerTerms(
            cpu_millis=4000,
            memory_bytes=4 << 30,
            output_bytes_max=64 << 20,
            runtimes=frozenset({"wasm", "onnx"}),
        )
        self.condition = Sample(load_1m_milli=100, disk_free_bytes=1 << 30)

    def birth(self, now: int) -> Birth:
        return Birth(
            agent_version="1",
            hostname="h",
            arch="x86_64",
            os="Linux",
            cpu_count=4,
            memory_bytes=4 << 30,
            disk_bytes=1 << 30,
            runtimes={"wasm": "1"},
            calibration_ops_per_s=1,
            idle_milliwatts=1,
            max_milliwatts=2,
        )

    def offer(self, now: int) -> OfferTerms:
        return OfferTerms(capacity={"cpu_millis": 4000}, reserve_micros_per_hour={"cpu_millis": 1})

    def terms(self, now: int) -> OwnerTerms:
        return self.owner

    def sample(self, now: int) -> Sample:
        return self.condition

    def readings(self, now: int) -> tuple[Reading, ...]:
        return (Reading(key="load_1m", at=now, value=0.1),)

    def change(self, **changes: Any) -> None:
        self.owner = replace(self.owner, **changes)


class MemoryHistory:
    """A journal's memory of ended attempts, filled from the effects."""

    def __init__(self) -> None:
        self.reports: dict[str, AttemptReport] = {}

    def ended(self, attempts: Sequence[str]) -> dict[str, AttemptReport]:
        return {a: self.reports[a] for a in attempts if a in self.reports}


class Agent:
    """A core with a shell that journals in memory and keeps all effects."""

    def __init__(self, *, restored: Restored | None = None, connected: bool = True) -> None:
        self.device, self.history = FakeDevice(), MemoryHistory()
        self.now = T0
        self.effects: list[Effect] = []
        self.core = AgentCore(
            identity=Identity(node=NODE, boot=3),
            device=self.device,
            history=self.history,
            random=Random(7),
            restored=restored,
            now=T0,
        )
        if connected:
            self.do(self.core.connected(self.now))

    def do(self, effects: list[Effect]) -> list[Effect]:
        """Carry out effects as far as the journal is concerned; returns them."""
        for effect in effects:
            if isinstance(effect, Deliver):
                for report in effect.reports.reports:
                    if report.state not in ("accepted", "running"):
                        self.history.reports[report.attempt] = report
        self.effects += effects
        return effects

    def receive(self, message: Any) -> list[Effect]:
        return self.do(self.core.receive(message, self.now))

    def started(self, attempt: str, fence: int = 1) -> list[Effect]:
        return self.do(self.core.started(attempt, fence, self.now))

    def ended(self, attempt: str, outcome: Any, fence: int = 1) -> list[Effect]:
        return self.do(self.core.ended(attempt, fence, outcome, self.now))

    def run(self, ms: int) -> list[Effect]:
        """Let ``ms`` pass, ticking exactly when the core asks for it."""
        end, seen = self.now + ms, len(self.effects)
        while (wake := self.core.next_wake(self.now)) is not None and wake <= end:
            self.now = max(self.now + (wake <= self.now), wake)
            self.do(self.core.tick(self.now))
        self.now = end
        return self.effects[seen:]

    def of(self, kind: type, effects: list[Effect] | None = None) -> list[Any]:
        return [e for e in (self.effects if effects is None else effects) if isinstance(e, kind)]

    def reports(self, effects: list[Effect] | None = None) -> list[AttemptReport]:
        return [r for e in self.of(Deliver, effects) for r in e.reports.reports]


def order(attempt: str, **changes: Any) -> TaskOrder:
    values: dict[str, Any] = {"attempt": attempt, "fence": 1, "task": "t", "index": 0}
    return TaskOrder(**values | changes)


def assign(*orders: TaskOrder | str, **changes: Any) -> Assign:
    values: dict[str, Any] = {
        "job": "job_1",
        "lease": "lease_1",
        "tenant": "tess",
        "kind": "wasm",
        "cpu_millis": 1000,
        "memory_bytes": 1 << 20,
        "max_run_ms": 1000,
        "slots": 1,
        "lease_ends_at": T0 + LEASE_MS,
        "tasks": tuple(order(o) if isinstance(o, str) else o for o in orders),
        "grant": "g",
        "wasm": WasmSpec(module_digest="sha256:" + "0" * 64),
        "onnx": OnnxSpec(model_digest="sha256:" + "0" * 64),
    }
    return Assign(**values | changes)
