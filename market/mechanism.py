"""The protocol that every mechanism follows, and their registry."""

from typing import Protocol

from market.plan import Plan
from market.snapshot import Snapshot


class Mechanism(Protocol):
    """Clears a round. Register one by writing a file ``market/mechanisms/<name>.py``.

    What the file may declare of it is in ``market.mechanisms._declared``.
    """

    name: str

    def clear(self, snapshot: Snapshot, *, budget_ms: int) -> Plan:
        """The plan for ``snapshot``, found within about ``budget_ms`` of wall time.

        Deterministic in the snapshot, but for how far an anytime search comes in its budget.
        """
        ...
