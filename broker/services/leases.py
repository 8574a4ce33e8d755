"""How leases end before their job does, and who may see them."""

import datetime as dt
from collections.abc import Collection

from sqlalchemy.orm import Session

from db import events
from db.control import lifecycles
from db.control.lifecycles import EndedLease
from db.events import NewEvent
from market.lifecycle import LEASE, LeaseState, states_before


def end_leases(
    session: Session, ids: Collection[str], to: LeaseState, *, reason: str, now: dt.datetime
) -> list[EndedLease]:
    """End the active ones of ``ids``, add what they delivered to their jobs' accrued costs.

    The caller has moved their live attempts before; what those deliver later is stale. Locks the
    jobs, then the leases, each in id order. Markets with open demand are woken for the room.
    """
    ended = lifecycles.end_leases(
        session, ids, to=to, before=states_before(LEASE, to), reason=reason, now=now
    )
    told = [
        NewEvent(
            kind=f"lease.{to}",
            subject_id=lease.id,
            account_id=lease.tenant_id,
            data={"job_id": lease.job_id, "node_id": lease.node_id, "reason": reason},
        )
        for lease in ended
    ]
    events.append(session, told, now=now)
    return ended
