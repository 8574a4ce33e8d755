"""What applying a plan reads under lock and writes: leases, demands, jobs, the round's record."""

# ruff: noqa: S608 - the only names put into statements are those of our own list of resources

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.engine import dump_json
from market.resources import RESOURCE_NAMES


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
class NewLease:
    """A row of ``leases``, but for what is the same in the whole round."""

    id: str
    job_id: str
    demand_id: str
    node_id: str
    cell_id: str
    owner_id: str
    tenant_id: str
    slots: int
    resources: tuple[int, ...]  # of one slot, in the order of ``RESOURCE_NAMES``
    rate: int
    reserve: int
    limit: int
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one bid."""

    demand_id: str
    asked: int
    won: int
    loss: str | None
    detail: str


_DEMANDS = text("""
    SELECT d.id, d.job_id, d.count_open, j.expires_at
    FROM jobs j JOIN demands d ON d.job_id = j.id
    WHERE d.id = ANY(:ids) AND d.state = 'open' AND d.count_open > 0 AND d.cell_id = :cell
        AND j.state IN ('queued', 'matched', 'running')
        AND j.cancel_requested_at IS NULL AND j.expires_at > :now
    ORDER BY j.id FOR NO KEY UPDATE
""")
_LOCK_NODES = text("SELECT id FROM nodes WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")
_FREE = text(
    "SELECT n.id, n.owner_id, n.cell_id, "
    + _each("coalesce((o.capacity->>'{name}')::bigint, 0) - coalesce(l.{name}, 0)")
    + " FROM nodes n JOIN offers o ON o.node_id = n.id AND o.state = 'open'"
    " LEFT JOIN (SELECT node_id, "
    + _each("sum(slots * {name})::bigint AS {name}")
    + " FROM leases WHERE state = 'active' AND node_id = ANY(:ids) GROUP BY node_id) l"
    " ON l.node_id = n.id"
    " WHERE n.id = ANY(:ids) AND n.state = 'online'"
    " AND (n.cooldown_until IS NULL OR n.cooldown_until <= :now)"
    " AND (n.certificate_expires_at IS NULL OR n.certificate_expires_at > :now)"
    " AND (o.opens_at IS NULL OR o.opens_at <= :now)"
    " AND (o.closes_at IS NULL OR o.closes_at > :now)"
)
_LEASES = text(
    "INSERT INTO leases (id, job_id, demand_id, node_id, cell_id, owner_id, tenant_id, round_id,"
    f" state, slots, {_each('{name}')}, rate_micros_per_hour, reserve_micros_per_hour,"
    " limit_micros_per_hour, epoch, starts_at, ends_at, created_at)"
    " SELECT l.id, l.job_id, l.demand_id, l.node_id, l.cell_id, l.owner_id, l.tenant_id, :round_id,"
    f" 'active', l.slots, {_each('l.{name}')}, l.rate, l.reserve, l.limited,"
    " nextval('lease_epochs'), :now, l.ends_at, :now"
    " FROM unnest(CAST(:id AS text[]), CAST(:job_id AS text[]), CAST(:demand_id AS text[]),"
    " CAST(:node_id AS text[]), CAST(:cell_id AS text[]), CAST(:owner_id AS text[]),"
    " CAST(:tenant_id AS text[]), CAST(:slots AS int[]), "
    + _each("CAST(:{name} AS bigint[])")
    + ", CAST(:rate AS bigint[]), CAST(:reserve AS bigint[]), CAST(:limited AS bigint[]),"
    " CAST(:ends_at AS timestamptz[])) AS l (id, job_id, demand_id, node_id, cell_id, owner_id,"
    f" tenant_id, slots, {_each('{name}')}, rate, reserve, limited, ends_at)"
)
_WON = text("""
    UPDATE demands d SET count_open = d.count_open - w.won,
        state = CASE WHEN d.count_open = w.won THEN 'filled' ELSE d.state END,
        rounds = CASE WHEN d.count_open = w.won THEN d.rounds ELSE d.rounds + 1 END,
        last_loss = w.loss, last_loss_detail = w.detail
    FROM unnest(CAST(:ids AS text[]), CAST(:won AS int[]), CAST(:loss AS text[]),
        CAST(:detail AS text[])) AS w (id, won, loss, detail)
    WHERE d.id = w.id
""")
_LOST = text("""
    UPDATE demands d SET rounds = d.rounds + 1, last_loss = w.loss, last_loss_detail = w.detail
    FROM unnest(CAST(:ids AS text[]), CAST(:loss AS text[]), CAST(:detail AS text[]))
        AS w (id, loss, detail)
    WHERE d.id = w.id AND d.id IN (
        SELECT o.id FROM demands o
        WHERE o.id = ANY(:ids) AND o.state = 'open' ORDER BY o.id FOR NO KEY UPDATE SKIP LOCKED)
        AND (:every OR d.rounds < :few OR d.last_loss IS DISTINCT FROM w.loss)
    RETURNING d.id
""")
_MATCHED = text("""
    UPDATE jobs SET state = 'matched', matched_at = coalesce(matched_at, :now),
        version = version + 1
    WHERE id = ANY(:ids) AND state = 'queued'
    RETURNING id, account_id
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
    SELECT :round_id, o.demand_id, o.asked, o.won, o.loss, o.detail
    FROM unnest(CAST(:demand_id AS text[]), CAST(:asked AS int[]), CAST(:won AS int[]),
        CAST(:loss AS text[]), CAST(:detail AS text[]))
        AS o (demand_id, asked, won, loss, detail)
    ON CONFLICT DO NOTHING
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
    rows = session.execute(_DEMANDS, {"ids": sorted(ids), "cell": cell, "now": now})
    return {row[0]: OpenDemand._make(row) for row in rows}


def lock_nodes(session: Session, ids: Collection[str], *, now: datetime) -> dict[str, FreeNode]:
    """Those of ``ids`` that may sell now, locked, with what is free at this moment."""
    ordered = sorted(ids)
    session.execute(_LOCK_NODES, {"ids": ordered})
    rows = session.execute(_FREE, {"ids": ordered, "now": now})
    return {row[0]: FreeNode(row[0], row[1], row[2], tuple(row[3:])) for row in rows}


def insert_leases(
    session: Session, leases: Sequence[NewLease], *, round_id: str, now: datetime
) -> None:
    """Write ``leases``, each with an epoch of its own."""
    if not leases:
        return
    plain = ("id", "job_id", "demand_id", "node_id", "cell_id", "owner_id", "tenant_id", "slots")
    values: dict[str, Any] = {name: [getattr(lease, name) for lease in leases] for name in plain}
    for k, name in enumerate(RESOURCE_NAMES):
        values[name] = [lease.resources[k] for lease in leases]
    values["rate"] = [lease.rate for lease in leases]
    values["reserve"] = [lease.reserve for lease in leases]
    values["limited"] = [lease.limit for lease in leases]
    values["ends_at"] = [lease.ends_at for lease in leases]
    session.execute(_LEASES, {**values, "round_id": round_id, "now": now})


def record_winners(session: Session, outcomes: Sequence[Outcome]) -> None:
    """Count won slots off the demands, which must be locked."""
    if outcomes:
        session.execute(
            _WON,
            {
                "ids": [outcome.demand_id for outcome in outcomes],
                "won": [outcome.won for outcome in outcomes],
                "loss": [outcome.loss for outcome in outcomes],
                "detail": [outcome.detail for outcome in outcomes],
            },
        )


def record_losers(
    session: Session, outcomes: Sequence[Outcome], *, every: bool, few: int
) -> set[str]:
    """Note why demands won nothing; the ids of those noted.

    All of them, or only those with a new reason and those that lost fewer than ``few`` rounds.
    What another transaction has locked is left out: it is about to change anyway.
    """
    if not outcomes:
        return set()
    rows = session.execute(
        _LOST,
        {
            "ids": [outcome.demand_id for outcome in outcomes],
            "loss": [outcome.loss for outcome in outcomes],
            "detail": [outcome.detail for outcome in outcomes],
            "every": every,
            "few": few,
        },
    )
    return set(rows.scalars())


def mark_matched(session: Session, job_ids: Collection[str], *, now: datetime) -> dict[str, str]:
    """Queued jobs that have their first lease now: account by job id."""
    rows = session.execute(_MATCHED, {"ids": sorted(job_ids), "now": now})
    return {row[0]: row[1] for row in rows}


def insert_round(session: Session, values: Mapping[str, Any], *, now: datetime) -> None:
    """Write the round's row; ``values`` by column, timings, effort and depth as mappings."""
    texts = {name: dump_json(values[name]) for name in ("timings_ms", "effort", "depth")}
    held = {**values, **texts, "now": now}
    session.execute(_ROUND, held)


def insert_outcomes(session: Session, outcomes: Sequence[Outcome], *, round_id: str) -> None:
    """Write what became of each bid."""
    if outcomes:
        names = ("demand_id", "asked", "won", "loss", "detail")
        values = {name: [getattr(outcome, name) for outcome in outcomes] for name in names}
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
