"""What each tenant received of late: its charges and running leases, halved every half-life.

A process remembers what it has read (charges only ever grow, in order of their sequence), so a
round reads only what is new. The figures go into the snapshot, so a replay needs none of this.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from db.control.rounds import read_charges, read_running_worth


@dataclass(slots=True)
class _Received:
    micros: float = 0.0
    sequence: int = 0
    at: datetime | None = None


@dataclass(slots=True)
class Shares:
    """Decayed worth by tenant, as far as this process has read the ledger."""

    _known: dict[str, _Received] = field(default_factory=dict)

    def received(
        self, session: Session, tenants: Sequence[str], *, now: datetime, half_life_s: float
    ) -> list[float]:
        """Micros of each tenant, decayed to ``now``; reads what was charged since the last call."""
        if not tenants:
            return []
        held = {tenant: self._known.setdefault(tenant, _Received()) for tenant in tenants}
        for one in held.values():
            one.micros *= _decay(one.at, now, half_life_s)
            one.at = now
        new = read_charges(session, {tenant: one.sequence for tenant, one in held.items()})
        for tenant, sequence, micros, at in new:
            one = held[tenant]
            one.micros += micros * _decay(at, now, half_life_s)
            one.sequence = max(one.sequence, sequence)
        running = read_running_worth(session, tenants, now=now)
        return [held[tenant].micros + running.get(tenant, 0.0) for tenant in tenants]


def _decay(since: datetime | None, now: datetime, half_life_s: float) -> float:
    if since is None:
        return 1.0
    age_s: float = max(0.0, (now - since).total_seconds())
    factor: float = 0.5 ** (age_s / max(half_life_s, 1e-9))
    return factor
