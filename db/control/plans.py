"""What applying a plan reads under lock and writes: leases, demands, jobs, the round's record."""

# ruff: noqa: S608 - the only names put into statements are those of our own list of resources

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.arrays import integers, texts
from db.engine import dump_json
from market.resources import RESOURCE_NAMES
from market.snapshot import Indices, Ints


def _each(template: str) -> str:
    return ", ".join(template.format(name=name) for name in RESOURCE_NAMES)


class OpenDemand(NamedTuple):
    """A demand as it is now, its job locked."""

    id: str
    job_id: str
    count_open: int
    expires_at: datetime


class FreeNode(NamedTuple):
    """A node that may sell now, locked, with what its active leases leave of its offer."""

    id: str
    owner_id: str
    cell_id: str
    free: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLeases:
    """k rows of ``leases`` in columns, but for what is the same in the whole round."""

    id: Sequence[str]
    job_id: Sequence[str]
    demand_id: Sequence[str]
    node_id: Sequence[str]
    cell_id: Sequence[str]
    owner_id: Sequence[str]
    tenant_id: Sequence[str]
    slots: Ints  # (k,)
    resources: Ints  # (k, R) of one slot, in the order of ``RESOURCE_NAMES``
    rate: Ints  # (k,)
    reserve: Ints  # (k,)
    limit: Ints  # (k,)
    ends_at: Sequence[datetime]

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What became of k bids, in columns."""

    demand_id: Sequence[str]
    asked: Ints  # (k,) slots
    won: Ints  # (k,) slots
    loss: Sequence[str]  # "" where the whole count was served
    detail: Sequence[str]

    def __len__(self) -> int:
        return len(self.demand_id)

    def at(self, index: Indices | Ints) -> "Outcomes":
        """Those at ``index``."""
        places = index.tolist()
        return Outcomes(
            demand_id=[self.demand_id[k] for k in places],
            asked=self.asked[index],
            won=self.won[index],
            loss=[self.loss[k] for k in places],
            detail=[self.detail[k] for k in places],
        )


_DEMANDS = text("""
    SELECT d.id, d.job_id, d.count_open, j.expires_at
    FROM jobs j JOIN demands d ON d.job_id = j.id
    WHERE d.id = ANY(CAST(:ids AS text[])) AND d.state = 'open' AND d.count_open > 0
        AND d.cell_id = :cell
        AND j.state IN ('queued', 'matched', 'running')
        AND j.cancel_requested_at IS NULL AND j.expires_at > :now
    ORDER BY j.id FOR NO KEY UPDATE
""")
_LOCK_NODES = text(
    "SELECT id FROM nodes WHERE id = ANY(CAST(:ids AS text[])) ORDER BY id FOR NO KEY UPDATE"
)
_FREE = text(
    "SELECT n.id, n.owner_id, n.cell_id, "
    + _each("coalesce((o.capacity->>'{name}')::bigint, 0) - coalesce(l.{name}, 0)")
    + " FROM nodes n JOIN offers o ON o.node_id = n.id AND o.state = 'open'"
    " LEFT JOIN (SELECT node_id, "
    + _each("sum(slots * {name})::bigint AS {name}")
    + " FROM leases WHERE state = 'active' AND node_id = ANY(CAST(:ids AS text[]))"
    " GROUP BY node_id) l"
    " ON l.node_id = n.id"
    " WHERE n.id = ANY(CAST(:ids AS text[])) AND n.state = 'online'"
    " AND (n.cooldown_until IS NULL OR n.cooldown_until <= :now)"
    " AND (n.certificate_expires_at IS NULL OR n.certificate_expires_at > :now)"
    " AND (o.opens_at IS NULL OR o.opens_at <= :now)"
    " AND (o.closes_at IS NULL OR o.closes_at > :now)"
)
_PLAIN = ("id", "job_id", "demand_id", "node_id", "cell_id", "owner_id", "tenant_id")
_LEASES = text(
    "WITH given AS MATERIALIZED (SELECT * FROM unnest("
    + ", ".join(f"CAST(:{name} AS text[])" for name in _PLAIN)
    + ", CAST(:slots AS int[]), "
    + _each("CAST(:{name} AS bigint[])")
    + ", CAST(:rate AS bigint[]), CAST(:reserve AS bigint[]), CAST(:limited AS bigint[]),"
    " CAST(:ends_at AS timestamptz[])) WITH ORDINALITY AS l ("
    + ", ".join(_PLAIN)
    + f", slots, {_each('{name}')}, rate, reserve, limited, ends_at, place)"
    "), made AS ("
    f"INSERT INTO leases ({', '.join(_PLAIN)}, round_id, state, slots, {_each('{name}')},"
    " rate_micros_per_hour, reserve_micros_per_hour, limit_micros_per_hour, epoch, starts_at,"
    " ends_at, created_at)"
    f" SELECT {', '.join(_PLAIN)}, :round_id, 'active', slots, {_each('{name}')}, rate, reserve,"
    " limited, nextval('lease_epochs'), :now, ends_at, :now FROM given)"
    " INSERT INTO events (at, kind, account_id, subject_id, data)"
    " SELECT :now, 'lease.created', tenant_id, job_id, jsonb_build_object('lease_id', id,"
    " 'job_id', job_id, 'node_id', node_id, 'slots', slots, 'rate_micros_per_hour', rate)"
    " FROM given ORDER BY place"
)
_WON = text("""
    UPDATE demands d SET count_open = d.count_open - w.won,
        state = CASE WHEN d.count_open = w.won THEN 'filled' ELSE d.state END,
        rounds = CASE WHEN d.count_open = w.won THEN d.rounds ELSE d.rounds + 1 END,
        last_loss = nullif(w.loss, ''), last_loss_detail = w.detail
    FROM unnest(CAST(:ids AS text[]), CAST(:won AS int[]), CAST(:loss AS text[]),
        CAST(:detail AS text[])) AS w (id, won, loss, detail)
    WHERE d.id = w.id
""")
_LOST = text("""
    UPDATE demands d SET rounds = d.rounds + 1, last_loss = nullif(w.loss, ''),
        last_loss_detail = w.detail
    FROM unnest(CAST(:ids AS text[]), CAST(:loss AS text[]), CAST(:detail AS text[]))
        AS w (id, loss, detail)
    WHERE d.id = w.id AND d.id IN (
        SELECT o.id FROM demands o WHERE o.id = ANY(CAST(:ids AS text[])) AND o.state = 'open'
        ORDER BY o.id FOR NO KEY UPDATE SKIP LOCKED)
        AND (:every OR d.rounds < :few OR d.last_loss IS DISTINCT FROM nullif(w.loss, ''))
    RETURNING d.id
""")
_MATCHED = text("""
    WITH moved AS (
        UPDATE jobs j SET state = 'matched', matched_at = coalesce(j.matched_at, :now),
            version = j.version + 1
        FROM unnest(CAST(:ids AS text[]), CAST(:slots AS bigint[])) AS g (id, slots)
        WHERE j.id = g.id AND j.state = 'queued'
        RETURNING j.id, j.account_id, g.slots
    )
    INSERT INTO events (at, kind, account_id, subject_id, data)
    SELECT :now, 'job.matched', account_id, id,
        jsonb_build_object('state', 'matched', 'slots', slots)
    FROM moved ORDER BY id
""")
_ROUND = text("""
    INSERT INTO rounds (id, cell_id, policy_id, mechanism, seed, bid_count, ask_count, slots_asked,
        slots_matched, slots_applied, slots_refused, welfare, bound, timings_ms, snapshot,
        budget_ms, effort, digest, depth, created_at)
    VALUES (:id, :cell_id, :policy_id, :mechanism, :seed, :bid_count, :ask_count, :slots_asked,
        :slots_matched, :slots_applied, :slots_refused, :welfare, :bound,
        CAST(:timings_ms AS jsonb), :snapshot, :budget_ms, CAST(:effort AS jsonb), :digest,
        CAST(:depth AS jsonb), :now)
""")
_OUTCOMES = text("""
    INSERT INTO bid_outcomes (round_id, demand_id, slots_asked, slots_won, loss, detail)
    SELECT :round_id, o.demand_id, o.asked, o.won, nullif(o.loss, ''), o.detail
    FROM unnest(CAST(:demand_id AS text[]), CAST(:asked AS int[]), CAST(:won AS int[]),
        CAST(:loss AS text[]), CAST(:detail AS text[]))
        AS o (demand_id, asked, won, loss, detail)
""")
_PRICES = text("""
    WITH given AS (
        SELECT * FROM unnest(CAST(:cell_id AS text[]), CAST(:resource AS text[]),
            CAST(:price AS float8[]), CAST(:utilisation AS float8[]))
            AS p (cell_id, resource, price, utilisation)
    ), moved AS (
        INSERT INTO standing_prices AS s (cell_id, resource, price_micros, utilisation, at)
        SELECT cell_id, resource, price, utilisation, :now FROM given
        ON CONFLICT (cell_id, resource) DO UPDATE
            SET price_micros = excluded.price_micros, utilisation = excluded.utilisation,
                at = excluded.at
            WHERE s.price_micros <> excluded.price_micros
                OR s.utilisation <> excluded.utilisation
        RETURNING cell_id, resource, price_micros, utilisation
    )
    INSERT INTO prices (round_id, cell_id, resource, price_micros, utilisation, at)
    SELECT :round_id, cell_id, resource, price_micros, utilisation, :now FROM moved
    RETURNING cell_id, resource, price_micros, utilisation
""")


def lock_demands(
    session: Session, ids: Collection[str], *, cell: str, now: datetime
) -> dict[str, OpenDemand]:
    """Those of ``ids`` that are still wanted in ``cell``, locked with their jobs."""
    rows = session.execute(_DEMANDS, {"ids": texts(sorted(ids)), "cell": cell, "now": now})
    return {row[0]: OpenDemand._make(row) for row in rows}


def lock_nodes(session: Session, ids: Collection[str], *, now: datetime) -> dict[str, FreeNode]:
    """Those of ``ids`` that may sell now, locked, with what is free at this moment."""
    ordered = texts(sorted(ids))
    session.execute(_LOCK_NODES, {"ids": ordered})
    rows = session.execute(_FREE, {"ids": ordered, "now": now})
    return {row[0]: FreeNode(row[0], row[1], row[2], tuple(row[3:])) for row in rows}


def insert_leases(session: Session, leases: NewLeases, *, round_id: str, now: datetime) -> None:
    """Write ``leases``, each with an epoch of its own, and tell of each."""
    if not len(leases):
        return
    values = {name: texts(getattr(leases, name)) for name in _PLAIN}
    for k, name in enumerate(RESOURCE_NAMES):
        values[name] = integers(leases.resources[:, k])
    values["slots"] = integers(leases.slots)
    values["rate"] = integers(leases.rate)
    values["reserve"] = integers(leases.reserve)
    values["limited"] = integers(leases.limit)
    ends = {end: end.isoformat() for end in set(leases.ends_at)}
    values["ends_at"] = texts([ends[end] for end in leases.ends_at])
    session.execute(_LEASES, {**values, "round_id": round_id, "now": now})


def record_winners(session: Session, outcomes: Outcomes) -> None:
    """Count won slots off the demands, which must be locked."""
    if len(outcomes):
        session.execute(
            _WON,
            {
                "ids": texts(outcomes.demand_id),
                "won": integers(outcomes.won),
                "loss": texts(outcomes.loss),
                "detail": texts(outcomes.detail),
            },
        )


def record_losers(session: Session, outcomes: Outcomes, *, every: bool, few: int) -> Outcomes:
    """Note why demands won nothing; those noted.

    All of them, or only those with a new reason and those that lost fewer than ``few`` rounds.
    What another transaction has locked is left out: it is about to change anyway.
    """
    if not len(outcomes):
        return outcomes
    values = {
        "ids": texts(outcomes.demand_id),
        "loss": texts(outcomes.loss),
        "detail": texts(outcomes.detail),
    }
    rows = session.execute(_LOST, {**values, "every": every, "few": few})
    noted = set(rows.scalars())
    return outcomes.at(np.flatnonzero([id in noted for id in outcomes.demand_id]))


def mark_matched(session: Session, slots_of: Mapping[str, int], *, now: datetime) -> None:
    """Jobs have leases; of those still queued it is their first, and is told. Slots by job id."""
    if slots_of:
        ids = sorted(slots_of)
        slots = integers([slots_of[id] for id in ids])
        session.execute(_MATCHED, {"ids": texts(ids), "slots": slots, "now": now})


def insert_round(session: Session, values: Mapping[str, Any], *, now: datetime) -> None:
    """Write the round's row; ``values`` by column, timings, effort and depth as mappings."""
    texts = {name: dump_json(values[name]) for name in ("timings_ms", "effort", "depth")}
    held = {**values, **texts, "now": now}
    session.execute(_ROUND, held)


def insert_outcomes(session: Session, outcomes: Outcomes, *, round_id: str) -> None:
    """Write what became of each bid."""
    if len(outcomes):
        values = {
            "demand_id": texts(outcomes.demand_id),
            "asked": integers(outcomes.asked),
            "won": integers(outcomes.won),
            "loss": texts(outcomes.loss),
            "detail": texts(outcomes.detail),
        }
        session.execute(_OUTCOMES, {**values, "round_id": round_id})


def set_prices(
    session: Session,
    prices: Mapping[tuple[str, str], tuple[float, float]],
    *,
    round_id: str,
    now: datetime,
) -> dict[tuple[str, str], float]:
    """Put (price, utilisation) by (cell, resource) in force; those that moved, also on record."""
    if not prices:
        return {}
    rows = session.execute(
        _PRICES,
        {
            "cell_id": [cell for cell, _ in prices],
            "resource": [resource for _, resource in prices],
            "price": [price for price, _ in prices.values()],
            "utilisation": [utilisation for _, utilisation in prices.values()],
            "round_id": round_id,
            "now": now,
        },
    )
    return {(row[0], row[1]): row[2] for row in rows}
