"""The one place that moves jobs and nodes from state to state, by their tables of transitions."""

import datetime as dt
from collections.abc import Collection

from sqlalchemy.orm import Session

from db import events
from db.control import lifecycles
from db.events import NewEvent
from market.lifecycle import JOB, JOB_ENDS, NODE, JobState, NodeState, states_before


def move_jobs(
    session: Session, ids: Collection[str], to: JobState, *, now: dt.datetime
) -> list[str]:
    """Move the jobs of ``ids`` that may become ``to`` now; return which did, and say so.

    Not for ends: ``settlement.end_jobs`` settles while it ends.
    """
    assert to not in JOB_ENDS, "jobs end by settlement.end_jobs"
    moved = lifecycles.move_jobs(session, ids, to=to, before=states_before(JOB, to), now=now)
    told = [
        NewEvent(kind=f"job.{to}", subject_id=job.id, account_id=job.account_id, data={"state": to})
        for job in moved
    ]
    events.append(session, told, now=now)
    return [job.id for job in moved]


def move_nodes(
    session: Session, ids: Collection[str], to: NodeState, *, reason: str, now: dt.datetime
) -> list[str]:
    """Move the nodes of ``ids`` that may become ``to`` now; return which did, and say so."""
    before = states_before(NODE, to)
    moved = lifecycles.move_nodes(session, ids, to=to, before=before, reason=reason, now=now)
    told = [
        NewEvent(
            kind=f"node.{to}",
            subject_id=node.id,
            account_id=node.account_id,
            data={"state": to, "reason": reason},
        )
        for node in moved
    ]
    events.append(session, told, now=now)
    return [node.id for node in moved]
