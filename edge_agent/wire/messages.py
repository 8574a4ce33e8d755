"""Every message of the protocol as a frozen dataclass; units are in the names.

Lists are tuples, so that messages compare and hash by value. A field with a default may be absent
on the wire; unknown fields are ignored, so either side may be the newer one.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

Encoding = Literal["json", "npz"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Base of all messages; ``TYPE`` is the last level of the topic and the envelope's type."""

    TYPE: ClassVar[str] = ""


# ---------------------------------------------------------------- up: from the node


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferTerms(Message):
    """What the owner asks: reserve price per priced unit and hour, by resource name.

    ``capacity`` is what may be sold, in base units (already capped by the owner's share).
    ``opens_at``/``closes_at`` are Unix milliseconds; 0 means open ended.
    """

    TYPE: ClassVar[str] = "offer"
    capacity: dict[str, int]
    reserve_micros_per_hour: dict[str, int]
    opens_at: int = 0
    closes_at: int = 0
    accepts_tenants: tuple[str, ...] = ()  # account names; empty: everybody
    refuses_tenants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth(Message):
    """Retained: who the node is and what it has, once per boot and after a rebirth."""

    TYPE: ClassVar[str] = "birth"
    agent_version: str
    hostname: str
    arch: str  # machine name as in uname: x86_64, aarch64, armv7l
    os: str
    cpu_count: int
    memory_bytes: int
    disk_bytes: int
    runtimes: dict[str, str]  # name → version: {"wasm": "50.0.1", "onnx": "1.31.1"}
    calibration_ops_per_s: int  # of one core, by the agent's own integer loop and memory walk
    idle_milliwatts: int
    max_milliwatts: int
    labels: dict[str, str] = field(default_factory=dict)
    latitude: float | None = None
    longitude: float | None = None
    carbon_g_per_kwh: int | None = None
    offer: OfferTerms | None = None
    running: tuple["AttemptRef", ...] = ()  # what the journal holds alive across the restart


@dataclass(frozen=True, slots=True, kw_only=True)
class Death(Message):
    """The will (unclean) or a farewell (clean); retained; counts only for its own boot."""

    TYPE: ClassVar[str] = "death"
    clean: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRef(Message):
    """One attempt as the node knows it."""

    attempt: str
    fence: int
    state: Literal["accepted", "running"]


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Message):
    """A full picture each heartbeat: idempotent, so a lost one does not matter."""

    TYPE: ClassVar[str] = "state"
    cpu_free_millis: int
    memory_free_bytes: int
    disk_free_bytes: int
    load_1m_milli: int
    running: tuple[AttemptRef, ...] = ()
    battery_percent: int | None = None
    on_battery: bool = False
    temperature_millicelsius: int | None = None
    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Message):
    """One measured value; the key's unit is its suffix."""

    key: str
    at: int  # Unix milliseconds
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry(Message):
    """Many readings in one message; may be lost."""

    TYPE: ClassVar[str] = "telemetry"
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Message):
    """What one attempt used, as metered by the agent."""

    wall_ms: int = 0
    cpu_ms: int = 0
    memory_peak_bytes: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    energy_millijoules: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReport(Message):
    """One step of one attempt.

    A result up to ``RESULT_INLINE_BYTES_MAX`` travels inline (base64), a larger one is uploaded to
    the artifact store first; ``result_digest`` (``sha256:<hex>``) names it in both cases.
    """

    attempt: str
    fence: int
    state: Literal["accepted", "running", "succeeded", "failed", "cancelled"]
    at: int  # Unix milliseconds on the node's clock
    reason: str = "ok"  # a value of the closed list of end reasons
    detail: str = ""  # a sentence for people
    exit_code: int | None = None
    result_digest: str = ""
    result_base64: str = ""
    result_bytes: int = 0
    log_tail: str = ""
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReports(Message):
    """Reports in the order in which they happened; journaled until acknowledged by ``seq``."""

    TYPE: ClassVar[str] = "attempt"
    reports: tuple[AttemptReport, ...]


# ---------------------------------------------------------------- down: from the control plane


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmSpec(Message):
    """A WASI command module and its limits, common to the tasks of one order."""

    module_digest: str
    fuel_max: int = 0  # 0: no fuel limit, wall time alone
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxSpec(Message):
    """An ONNX model; ``threads`` follows the leased cpu."""

    model_digest: str
    threads: int = 1
    output_encoding: Encoding = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOrder(Message):
    """One attempt to run. Input is inline (base64) or an artifact by digest, never both."""

    attempt: str
    fence: int
    task: str
    index: int
    args: tuple[str, ...] = ()
    input_base64: str = ""
    input_digest: str = ""
    input_encoding: Encoding = "json"  # of an onnx task's input


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign(Message):
    """Attempts of one job on one lease; the tasks share spec and limits.

    ``grant`` is a bearer token for the artifacts of this order. ``slots`` attempts may run at the
    same time, each with ``cpu_millis`` and ``memory_bytes``. ``deadline_at`` 0 means none.
    """

    TYPE: ClassVar[str] = "assign"
    job: str
    lease: str
    tenant: str
    kind: Literal["wasm", "onnx"]
    cpu_millis: int
    memory_bytes: int
    max_run_ms: int
    slots: int
    lease_ends_at: int
    tasks: tuple[TaskOrder, ...]
    grant: str
    wasm: WasmSpec | None = None
    onnx: OnnxSpec | None = None
    output_bytes_max: int = 1 << 20
    deadline_at: int = 0
    lost_after_ms: int = 0  # stop by itself when cut off for this long; 0: go on


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Message):
    """Stop these attempts; each still ends with a report unless its fence is stale."""

    TYPE: ClassVar[str] = "cancel"
    attempts: tuple[str, ...]
    reason: str = "cancelled_by_user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack(Message):
    """What the control plane has on record: of boot ``acked_boot`` exactly the listed seqs.

    ``stale`` names attempts whose fence is no longer current: the node stops and forgets them.
    """

    TYPE: ClassVar[str] = "ack"
    acked_boot: int
    seqs: tuple[int, ...]
    stale: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Message):
    """What the control plane sets so that the fleet's message rate is bounded."""

    TYPE: ClassVar[str] = "config"
    heartbeat_ms: int
    telemetry_ms: int = 0  # 0: none
    artifacts_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebirth(Message):
    """Send birth, offer and state again."""

    TYPE: ClassVar[str] = "rebirth"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain(Message):
    """Take nothing new (``on``), or take work again."""

    TYPE: ClassVar[str] = "drain"
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlState(Message):
    """Retained on ``souk/v1/control/state``: whether a control plane listens, and its epoch."""

    TYPE: ClassVar[str] = "control"
    online: bool
    epoch: int


RESULT_INLINE_BYTES_MAX = 64 * 1024
REPORTS_PER_MESSAGE_MAX = 500
TASKS_PER_ASSIGN_MAX = 200
PAYLOAD_BYTES_MAX = 16 * 1024 * 1024
LOG_TAIL_BYTES_MAX = 4 * 1024
