"""A recorded round as an instance file (docs/instances.md), with what repeats it to the byte."""

from typing import Literal

from sqlalchemy.orm import Session

from broker.services.refusals import NotFound
from broker.services.snapshot_store import SnapshotCorrupt, unpack
from db.repositories import rounds
from market.repeating import repeated
from sim.instances import to_json, to_npz

Form = Literal["json", "npz"]


def instance(session: Session, round_id: str, *, form: Form) -> bytes:
    """The snapshot of a round, its policy's parameters set so that the same plan is made again.

    Raises ``NotFound`` for a round without one: nobody bid in it, or retention has dropped it.
    """
    row = rounds.with_snapshot(session, round_id)
    if row is None:
        raise NotFound("round", round_id)
    if row.snapshot is None:
        raise NotFound("snapshot of round", round_id, code="snapshot_gone")
    try:
        snapshot = unpack(row.snapshot)
    except SnapshotCorrupt as error:
        raise NotFound("snapshot of round", round_id, code="snapshot_gone") from error
    snapshot = repeated(snapshot, row.effort)
    return to_npz(snapshot) if form == "npz" else to_json(snapshot).encode()
