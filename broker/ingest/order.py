"""Watches the order of each node's messages: gaps ask for a rebirth, a second writer is found.

Kept in memory alone: after a restart the first message of each node begins a new record, and a
gap or a twin shows itself again.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from edge_agent.wire import Birth, Envelope

GAP_PATIENCE_S = 2.0  # a message may be overtaken by a younger one for so long
REBIRTH_EVERY_S = 60.0  # of one node
REBIRTHS_PER_S = 5  # of the whole fleet
TWIN_MARGIN_MS = 5_000  # clocks of one device may jump a little
MISSING_MAX = 1_000  # a larger gap is one gap

Finding = Literal["fine", "twin"]


@dataclass(slots=True)
class _Record:
    boot: int
    seq: int
    born_at: int  # sender's clock, first message of this boot that we saw
    at: int
    missing: dict[int, float] = field(default_factory=dict)  # seq → when it was missed
    asked: float = float("-inf")


@dataclass(slots=True)
class Order:
    """The newest of each node, and what has not arrived."""

    _records: dict[str, _Record] = field(default_factory=dict)
    _asked: deque[float] = field(default_factory=deque)

    def see(self, envelope: Envelope, *, now_s: float) -> Finding:
        """Take note of a message. ``twin``: an older boot lives beside a newer one."""
        record = self._records.get(envelope.node)
        if record is None or envelope.boot > record.boot:
            self._records[envelope.node] = _Record(
                boot=envelope.boot, seq=envelope.seq, born_at=envelope.at, at=envelope.at
            )
            return "fine"
        if envelope.boot < record.boot:
            # Messages of the boot before that were still under way are older than the new boot.
            late = envelope.at > record.born_at + TWIN_MARGIN_MS
            return "twin" if late else "fine"
        if envelope.seq > record.seq:
            first = max(record.seq + 1, envelope.seq - MISSING_MAX)
            record.missing.update(dict.fromkeys(range(first, envelope.seq), now_s))
            record.seq = envelope.seq
        else:
            record.missing.pop(envelope.seq, None)
        if isinstance(envelope.data, Birth):
            record.missing.clear()  # a rebirth tells everything anew
        record.at = max(record.at, envelope.at)
        return "fine"

    def gaps(self, *, now_s: float) -> list[str]:
        """Nodes to ask for a rebirth now, within the rates above."""
        found = []
        while self._asked and now_s - self._asked[0] >= 1.0:
            self._asked.popleft()
        for node, record in self._records.items():
            if len(self._asked) >= REBIRTHS_PER_S:
                break
            oldest = min(record.missing.values(), default=now_s)
            if now_s - oldest < GAP_PATIENCE_S or now_s - record.asked < REBIRTH_EVERY_S:
                continue
            record.missing.clear()
            record.asked = now_s
            self._asked.append(now_s)
            found.append(node)
        return found

    def ask(self, node: str, *, now_s: float) -> bool:
        """Whether ``node`` may be asked for a rebirth now, for another reason than a gap."""
        record = self._records.get(node)
        if record is not None and now_s - record.asked < REBIRTH_EVERY_S / 10:
            return False
        if record is not None:
            record.asked = now_s
        return True
