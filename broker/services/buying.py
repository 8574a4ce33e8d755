"""Buys slots for a running job from the nearest nodes with room, at the standing price, at once.

The trade is a round of one bid under the mechanism ``nearest``: it is re-checked, leased, recorded
and explained by the same ``plan_apply`` as any other.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from broker.plan_apply import apply_plan
from broker.services.places import latency_ms
from broker.services.shares import Shares
from broker.services.snapshot_store import pack
from broker.services.snapshots import build_snapshot, current_policy, read_rows
from db import events
from db.control import buying, rounds
from db.control.buying import Before
from db.control.rounds import BidRow, CellRow
from db.events import NewEvent
from db.ids import new_id
from market import mechanisms
from market.plan import Plan
from market.snapshot import Snapshot

CELLS_MAX = 8  # looked at, the nearest first
MECHANISM = "nearest"

Accept = Callable[[Snapshot, Plan], bool]
Narrow = Callable[[Snapshot], tuple[Snapshot, str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """What one purchase brought."""

    slots: int
    round_id: str = ""


def buy(
    session: Session,
    job: str,
    *,
    slots: int,
    event: str,
    why: str,
    now: datetime,
    accept: Accept = lambda _snapshot, _plan: True,
    narrow: Narrow | None = None,
) -> Bought:
    """Lease up to ``slots`` slots for ``job``, unless ``accept`` refuses the plan.

    ``narrow`` may leave less to choose from and say why itself; None from it: nothing is bought.
    Never above the job's limit nor under an owner's reserve. What the job's demand asked for
    besides, it goes on asking for. Locks the job, then nodes, as a round's plan does.
    """
    before = buying.open_for(session, job, slots=slots, now=now)
    if before is None:
        return Bought(slots=0)
    snapshot = _snapshot(session, before, now=now)
    narrowed = (snapshot, why) if narrow is None else narrow(snapshot)
    if narrowed is None:
        buying.close_after(session, before, bought=0)
        return Bought(slots=0)
    snapshot, why = narrowed
    plan = mechanisms.get(MECHANISM).clear(snapshot, budget_ms=0)
    if not plan.count.sum() or not accept(snapshot, plan):
        buying.close_after(session, before, bought=0)
        return Bought(slots=0)
    applied = apply_plan(
        session,
        snapshot,
        replace(plan, loss_detail=(why,)),
        now=now,
        packed=pack(snapshot),
        every_loser=False,
    )
    buying.close_after(session, before, bought=applied.slots_applied)
    if applied.slots_applied:
        data = {"job_id": job, "slots": applied.slots_applied, "why": why,
                "round_id": snapshot.round_id}  # fmt: skip
        told = NewEvent(kind=event, subject_id=job, account_id=before.account_id, data=data)
        events.append(session, [told], now=now)
    return Bought(slots=applied.slots_applied, round_id=snapshot.round_id)


def _snapshot(session: Session, before: Before, *, now: datetime) -> Snapshot:
    """One bid, and the nodes of the cells nearest to its home."""
    bids = rounds.read_bids_by_id(session, [before.demand])
    home = bids[0].home_cell
    cells = [home] if before.cell_only else nearest_cells(session, [home])
    return snapshot_of(session, bids, cells=cells, cell=before.cell, now=now)


def snapshot_of(
    session: Session, bids: list[BidRow], *, cells: Sequence[str], cell: str, now: datetime
) -> Snapshot:
    """A round of ``bids`` on the nodes of ``cells``, as a purchase sees it."""
    policy = replace(
        current_policy(session, mechanism=MECHANISM), mechanism=MECHANISM, payment="pay_as_bid"
    )
    rows = read_rows(session, cells=cells, bids=bids, policy=policy, shares=Shares(), now=now)
    return build_snapshot(
        rows, round_id=new_id("round", now), cell=cell, policy=policy, now=now, seed=0
    )


def nearest_cells(session: Session, homes: Collection[str]) -> list[str]:
    """The cells that a purchase looks at for each of ``homes``, the nearest to the first first."""
    online = [CellRow(*row) for row in buying.cells_online(session)]
    known = {place.id: place for place in rounds.read_cells(session, homes)}
    found: dict[str, None] = {}
    for home in homes:
        place = known.get(home, CellRow(home, None, None))
        key = [(cell.id != home, latency_ms(place, cell), cell.id) for cell in online]
        found.update(dict.fromkeys(cell for *_, cell in sorted(key)[:CELLS_MAX]))
    return list(found)
