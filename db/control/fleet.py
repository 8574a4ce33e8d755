"""The statements of what nodes say of themselves: births, states, presence, offers, reliability."""

# ruff: noqa: S608 - the only names put into statements are those of our own dataclasses

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.engine import dump_json


class NodeRow(NamedTuple):
    """A locked node, as far as news of it are judged by it."""

    id: str
    owner_id: str
    cell_id: str
    state: str
    state_reason: str
    boot: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A node was heard: where it stands in its order of messages, and what it is now."""

    id: str
    state: str
    state_reason: str
    boot: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BirthRow:
    """What a birth says."""

    id: str
    agent_version: str
    arch: str
    cpu_count: int
    runtimes: str  # JSON text, likewise the next two
    labels: str
    capacity: str
    calibration_ops_per_s: int
    idle_milliwatts: int
    max_milliwatts: int
    carbon_g_per_kwh: int | None
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRow:
    """What a state says."""

    id: str
    cpu_free_millis: int
    memory_free_bytes: int
    disk_free_bytes: int
    load_1m_milli: int
    battery_percent: int | None
    on_battery: bool
    temperature_millicelsius: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferRow:
    """An offer as its node makes it."""

    id: str
    node_id: str
    capacity: str  # JSON text, likewise the next three
    reserve: str
    accepts: str
    refuses: str
    opens_at: datetime | None
    closes_at: datetime | None
    replaces: bool  # also an offer that is on record; False: only where there never was one


_TYPES: Mapping[str, str] = {
    "str": "text",
    "int": "bigint",
    "int | None": "bigint",
    "float | None": "float8",
    "bool": "bool",
    "datetime | None": "timestamptz",
}


def _unnest(cls: type) -> str:
    columns = [(field.name, _TYPES[_type_name(field.type)]) for field in fields(cls)]
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns)
    return f"unnest({arrays}) AS m ({', '.join(name for name, _ in columns)})"


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("datetime.", "")


def _columns(rows: Sequence[Any]) -> dict[str, list[Any]]:
    return {
        field.name: [getattr(row, field.name) for row in rows] for field in fields(type(rows[0]))
    }


def _set(cls: type, *, json: Collection[str] = ()) -> str:
    return ", ".join(
        f"{field.name} = CAST(m.{field.name} AS jsonb)"
        if field.name in json
        else f"{field.name} = m.{field.name}"
        for field in fields(cls)
        if field.name != "id"
    )


_LOCK = text("""
    SELECT id, owner_id, cell_id, state, state_reason, boot, seq
    FROM nodes WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE
""")
_PRESENCE = text(f"""
    UPDATE nodes n SET {_set(Presence)}, last_seen_at = :now,
        silent_since = CASE WHEN m.state = 'offline' THEN coalesce(n.silent_since, :now) END,
        version = n.version + CASE WHEN m.state = n.state THEN 0 ELSE 1 END
    FROM {_unnest(Presence)} WHERE n.id = m.id
""")
_BIRTHS = text(f"""
    UPDATE nodes n SET {_set(BirthRow, json=("runtimes", "labels", "capacity"))}
    FROM {_unnest(BirthRow)} WHERE n.id = m.id
""")
_STATES = text(f"""
    UPDATE nodes n SET {_set(StateRow)} FROM {_unnest(StateRow)} WHERE n.id = m.id
""")
_OFFERS = text(f"""
    WITH m AS (SELECT * FROM {_unnest(OfferRow)}), changed AS (
        UPDATE offers o SET capacity = CAST(m.capacity AS jsonb),
            reserve = CAST(m.reserve AS jsonb), accepts = CAST(m.accepts AS jsonb),
            refuses = CAST(m.refuses AS jsonb), opens_at = m.opens_at, closes_at = m.closes_at,
            cell_id = n.cell_id, version = o.version + 1, updated_at = :now
        FROM m JOIN nodes n ON n.id = m.node_id
        WHERE o.node_id = m.node_id AND o.state = 'open' AND m.replaces
            AND (o.capacity <> CAST(m.capacity AS jsonb) OR o.reserve <> CAST(m.reserve AS jsonb)
                OR o.accepts <> CAST(m.accepts AS jsonb) OR o.refuses <> CAST(m.refuses AS jsonb)
                OR o.opens_at IS DISTINCT FROM m.opens_at
                OR o.closes_at IS DISTINCT FROM m.closes_at OR o.cell_id <> n.cell_id)
        RETURNING o.cell_id
    ), made AS (
        INSERT INTO offers (id, node_id, owner_id, cell_id, state, capacity, reserve, accepts,
            refuses, opens_at, closes_at, created_at, updated_at)
        SELECT m.id, m.node_id, n.owner_id, n.cell_id, 'open', CAST(m.capacity AS jsonb),
            CAST(m.reserve AS jsonb), CAST(m.accepts AS jsonb), CAST(m.refuses AS jsonb),
            m.opens_at, m.closes_at, :now, :now
        FROM m JOIN nodes n ON n.id = m.node_id
        WHERE NOT EXISTS (SELECT FROM offers o WHERE o.node_id = m.node_id
            AND (o.state = 'open' OR NOT m.replaces))
        RETURNING cell_id
    )
    SELECT cell_id FROM changed UNION SELECT cell_id FROM made
""")
# Both counts halve each 100 attempts. A node whose record (with a prior of 9.5 in 10) grows worse
# rests the longer for each failure: 2.6 s after its first, minutes when nearly all fail.
_RELIABILITY = text("""
    UPDATE nodes n SET reliability_good = r.good, reliability_all = r.every,
        cooldown_until = CASE WHEN m.bad > 0 THEN :now + make_interval(secs => least(300,
            power(2, 10 * (1 - (r.good + 9.5) / (r.every + 10))))) ELSE n.cooldown_until END
    FROM unnest(CAST(:ids AS text[]), CAST(:good AS bigint[]), CAST(:bad AS bigint[]))
        AS m (id, good, bad),
    LATERAL (SELECT power(0.5, (m.good + m.bad) / 100.0) AS kept) k,
    LATERAL (SELECT o.reliability_good * k.kept + m.good AS good,
        o.reliability_all * k.kept + m.good + m.bad AS every FROM nodes o WHERE o.id = m.id) r
    WHERE n.id = m.id
""")
_JOBS_OF_NODES = text("""
    SELECT DISTINCT job_id FROM leases WHERE node_id = ANY(:ids) AND state = 'active'
""")


def lock_nodes(session: Session, ids: Collection[str]) -> dict[str, NodeRow]:
    """Those of ``ids`` that are enrolled, locked in id order."""
    rows = session.execute(_LOCK, {"ids": sorted(ids)})
    return {row[0]: NodeRow._make(row) for row in rows}


def write_presence(session: Session, rows: Sequence[Presence], *, now: datetime) -> None:
    """Note that nodes were heard now."""
    if rows:
        session.execute(_PRESENCE, {**_columns(rows), "now": now})


def write_births(session: Session, rows: Sequence[BirthRow]) -> None:
    """Note what nodes have."""
    if rows:
        session.execute(_BIRTHS, _columns(rows))


def write_states(session: Session, rows: Sequence[StateRow]) -> None:
    """Note how nodes are."""
    if rows:
        session.execute(_STATES, _columns(rows))


def write_offers(session: Session, rows: Sequence[OfferRow], *, now: datetime) -> list[str]:
    """Make and change offers; the cells where something changed."""
    if not rows:
        return []
    return list(session.execute(_OFFERS, {**_columns(rows), "now": now}).scalars())


def write_reliability(
    session: Session, good: Mapping[str, int], bad: Mapping[str, int], *, now: datetime
) -> None:
    """Count ended attempts by node, and let nodes that failed some rest a while."""
    ids = sorted({*good, *bad})
    if ids:
        session.execute(
            _RELIABILITY,
            {
                "ids": ids,
                "good": [good.get(node, 0) for node in ids],
                "bad": [bad.get(node, 0) for node in ids],
                "now": now,
            },
        )


def jobs_leasing(session: Session, nodes: Collection[str]) -> list[str]:
    """Jobs with an active lease on one of ``nodes``."""
    if not nodes:
        return []
    return list(session.execute(_JOBS_OF_NODES, {"ids": sorted(nodes)}).scalars())


def json_text(value: Any) -> str:
    """The text of a JSONB value in one of the rows above."""
    return dump_json(value)
