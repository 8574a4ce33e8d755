"""Watches the order of each node's messages: gaps ask for a rebirth, a second writer is found.

Kept in memory alone: after a restart the first message of each node begins a new record, and a
gap or a twin shows itself again.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from edge_agent.wire import AttemptReports, Birth, Death, Envelope

GAP_PATIENCE_S = 2.0  # a message may be overtaken by a younger one for so long
REBIRTH_EVERY_S = 60.0  # of one node
REBIRTHS_PER_S = 5  # of the whole fleet
TWIN_AFTER_S = 30.0  # what was under way when a device started again has arrived by then
TWIN_SIGNS = 2  # living messages of an older boot that prove a second device
MISSING_MAX = 1_000  # a larger gap is one gap

Finding = Literal["fine", "twin"]


@dataclass(slots=True)
class _Record:
    boot: int
    seq: int
    seen_s: float  # when we saw the first message of this boot
    signs: int = 0
    missing: dict[int, float] = field(default_factory=dict)  # seq → when it was missed
    asked: float = float("-inf")


@dataclass(slots=True)
class Order:
    """The newest of each node, and what has not arrived."""

    _records: dict[str, _Record] = field(default_factory=dict)
    _asked: deque[float] = field(default_factory=deque)

    def see(self, envelope: Envelope, *, now_s: float) -> Finding:
        """Take note of a message. ``twin``: an older boot lives beside a newer one.

        Judged by our own clock, for a device may have none. Reports are sent again from before a
        restart, and a death may be told late: neither shows that the older boot lives.
        """
        record = self._records.get(envelope.node)
        if record is None or envelope.boot > record.boot:
            self._records[envelope.node] = _Record(
                boot=envelope.boot, seq=envelope.seq, seen_s=now_s
            )
            return "fine"
        if envelope.boot < record.boot:
            alive = not isinstance(envelope.data, AttemptReports | Death)
            record.signs += alive and now_s - record.seen_s > TWIN_AFTER_S
            return "twin" if alive and record.signs >= TWIN_SIGNS else "fine"
        if envelope.seq > record.seq:
            first = max(record.seq + 1, envelope.seq - MISSING_MAX)
            record.missing.update(dict.fromkeys(range(first, envelope.seq), now_s))
            record.seq = envelope.seq
        else:
            record.missing.pop(envelope.seq, None)
        if isinstance(envelope.data, Birth):
            record.missing.clear()  # a rebirth tells everything anew
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
