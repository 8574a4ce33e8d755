"""The ledger's invariants, checked at most as often as the ledger's size allows.

A check reads every row, so its answer is kept for some ten times as long as it took: at once on a
small ledger, and never more than a tenth of the database's time on a large one.
"""

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from db.invariants import Invariant, invariants

KEPT_FACTOR = 10
KEPT_S_MAX = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """All of them, at one moment."""

    ok: bool
    checked_at: datetime
    items: tuple[Invariant, ...]


@dataclass(slots=True)
class LedgerChecks:
    """This process's last check. Thread-safe: one checks, the others wait for its answer."""

    _last: Checked | None = None
    _good_until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, session: Session, *, now: datetime) -> Checked:
        """The present state of the invariants, or one of moments ago."""
        with self._lock:
            began = time.monotonic()
            if self._last is None or began >= self._good_until:
                items = tuple(invariants(session))
                self._last = Checked(ok=all(item.ok for item in items), checked_at=now, items=items)
                ended = time.monotonic()
                self._good_until = ended + min(KEPT_S_MAX, KEPT_FACTOR * (ended - began))
            return self._last
