"""Demands that their cell has failed to serve go to a cell that can.

A thin stand-in for clearing over regions: it looks at every cell with a node online, and sends a
demand to the one with most feasible free slots for it.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from sqlalchemy.orm import Session

from broker.services.shares import Shares
from broker.services.snapshots import build_snapshot, read_rows
from db import notify
from db.control import plans, rounds
from market import feasible
from market.snapshot import Policy, Snapshot

ROUNDS_BEFORE_MOVING = 2
STATEMENT_TIME_MAX_MS = 2_000
DEMANDS_MOVED_MAX = 1_000  # looked at in one go


def forward_stuck(
    session: Session, cell: str, *, policy: Policy, shares: Shares, now: datetime
) -> int:
    """Move what ``cell`` failed to serve ``ROUNDS_BEFORE_MOVING`` times; how many moved.

    One at a time over all cells, each statement bounded in time: a slow look over all cells may
    keep one worker child for a moment, never all of them.
    """
    if not plans.may_look_over_cells(session, time_max_ms=STATEMENT_TIME_MAX_MS):
        return 0
    stuck = plans.stuck_demands(session, cell, rounds=ROUNDS_BEFORE_MOVING, most=DEMANDS_MOVED_MAX)
    cells = rounds.read_siblings(session, cell) if stuck else []
    if not cells:
        return 0
    bids = rounds.read_bids_by_id(session, stuck)
    rows = read_rows(session, cells=cells, bids=bids, policy=policy, shares=shares, now=now)
    snapshot = build_snapshot(rows, round_id="", cell=cell, policy=policy, now=now, seed=0)
    better = best_cells(snapshot, range(len(bids)))
    if not better:
        return 0
    moved = plans.move_demands(session, better)
    notify.notify_all(session, [(notify.DEMAND, target) for _, _, target in moved])
    return len(moved)


def best_cells(snapshot: Snapshot, bids: Sequence[int]) -> dict[str, str]:
    """For each bid that some cell could serve now: its demand id and the cell with most room."""
    found: dict[str, str] = {}
    for i in bids:
        codes = feasible.row_refusals(snapshot, i)
        fits = feasible.slots_that_fit(snapshot.asks.capacity, snapshot.bids.demand[i])
        slots = np.where(codes == feasible.FEASIBLE, np.minimum(fits, snapshot.bids.count[i]), 0)
        room = np.bincount(snapshot.asks.cell, weights=slots, minlength=len(snapshot.cells))
        if len(room) and room.max() > 0:
            found[snapshot.bids.ids[i]] = snapshot.cells[int(room.argmax())]
    return found
