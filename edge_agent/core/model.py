"""What the core knows: the owner's terms, the work in hand, and the ports that it reads from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from edge_agent.wire import Assign, AttemptReport, Birth, OfferTerms, Reading, TaskOrder, Usage


class MessageKey(NamedTuple):
    """A sent message by its place in the order of all that this node ever sent."""

    boot: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which start of which node this is; ``boot`` is higher than that of any earlier start."""

    node: str
    boot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerTerms:
    """The owner's caps and rules, enforced here whatever the control plane sends."""

    cpu_millis: int
    memory_bytes: int
    output_bytes_max: int
    runtimes: frozenset[str]
    open_now: bool = True  # inside the owner's hours
    accepts_tenants: frozenset[str] = frozenset()  # empty: everybody
    refuses_tenants: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One attempt with all that is needed to run it."""

    assign: Assign
    order: TaskOrder

    @property
    def attempt(self) -> str:
        """The attempt's id."""
        return self.order.attempt

    @property
    def fence(self) -> int:
        """The attempt's fence."""
        return self.order.fence


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one attempt ended, as an executor saw it."""

    state: Literal["succeeded", "failed", "cancelled"]
    reason: str = "ok"
    detail: str = ""
    exit_code: int | None = None
    result_digest: str = ""
    result_base64: str = ""
    result_bytes: int = 0
    log_tail: str = ""
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The device's condition at one moment."""

    load_1m_milli: int = 0
    memory_available_bytes: int | None = None
    disk_free_bytes: int = 0
    battery_percent: int | None = None
    on_battery: bool = False
    temperature_millicelsius: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What the journal holds of earlier starts."""

    pending: Sequence[MessageKey] = ()  # sent and not acknowledged, oldest first
    interrupted: Sequence[tuple[str, int]] = ()  # (attempt, fence) that had not ended


class Device(Protocol):
    """What the core asks of the machine."""

    def birth(self, now: int) -> Birth:
        """The node's description; ``running`` is filled in by the core."""

    def offer(self, now: int) -> OfferTerms:
        """What is for sale from ``now`` on."""

    def terms(self, now: int) -> OwnerTerms:
        """The owner's rules at ``now``."""

    def sample(self, now: int) -> Sample:
        """The condition at ``now``."""

    def readings(self, now: int) -> tuple[Reading, ...]:
        """Every telemetry value at ``now``."""


class History(Protocol):
    """What the journal remembers of attempts that have ended."""

    def ended(self, attempts: Sequence[str]) -> dict[str, AttemptReport]:
        """The last report of each of ``attempts`` that has ended here."""


class NoHistory:
    """A history for cores that forget: the platform's own fences still hold."""

    def ended(self, attempts: Sequence[str]) -> dict[str, AttemptReport]:
        """Nothing."""
        return {}


@dataclass(slots=True, kw_only=True)
class Live:
    """One attempt in hand: queued until it is started."""

    work: Work
    state: Literal["accepted", "starting", "running"] = "accepted"
    stopping: Outcome | None = None  # what to report once the executor has let go


@dataclass(slots=True, kw_only=True)
class Counters:
    """What was dropped or refused, by cause."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, amount: int = 1) -> None:
        """Count ``amount`` more of ``name``."""
        self.counts[name] = self.counts.get(name, 0) + amount
