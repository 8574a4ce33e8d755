"""What cells tell upwards and what is handed down: curves, waiting demands, upper rounds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.engine import dump_json

HINTED_TRIES_MAX = 3  # cells that a demand may try before it waits for the timer


class Waiting(NamedTuple):
    """A demand that its cell did not serve (wholly) and that may leave."""

    demand: str
    cell: str
    tried: tuple[str, ...]


class Curve(NamedTuple):
    """What a cell told last."""

    cell: str
    steps: dict[str, Any]
    told_at: datetime
    version: int


class Moved(NamedTuple):
    """A demand that stands in another cell now."""

    demand: str
    job: str
    account: str
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandDown:
    """A demand that a level above gives to another cell."""

    demand: str
    source: str
    target: str
    slots: int  # for which the target seems to have room


_LEAVES = """
    d.state = 'open' AND d.count_open > 0
    AND NOT coalesce((d.needs->'constraints'->>'cell_only')::boolean, false)
"""
_ABOVE = text("""
    SELECT CASE r.level WHEN 'region' THEN r.id ELSE 'root' END FROM cells c
    LEFT JOIN cells r ON r.id = c.parent_id WHERE c.id = :cell
        AND EXISTS (SELECT FROM nodes n WHERE n.state = 'online' AND n.cell_id <> :cell)
""")
_SENT_UP = text(f"""
    WITH left_over AS (
        SELECT d.count_open, d.rounds <= :few AND cardinality(d.tried_cells) < :tries AS fresh
        FROM demands d WHERE d.cell_id = :cell AND d.rounds > 0 AND {_LEAVES}
    ), noted AS (
        UPDATE rounds SET slots_sent_up = (SELECT coalesce(sum(count_open), 0) FROM left_over)
        WHERE id = (SELECT id FROM rounds WHERE cell_id = :cell
            ORDER BY created_at DESC, id DESC LIMIT 1)
    )
    SELECT count(*), coalesce(bool_or(fresh), false) FROM left_over
""")  # noqa: S608 - of this module's own text
_WAITING = text(f"""
    SELECT d.id, d.cell_id, d.tried_cells
    FROM demands d JOIN cells c ON c.id = d.cell_id LEFT JOIN cells r ON r.id = c.parent_id
    WHERE d.rounds > 0 AND {_LEAVES}
        AND CASE WHEN :place = 'root'
            THEN d.reach = 'root' OR r.level IS DISTINCT FROM 'region'
            ELSE c.parent_id = :place AND d.reach = 'region' END
        AND (:timed OR cardinality(d.tried_cells) < :tries)
    ORDER BY d.created_at, d.id LIMIT :most
""")  # noqa: S608 - of this module's own text
_PLACES = text(f"""
    SELECT DISTINCT CASE WHEN r.level = 'region' AND d.reach = 'region' THEN r.id ELSE 'root' END
    FROM demands d JOIN cells c ON c.id = d.cell_id LEFT JOIN cells r ON r.id = c.parent_id
    WHERE d.rounds > 0 AND {_LEAVES}
""")  # noqa: S608 - of this module's own text
_CELLS = text("""
    SELECT DISTINCT n.cell_id FROM nodes n JOIN cells c ON c.id = n.cell_id
    WHERE n.state = 'online' AND (:place = 'root' OR c.parent_id = :place) ORDER BY 1
""")
_CELLS_OF_NODES = text("SELECT id, cell_id FROM nodes WHERE id = ANY(:ids)")
_TELL = text("""
    INSERT INTO supply_curves AS s (cell_id, steps, told_at)
    VALUES (:cell, CAST(:steps AS jsonb), :now)
    ON CONFLICT (cell_id) DO UPDATE SET steps = excluded.steps, told_at = excluded.told_at,
        version = s.version + 1
""")
_TOLD_AT = text("SELECT told_at FROM supply_curves WHERE cell_id = :cell")
_CURVES = text("""
    SELECT cell_id, steps, told_at, version FROM supply_curves
    WHERE cell_id = ANY(:cells) ORDER BY cell_id
""")
_LESSEN = text("""
    UPDATE supply_curves s SET steps = CAST(g.steps AS jsonb), version = s.version + 1
    FROM unnest(CAST(:cells AS text[]), CAST(:versions AS bigint[]), CAST(:steps AS text[]))
        AS g (cell_id, version, steps)
    WHERE s.cell_id = g.cell_id AND s.version = g.version
""")
# The jobs first, in the order of their ids, as plan_apply does: both move demands.
_LOCK = text("""
    SELECT d.id, d.job_id, d.account_id, d.count_open, d.cell_id
    FROM jobs j JOIN demands d ON d.job_id = j.id
    WHERE d.id = ANY(:ids) AND d.state = 'open' AND d.count_open > 0
        AND j.state IN ('queued', 'matched', 'running') AND j.cancel_requested_at IS NULL
        AND j.expires_at > :now
    ORDER BY j.id FOR NO KEY UPDATE
""")
_HAND_DOWN = text("""
    UPDATE demands d SET cell_id = m.target, rounds = 0, reach = 'region',
        tried_cells = array_append(array_remove(d.tried_cells, d.cell_id), d.cell_id)
    FROM unnest(CAST(:ids AS text[]), CAST(:targets AS text[])) AS m (id, target)
    WHERE d.id = m.id
""")
_PASS_ON = text("""
    UPDATE demands SET reach = 'root' WHERE id IN (SELECT id FROM demands
        WHERE id = ANY(:ids) AND state = 'open' AND reach = 'region'
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
""")
_FORGET_TRIES = text("""
    UPDATE demands SET tried_cells = '{}' WHERE id IN (SELECT id FROM demands
        WHERE id = ANY(:ids) AND state = 'open' AND cardinality(tried_cells) > 0
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
""")
_RECORD = text("""
    INSERT INTO upper_rounds (id, place, bid_count, cell_count, step_count, slots_asked,
        slots_handed_down, bids_handed_down, bytes_up, timings_ms, created_at)
    VALUES (:id, :place, :bid_count, :cell_count, :step_count, :slots_asked,
        :slots_handed_down, :bids_handed_down, :bytes_up, CAST(:timings_ms AS jsonb), :now)
""")


def level_above(session: Session, cell: str) -> str | None:
    """The region of ``cell``, or "root"; None where no other cell has a node to offer."""
    return session.execute(_ABOVE, {"cell": cell}).scalar()


def note_sent_up(session: Session, cell: str, *, few: int) -> tuple[int, bool]:
    """(demands that ``cell`` sends up, whether some of them are new), noted with its last round.

    New are those that lost at most ``few`` rounds and have not gone through many cells.
    """
    values = {"cell": cell, "few": few, "tries": HINTED_TRIES_MAX}
    row = session.execute(_SENT_UP, values).one()
    return int(row[0]), bool(row[1])


def read_waiting(session: Session, place: str, *, timed: bool, most: int) -> list[Waiting]:
    """Demands for ``place`` (a region's id or "root") to decide, oldest first, at most ``most``."""
    values = {"place": place, "timed": timed, "tries": HINTED_TRIES_MAX, "most": most}
    rows = session.execute(_WAITING, values)
    return [Waiting(row[0], row[1], tuple(row[2])) for row in rows]


def places_with_work(session: Session) -> list[str]:
    """Regions, and "root", for which some demand waits."""
    return sorted(session.execute(_PLACES).scalars())


def cells_below(session: Session, place: str) -> list[str]:
    """Cells below ``place`` that have a node online."""
    return list(session.execute(_CELLS, {"place": place}).scalars())


def cells_of_nodes(session: Session, ids: Collection[str]) -> dict[str, str]:
    """Cell by node."""
    if not ids:
        return {}
    rows = session.execute(_CELLS_OF_NODES, {"ids": sorted(ids)})
    return {row[0]: row[1] for row in rows}


def write_curve(session: Session, cell: str, steps: Mapping[str, Any], *, now: datetime) -> None:
    """Keep what ``cell`` has left."""
    session.execute(_TELL, {"cell": cell, "steps": dump_json(steps), "now": now})


def told_at(session: Session, cell: str) -> datetime | None:
    """When ``cell`` last told its curve."""
    return session.execute(_TOLD_AT, {"cell": cell}).scalar()


def read_curves(session: Session, cells: Collection[str]) -> list[Curve]:
    """What those of ``cells`` told that told anything, in the order of their ids."""
    rows = session.execute(_CURVES, {"cells": sorted(cells)})
    return [Curve._make(row) for row in rows]


def lessen_curves(session: Session, curves: Sequence[Curve]) -> None:
    """Write curves with less capacity, unless their cells have told anew since their version."""
    if curves:
        session.execute(
            _LESSEN,
            {
                "cells": [curve.cell for curve in curves],
                "versions": [curve.version for curve in curves],
                "steps": [dump_json(curve.steps) for curve in curves],
            },
        )


def hand_down(session: Session, given: Sequence[HandDown], *, now: datetime) -> dict[str, Moved]:
    """Let demands stand in other cells; those that still stood where they were, by demand.

    Only what is open now moves: what was traded meanwhile is not offered again.
    """
    if not given:
        return {}
    wanted = {each.demand: each for each in given}
    rows = session.execute(_LOCK, {"ids": sorted(wanted), "now": now}).all()
    moved = {
        row[0]: Moved(row[0], row[1], row[2], row[3])
        for row in rows
        if row[4] == wanted[row[0]].source
    }
    if moved:
        targets = [wanted[demand].target for demand in moved]
        session.execute(_HAND_DOWN, {"ids": list(moved), "targets": targets})
    return moved


def pass_on(session: Session, demands: Collection[str]) -> None:
    """What a region could not place is the root's to decide."""
    if demands:
        session.execute(_PASS_ON, {"ids": sorted(demands)})


def forget_tries(session: Session, demands: Collection[str]) -> None:
    """Let demands try every cell again."""
    if demands:
        session.execute(_FORGET_TRIES, {"ids": sorted(demands)})


def insert_upper_round(session: Session, values: Mapping[str, Any], *, now: datetime) -> None:
    """Write the round of a region or the root; ``values`` by column, timings as a mapping."""
    session.execute(_RECORD, {**values, "timings_ms": dump_json(values["timings_ms"]), "now": now})
