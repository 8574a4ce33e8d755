"""A round of a region or the root: which cell takes what the others could not serve.

Each cell is seen as its supply curve; the demands that cells sent up are cleared on the steps of
all curves as if each step were one node, and stand in the round of the cell that won them. Nothing
is leased here: the taking cell's own round does that, and what it cannot serve after all is sent up
again, to be offered to the cells that it has not been through.

As with a cell's round: read in one transaction, decided outside any, written in another. A round
that dies has written nothing; cells go on without it, and the timer asks for it again.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import orjson
from sqlalchemy.orm import Session

from broker.rounds.single_flight import SingleFlight
from broker.rounds.supply import (
    CELL_LABEL,
    UP,
    Step,
    bounded,
    document,
    lessened,
    read_document,
    tell_supply,
)
from broker.services.shares import Shares
from broker.services.snapshots import Rows, build_snapshot, current_policy, read_rows
from db import events, notify
from db.control import hierarchy, rounds
from db.control.hierarchy import Curve, HandDown, Moved, Waiting
from db.control.rounds import BidRow
from db.engine import SessionFactory, dump_json
from db.errors import run_in_transaction
from db.events import NewEvent
from db.ids import new_id
from market import mechanisms
from market.hierarchy import as_steps
from market.plan import Plan
from market.pricing import taken
from market.snapshot import Snapshot

ROOT = "root"
BIDS_MAX = 10_000  # sent up to one round; the next one goes on
REFRESHED_MAX = 64  # curves that one round has told anew, the oldest first
_SEED_HEX_DIGITS = 15  # of the round's id: its random end, within 60 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class UpperReport:
    """What one round of a region or the root did."""

    place: str
    ran: bool  # False: one was under way already
    bids: int = 0
    handed_down: int = 0
    slots: int = 0  # that the curves promised them; the rest of a demand moves with it
    timings_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a round of a level sees."""

    waiting: list[Waiting]
    curves: list[Curve]
    steps: list[tuple[int, Step]]  # number of the curve, step
    snapshot: Snapshot


@dataclass(slots=True, kw_only=True)
class UpperRounds:
    """Clears regions and the root; keeps nothing that cannot be read again."""

    sessions: SessionFactory
    flight: SingleFlight
    clock: Callable[[], datetime]
    mechanism: str
    budget_ms: int
    fresh_s: float  # curves older than that are told anew
    shares: Shares = field(default_factory=Shares)

    def clear(self, place: str, *, timed: bool = False) -> UpperReport:
        """Clear ``place``: a region's id, or "root". Leaves at once where somebody is at it.

        ``timed``: called by the timer, takes up also what has been through many cells.
        """
        with self.flight.turn(f"{UP}{place}", wait=False) as mine:
            if not mine:
                return UpperReport(place=place, ran=False)
            return self._round(place, timed=timed)

    def _round(self, place: str, *, timed: bool) -> UpperReport:
        started = time.perf_counter()
        seen = self.see(place, timed=timed)
        if seen is None or not seen.waiting:
            return UpperReport(place=place, ran=True)
        read = time.perf_counter()
        # Nothing is sold here, so nothing is priced: the cheapest of the payment rules.
        snapshot = seen.snapshot
        plan = mechanisms.get(snapshot.policy.mechanism).clear(snapshot, budget_ms=self.budget_ms)
        cleared = time.perf_counter()
        timings = {
            "read": round((read - started) * 1000, 3),
            "clear": round((cleared - read) * 1000, 3),
        }
        moved, slots = run_in_transaction(
            self.sessions,
            lambda session: self.apply(session, place, seen, plan, timed=timed, timings_ms=timings),
        )
        timings["apply"] = (time.perf_counter() - cleared) * 1000
        return UpperReport(
            place=place,
            ran=True,
            bids=len(seen.waiting),
            handed_down=len(moved),
            slots=slots,
            timings_ms=timings,
        )

    def see(self, place: str, *, timed: bool) -> Seen | None:
        """What a round of ``place`` would clear now; None where nobody waits for it."""
        return self._read(place, timed=timed) if self._refresh(place, timed=timed) else None

    def _refresh(self, place: str, *, timed: bool) -> bool:
        """Let cells that have told nothing for long tell; False where nobody waits for them."""
        now = self.clock()
        with self.sessions() as session:
            bounded(session)
            if not hierarchy.read_waiting(session, place, timed=timed, most=1):
                return False
            cells = hierarchy.cells_below(session, place)
            told = {curve.cell: curve.told_at for curve in hierarchy.read_curves(session, cells)}
        since = now - timedelta(seconds=self.fresh_s)
        oldest = datetime.min.replace(tzinfo=now.tzinfo)
        stale = [cell for cell in cells if told.get(cell, oldest) < since]
        stale.sort(key=lambda cell: told.get(cell, oldest))
        for cell in stale[:REFRESHED_MAX]:
            run_in_transaction(self.sessions, partial(tell_supply, cell=cell, now=now))
        return True

    def _read(self, place: str, *, timed: bool) -> Seen:
        now = self.clock()
        round_id = new_id("upper", now)
        with self.sessions() as session:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            bounded(session)
            policy = replace(
                current_policy(session, mechanism=self.mechanism), payment="pay_as_bid"
            )
            waiting = hierarchy.read_waiting(session, place, timed=timed, most=BIDS_MAX)
            curves = hierarchy.read_curves(session, hierarchy.cells_below(session, place))
            steps = [(k, s) for k, curve in enumerate(curves) for s in read_document(curve.steps)]
            bids = rounds.read_bids_by_id(session, [each.demand for each in waiting])
            nodes = {node for bid in bids for node in _nodes_named(orjson.loads(bid.needs))}
            cell_of = hierarchy.cells_of_nodes(session, nodes)
            bids = readdressed(bids, waiting, [step for _, step in steps], cell_of)
            rows = read_rows(
                session, cells=[], bids=bids, policy=policy, shares=self.shares, now=now
            )
            _put_steps(session, rows, [step for _, step in steps])
        snapshot = build_snapshot(
            rows,
            round_id=round_id,
            cell=place,
            policy=policy,
            now=now,
            seed=int(round_id[-_SEED_HEX_DIGITS:], 16),
        )
        largest = np.array([step.largest for _, step in steps], dtype=np.int64)
        snapshot = as_steps(snapshot, largest.reshape(snapshot.asks.capacity.shape))
        order = {id: k for k, id in enumerate(snapshot.bids.ids)}
        waiting.sort(key=lambda each: order[each.demand])
        return Seen(waiting=waiting, curves=curves, steps=steps, snapshot=snapshot)

    def apply(
        self,
        session: Session,
        place: str,
        seen: Seen,
        plan: Plan,
        *,
        timed: bool,
        timings_ms: Mapping[str, float],
    ) -> tuple[dict[str, Moved], int]:
        """Hand down what still stands where it stood; what moved, and the slots promised to it."""
        bounded(session)
        now = self.clock()
        given = decided(seen.snapshot, plan, seen.waiting)
        moved = hierarchy.hand_down(session, given, now=now)
        hierarchy.lessen_curves(session, _promised(seen, plan, moved))
        left = [each for each in seen.waiting if each.demand not in moved]
        if place != ROOT:
            hierarchy.pass_on(session, [each.demand for each in left])
        elif timed:
            hierarchy.forget_tries(session, [each.demand for each in left if each.tried])
        to = {each.demand: each for each in given}
        events.append(session, [_event(one, to[one.demand]) for one in moved.values()], now=now)
        hints = [to[demand].target for demand in moved]
        if place != ROOT and left:
            hints.append(f"{UP}{ROOT}")
        notify.notify_all(session, [(notify.DEMAND, hint) for hint in hints])
        slots = sum(min(one.slots, to[one.demand].slots) for one in moved.values())
        record = {
            "id": seen.snapshot.round_id,
            "place": place,
            "bid_count": len(seen.waiting),
            "cell_count": len(seen.curves),
            "step_count": len(seen.steps),
            "slots_asked": int(seen.snapshot.bids.count.sum()),
            "slots_handed_down": slots,
            "bids_handed_down": len(moved),
            "bytes_up": sum(len(dump_json(curve.steps)) for curve in seen.curves),
            "timings_ms": timings_ms,
        }
        hierarchy.insert_upper_round(session, record, now=now)
        return moved, slots


def decided(snapshot: Snapshot, plan: Plan, waiting: Sequence[Waiting]) -> list[HandDown]:
    """The cell of each winner: the one that has most slots for it, the first of equals.

    Its other slots are not lost: what the cell does not serve is sent up again.
    """
    by_demand = {each.demand: each for each in waiting}
    room: dict[int, Counter[int]] = {}
    cells = snapshot.asks.cell[plan.ask]
    for bid, cell, count in zip(
        plan.bid.tolist(), cells.tolist(), plan.count.tolist(), strict=True
    ):
        room.setdefault(bid, Counter())[cell] += count
    found = []
    for bid, slots in sorted(room.items()):
        ((cell, most),) = slots.most_common(1)
        seen = by_demand[snapshot.bids.ids[bid]]
        found.append(
            HandDown(demand=seen.demand, source=seen.cell, target=snapshot.cells[cell], slots=most)
        )
    return found


def readdressed(
    bids: Sequence[BidRow],
    waiting: Sequence[Waiting],
    steps: Sequence[Step],
    cell_of: Mapping[str, str],
) -> list[BidRow]:
    """Bids that avoid the cells that failed them, and name steps where they named nodes.

    ``cell_of`` is the cell of each node that is named.
    """
    by_demand = {each.demand: each for each in waiting}
    steps_in: dict[str, list[str]] = {}
    for step in steps:
        steps_in.setdefault(step.ask.cell, []).append(step.ask.node)
    found = []
    for bid in bids:
        seen, document = by_demand[bid.demand], orjson.loads(bid.needs)
        avoided = {f"{CELL_LABEL}{cell}": "1" for cell in {*seen.tried, seen.cell}}
        where = dict(document.get("constraints") or {})
        where["not_labels"] = {**(where.get("not_labels") or {}), **avoided}
        if nodes := _nodes_named(document):
            cells = {cell_of[node] for node in nodes if node in cell_of}
            # A list that matches no step says that there is none; an empty one would say any.
            where["nodes"] = [s for cell in sorted(cells) for s in steps_in.get(cell, [])] or nodes
        found.append(bid._replace(needs=dump_json({**document, "constraints": where})))
    return found


def _nodes_named(needs: Mapping[str, Any]) -> list[str]:
    return list((needs.get("constraints") or {}).get("nodes") or ())


def _put_steps(session: Session, rows: Rows, steps: Sequence[Step]) -> None:
    """Let the round's asks be ``steps``, with their cells' places and prices."""
    rows.asks = [step.ask for step in steps]
    places = {*(step.ask.cell for step in steps), *(cell.id for cell in rows.cells)}
    rows.cells = rounds.read_cells(session, places)
    rows.standing = rounds.read_standing_prices(session, places)


def _promised(seen: Seen, plan: Plan, moved: Mapping[str, Moved]) -> list[Curve]:
    """The curves less what was handed down, so that the next round does not promise it again."""
    ids = seen.snapshot.bids.ids
    held = np.array([ids[bid] in moved for bid in plan.bid.tolist()], dtype=np.bool_)
    used = taken(seen.snapshot, plan.bid[held], plan.ask[held], plan.count[held])
    order = {id: j for j, id in enumerate(seen.snapshot.asks.ids)}
    touched = set()
    steps_of: dict[int, list[Step]] = {}
    for k, step in seen.steps:
        amounts = used[order[step.ask.node]].tolist()
        if any(amounts):
            touched.add(k)
        steps_of.setdefault(k, []).append(lessened(step, amounts))
    return [seen.curves[k]._replace(steps=document(steps_of[k])) for k in sorted(touched)]


def _event(moved: Moved, given: HandDown) -> NewEvent:
    return NewEvent(
        kind="job.forwarded",
        subject_id=moved.job,
        account_id=moved.account,
        data={
            "job_id": moved.job,
            "from_cell": given.source,
            "to_cell": given.target,
            "slots": moved.slots,
        },
    )
