"""When to speak unasked: the heartbeat that the control plane set, jittered, and telemetry."""

from dataclasses import dataclass
from random import Random

from edge_agent.wire import Config

JITTER = 0.15
HEARTBEAT_DEFAULT_MS = 10_000
HEARTBEAT_FLOOR_MS = 100
STATE_GAP_MS = 1_000  # between two states that a change of capacity asks for
CHANGE_SHARE = 0.1  # of the node's cpu: less is not worth a message of its own


@dataclass(slots=True)
class Pulse:
    """Times of the next state and telemetry."""

    random: Random
    heartbeat_ms: int = HEARTBEAT_DEFAULT_MS
    telemetry_ms: int = 0
    state_at: int = 0
    telemetry_at: int | None = None
    said_at: int = 0
    said_share: float = 0.0

    def configure(self, config: Config, now: int) -> None:
        """Take the intervals that the control plane assigns; the next beat is spread anew."""
        self.heartbeat_ms = max(config.heartbeat_ms, HEARTBEAT_FLOOR_MS)
        self.telemetry_ms = config.telemetry_ms
        self.state_at = min(self.state_at, now + self._jittered(self.heartbeat_ms))
        self.telemetry_at = (
            now + self.random.randrange(self.telemetry_ms) if self.telemetry_ms else None
        )

    def state_due(self, now: int, reserved_share: float) -> bool:
        """Whether a state is due by time, or by a material change since the last one."""
        return now >= self._next_state(now, reserved_share)

    def state_sent(self, now: int, reserved_share: float) -> None:
        """A state has gone out, for whatever cause."""
        self.said_at, self.said_share = now, reserved_share
        self.state_at = now + self._jittered(self.heartbeat_ms)

    def telemetry_due(self, now: int) -> bool:
        """Whether telemetry is due; plans the next when it is."""
        if self.telemetry_at is None or now < self.telemetry_at:
            return False
        self.telemetry_at = now + self._jittered(self.telemetry_ms)
        return True

    def times(self, now: int, reserved_share: float) -> list[int | None]:
        """When ``state_due`` or ``telemetry_due`` will be true without further change."""
        return [self._next_state(now, reserved_share), self.telemetry_at]

    def _next_state(self, now: int, reserved_share: float) -> int:
        if self.state_at - now > 2 * self.heartbeat_ms:
            return now  # a clock set back would silence the node for as long as the jump
        if abs(reserved_share - self.said_share) >= CHANGE_SHARE:
            return min(self.state_at, self.said_at + STATE_GAP_MS)
        return self.state_at

    def _jittered(self, interval_ms: int) -> int:
        return round(interval_ms * self.random.uniform(1 - JITTER, 1 + JITTER))
