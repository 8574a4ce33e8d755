"""A cell's supply curve: what it has left, as steps that the levels above can clear on.

A step stands for some nodes of one class: equal labels, runtimes, architecture and admission,
alike in battery and heat, next to each other in price. It is kept in the form of a node's row, so
that a round over steps reads them as a round of a cell reads its nodes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from broker.services.snapshots import HOT_MILLICELSIUS, REFERENCE_OPS_PER_S
from db import notify
from db.control import hierarchy, rounds
from db.control.rounds import AskRow
from market.hierarchy import cut_into_steps
from market.resources import RESOURCES
from market.snapshot import Floats, Indices, Ints

FRESH_FOR = timedelta(seconds=1)  # a round without leftovers tells its curve no more often
STATEMENT_TIME_MAX_MS = 2_000  # a slow database holds up what goes up or down, no worker
ROUNDS_NEW = 2  # a demand that lost no more rounds is sent up at once, others by the timer
CELL_LABEL = "souk:cell:"  # with the cell's id: a label of its steps, by which bids avoid it
UP = "up:"  # before a region's id or "root", where a cell's id is expected: the level's round

_UNITS = np.array([resource.priced_unit for resource in RESOURCES], dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Some nodes of one class as one: ``ask`` sums what they offer and have leased."""

    ask: AskRow
    largest: tuple[int, ...]  # the most that one of its nodes has free
    nodes: int


def send_up(session: Session, cell: str, *, now: datetime, timed: bool) -> int:
    """Tell the level above what ``cell`` has left and could not serve; how many demands.

    The level's round is asked for at once where some of them are new; the rest wait for the timer,
    so that a crowded cell does not keep its region busy.
    """
    bounded(session)
    above = hierarchy.level_above(session, cell)
    if above is None:
        return 0
    waiting, fresh = hierarchy.note_sent_up(session, cell, few=ROUNDS_NEW)
    told = hierarchy.told_at(session, cell)
    if timed or waiting or told is None or now - told >= FRESH_FOR:
        tell_supply(session, cell, now=now)
    if fresh:
        notify.notify(session, notify.DEMAND, f"{UP}{above}")
    return waiting


def bounded(session: Session) -> None:
    """No statement of the transaction takes longer than ``STATEMENT_TIME_MAX_MS``."""
    values = {"time": str(STATEMENT_TIME_MAX_MS)}
    session.execute(text("SELECT set_config('statement_timeout', :time, true)"), values)


def tell_supply(session: Session, cell: str, *, now: datetime) -> None:
    """Write what the cell's nodes have left at this moment as its curve."""
    steps = steps_of(rounds.read_asks(session, [cell], now=now), cell)
    hierarchy.write_curve(session, cell, document(steps), now=now)


def steps_of(asks: Sequence[AskRow], cell: str) -> list[Step]:
    """The steps of ``asks``, at most ``market.hierarchy.STEPS_PER_CLASS`` for each class."""
    if not asks:
        return []
    free = np.maximum(_table([ask.capacity for ask in asks]) - _table([a.leased for a in asks]), 0)
    return [
        _step([asks[j] for j in part], free[part], cell=cell, number=k)
        for k, part in enumerate(parts_of(asks))
    ]


def parts_of(asks: Sequence[AskRow]) -> list[Indices]:
    """The asks (indices) of each step."""
    price = (_table([ask.reserve for ask in asks]) / _UNITS).mean(axis=1)
    order, start, width = cut_into_steps(_classes(asks), price)
    edges = zip(start.tolist(), width.tolist(), strict=True)
    return [order[low : low + wide] for low, wide in edges]


def document(steps: Sequence[Step]) -> dict[str, Any]:
    """The steps as JSON; what many of them share is written once."""
    classes: dict[tuple[str, ...], int] = {}
    rows = []
    for step in steps:
        values = step.ask._asdict()
        shared = tuple(values.pop(name) for name in _SHARED)
        key = classes.setdefault(shared, len(classes))
        rows.append({**values, "class": key, "largest": step.largest, "nodes": step.nodes})
    return {"classes": [list(each) for each in classes], "steps": rows}


def read_document(curve: Mapping[str, Any]) -> list[Step]:
    """The steps of a kept curve."""
    steps = []
    for row in curve["steps"]:
        values = dict(row)
        shared = dict(zip(_SHARED, curve["classes"][values.pop("class")], strict=True))
        largest, nodes = tuple(values.pop("largest")), values.pop("nodes")
        for name in ("capacity", "reserve", "leased"):
            values[name] = tuple(values[name])
        steps.append(Step(ask=AskRow(**values, **shared), largest=largest, nodes=nodes))
    return steps


def lessened(step: Step, used: Sequence[int]) -> Step:
    """The step after ``used`` of its capacity was promised."""
    leased = tuple(a + b for a, b in zip(step.ask.leased, used, strict=True))
    return replace(step, ask=step.ask._replace(leased=leased))


_SHARED = ("cell", "arch", "labels", "runtimes", "accepts", "refuses")


def _classes(asks: Sequence[AskRow]) -> Indices:
    """(m, 1) the number of each ask's class."""
    index: dict[tuple[object, ...], int] = {}
    keys = (
        (a.arch, a.labels, a.runtimes, a.accepts, a.refuses, a.on_battery, _hot(a)) for a in asks
    )
    return np.array([[index.setdefault(key, len(index))] for key in keys], dtype=np.int32)


def _hot(ask: AskRow) -> bool:
    return (ask.temperature_millicelsius or 0) >= HOT_MILLICELSIUS


def _step(asks: Sequence[AskRow], free: Ints, *, cell: str, number: int) -> Step:
    """One row for ``asks`` of one class; ``free`` (k, R) is what they have left."""
    first = asks[0]
    capacity = _table([ask.capacity for ask in asks]).sum(axis=0)
    reserve = _table([ask.reserve for ask in asks]).sum(axis=0)
    known = [ask.carbon_g_per_kwh for ask in asks if ask.carbon_g_per_kwh is not None]
    speed = [ask.ops_per_s if ask.ops_per_s > 0 else REFERENCE_OPS_PER_S for ask in asks]
    labels = {**orjson.loads(first.labels), f"{CELL_LABEL}{cell}": "1"}
    ask = first._replace(
        node=f"step_{cell}_{number}",
        owner="",
        labels=orjson.dumps(labels).decode(),
        ops_per_s=round(_mean(speed)),
        reliability_good=_mean([ask.reliability_good for ask in asks]),
        reliability_all=_mean([ask.reliability_all for ask in asks]),
        idle_milliwatts=sum(ask.idle_milliwatts for ask in asks),
        max_milliwatts=sum(ask.max_milliwatts for ask in asks),
        carbon_g_per_kwh=round(_mean(known)) if known else None,
        capacity=tuple(capacity.tolist()),
        reserve=tuple(-(-int(total) // len(asks)) for total in reserve),
        leased=tuple((capacity - free.sum(axis=0)).tolist()),
    )
    return Step(ask=ask, largest=tuple(free.max(axis=0).tolist()), nodes=len(asks))


def _mean(values: Sequence[float]) -> float:
    found: Floats = np.asarray(values, dtype=np.float64)
    return float(found.mean())


def _table(rows: Sequence[tuple[int, ...]]) -> Ints:
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(RESOURCES))
