"""Which part of each match still holds: pure, on what the lock has shown."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from db.control.plans import FreeNode, OpenDemand
from market.feasible import slots_that_fit
from market.plan import Plan
from market.snapshot import Bools, Ints, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """``count[k]`` slots of match k still hold; ``refused`` says why the others do not."""

    count: Ints
    refused: dict[str, int]  # slots by reason: demand, node, capacity


def recheck(
    snapshot: Snapshot,
    plan: Plan,
    demands: Mapping[str, OpenDemand],
    nodes: Mapping[str, FreeNode],
) -> Checked:
    """Trim the plan's matches, in its order, to open demands and free capacity."""
    bids, asks = snapshot.bids, snapshot.asks
    wanted = np.array(
        [demands[id].count_open if id in demands else 0 for id in bids.ids], dtype=np.int64
    )
    known = np.array([id in nodes for id in asks.ids], dtype=np.bool_)
    free = np.zeros_like(asks.capacity)
    for j in np.flatnonzero(known).tolist():
        free[j] = nodes[asks.ids[j]].free
    gone = np.where(wanted[plan.bid] == 0, plan.count, 0)
    away = np.where((gone == 0) & ~known[plan.ask], plan.count, 0)
    count = plan.count - gone - away
    used = np.zeros_like(free)
    np.add.at(used, plan.ask, bids.demand[plan.bid] * count[:, None])
    served = np.bincount(plan.bid, weights=count, minlength=len(bids)).astype(np.int64)
    crowded: Bools = np.any(used > free, axis=1)
    doubtful = crowded[plan.ask] | (served > wanted)[plan.bid]
    before = int(count.sum())
    if doubtful.any():
        count = _trim(snapshot, plan, count, doubtful, free=free, wanted=wanted)
    refused = {
        "demand": int(gone.sum()),
        "node": int(away.sum()),
        "capacity": before - int(count.sum()),
    }
    return Checked(count=count, refused={name: slots for name, slots in refused.items() if slots})


def _trim(
    snapshot: Snapshot, plan: Plan, count: Ints, doubtful: Bools, *, free: Ints, wanted: Ints
) -> Ints:
    """Serve the certain matches first, then the doubtful ones one by one."""
    demand = snapshot.bids.demand
    left, open_slots, kept = free.copy(), wanted.copy(), np.where(doubtful, 0, count)
    np.subtract.at(left, plan.ask, demand[plan.bid] * kept[:, None])
    np.subtract.at(open_slots, plan.bid, kept)
    for k in np.flatnonzero(doubtful).tolist():
        i, j = int(plan.bid[k]), int(plan.ask[k])
        fits = int(slots_that_fit(left[j : j + 1], demand[i])[0])
        slots = max(0, min(int(count[k]), fits, int(open_slots[i])))
        kept[k] = slots
        left[j] -= demand[i] * slots
        open_slots[i] -= slots
    return kept
