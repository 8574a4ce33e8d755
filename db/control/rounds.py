"""What a round reads: asks, bids, places, policy, prices; each in one statement."""

# ruff: noqa: S608 - the only names put into statements are those of our own list of resources

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import String

from db.engine import dump_json
from market.resources import RESOURCE_NAMES

BIDS_PER_ROUND_MAX = 100_000
CHARGES_READ_MAX = 20_000  # of one tenant, when a process reads its history for the first time


class AskRow(NamedTuple):
    """One node that may sell now; quantities by resource follow in ``capacity`` and so on."""

    node: str
    owner: str
    cell: str
    arch: str
    labels: str  # JSON text: equal labels are equal text, which makes them cheap to compare
    runtimes: str
    ops_per_s: int
    reliability_good: float
    reliability_all: float
    idle_milliwatts: int
    max_milliwatts: int
    carbon_g_per_kwh: int | None
    on_battery: bool
    temperature_millicelsius: int | None
    accepts: str
    refuses: str
    capacity: tuple[int, ...]
    reserve: tuple[int, ...]
    leased: tuple[int, ...]


class BidRow(NamedTuple):
    """One open demand; ``needs`` is JSON text, as ``labels`` above."""

    demand: str
    account: str
    home_cell: str
    slots: int
    slots_min: int
    limit_micros_per_hour: int
    duration_ms: int
    created_ms: int
    needs: str
    resources: tuple[int, ...]


class CellRow(NamedTuple):
    """A place."""

    id: str
    latitude: float | None
    longitude: float | None


def _each(template: str) -> str:
    return ", ".join(template.format(name=name) for name in RESOURCE_NAMES)


_R = len(RESOURCE_NAMES)
_LEASED = (
    "LEFT JOIN (SELECT node_id, "
    + _each("sum(slots * {name})::bigint AS {name}")
    + " FROM leases WHERE state = 'active' GROUP BY node_id) l ON l.node_id = n.id"
)
ASKS = text(
    "SELECT n.id, n.owner_id, n.cell_id, n.arch, n.labels::text, n.runtimes::text,"
    " n.calibration_ops_per_s, n.reliability_good, n.reliability_all,"
    " n.idle_milliwatts, n.max_milliwatts,"
    " coalesce(n.carbon_g_per_kwh, c.carbon_g_per_kwh), n.on_battery,"
    " n.temperature_millicelsius, o.accepts::text, o.refuses::text, "
    + _each("coalesce((o.capacity->>'{name}')::bigint, 0)")
    + ", "
    + _each("coalesce((o.reserve->>'{name}')::bigint, 0)")
    + ", "
    + _each("coalesce(l.{name}, 0)")
    + " FROM nodes n JOIN offers o ON o.node_id = n.id AND o.state = 'open'"
    f" JOIN cells c ON c.id = n.cell_id {_LEASED}"
    " WHERE n.cell_id = ANY(:cells)"
    " AND (n.state = 'online' OR (:known AND n.state IN ('enrolled', 'offline', 'draining')))"
    " AND (:known OR n.cooldown_until IS NULL OR n.cooldown_until <= :now)"
    " AND (:known OR n.certificate_expires_at IS NULL OR n.certificate_expires_at > :now)"
    " AND (:known OR o.opens_at IS NULL OR o.opens_at <= :now)"
    " AND (o.closes_at IS NULL OR o.closes_at > :now)"
    " ORDER BY n.id"
).bindparams(bindparam("cells", type_=ARRAY(String)))

_BID_COLUMNS = (
    "SELECT d.id, d.account_id, d.home_cell_id, d.count_open, least(d.count_min, d.count_open),"
    " d.limit_micros_per_hour, d.duration_ms, (extract(epoch FROM d.created_at) * 1000)::bigint,"
    " d.needs::text, " + _each("coalesce((d.resources->>'{name}')::bigint, 0)") + " FROM demands d"
)
BIDS = text(
    f"{_BID_COLUMNS} WHERE d.cell_id = :cell AND d.state = 'open' AND d.count_open > 0"
    " ORDER BY d.created_at, d.id LIMIT :most"
)
BIDS_BY_ID = text(f"{_BID_COLUMNS} WHERE d.id = ANY(:ids) ORDER BY d.created_at, d.id").bindparams(
    bindparam("ids", type_=ARRAY(String))
)
ACCOUNTS = text("SELECT id, name, fair_weight FROM accounts WHERE id = ANY(:ids)")
CELLS = text("SELECT id, latitude, longitude FROM cells WHERE id = ANY(:ids) ORDER BY id")
STANDING = text(
    "SELECT cell_id, resource, price_micros, at FROM standing_prices WHERE cell_id = ANY(:ids)"
)
POLICY = text(
    "SELECT id, body FROM policies WHERE activated_at IS NOT NULL AND NOT shadow"
    " ORDER BY activated_at DESC, id DESC LIMIT 1"
)
SHADOW = text(
    "SELECT id, body FROM policies WHERE activated_at IS NOT NULL AND shadow"
    " ORDER BY activated_at DESC, id DESC LIMIT 1"
)
INSERT_SHADOW = text("""
    INSERT INTO shadow_plans (round_id, policy_id, cell_id, live, shadow, created_at)
    SELECT r.id, :policy, r.cell_id, CAST(:live AS jsonb), CAST(:shadow AS jsonb), :now
    FROM rounds r WHERE r.id = :round ON CONFLICT DO NOTHING RETURNING 1
""")
# What an account paid itself, for nodes of its own, it has not received of others.
CHARGES = text(
    "SELECT t.account, c.sequence, c.amount_micros - coalesce(("
    "  SELECT sum(p.amount_micros) FROM transfers p"
    "  WHERE p.job_id = c.job_id AND p.credit_id = t.account AND p.kind = 'payout'"
    " ), 0)::bigint, c.created_at"
    " FROM unnest(CAST(:accounts AS text[]), CAST(:after AS bigint[])) AS t(account, after),"
    " LATERAL (SELECT sequence, amount_micros, created_at, job_id FROM transfers"
    "  WHERE debit_id = t.account AND sequence > t.after AND kind = 'charge'"
    "  ORDER BY sequence DESC LIMIT :most) c"
)
RUNNING = text(
    "SELECT tenant_id, sum(rate_micros_per_hour * slots"
    " * greatest(0, extract(epoch FROM CAST(:now AS timestamptz) - starts_at)) / 3600)::float8"
    " FROM leases WHERE state = 'active' AND tenant_id = ANY(:ids) AND owner_id <> tenant_id"
    " GROUP BY tenant_id"
)


def read_asks(
    session: Session, cells: Collection[str], *, now: datetime, known: bool = False
) -> list[AskRow]:
    """Nodes of ``cells`` that may sell now; with ``known`` all that could sell again."""
    rows = session.execute(ASKS, {"cells": list(cells), "now": now, "known": known})
    return [
        AskRow._make((*row[:16], row[16 : 16 + _R], row[16 + _R : 16 + 2 * _R], row[16 + 2 * _R :]))
        for row in _tuples(rows)
    ]


def read_bids(session: Session, cell: str, *, most: int = BIDS_PER_ROUND_MAX) -> list[BidRow]:
    """Open demands that stand in the round of ``cell``, oldest first, at most ``most``."""
    return _bids(session, BIDS, cell=cell, most=most)


def read_bids_by_id(session: Session, ids: Sequence[str]) -> list[BidRow]:
    """The named demands, open or not, oldest first."""
    return _bids(session, BIDS_BY_ID, ids=list(ids))


def _bids(session: Session, statement: TextClause, **values: Any) -> list[BidRow]:
    return [
        BidRow._make((*row[:9], row[9:])) for row in _tuples(session.execute(statement, values))
    ]


def _tuples(result: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in result]


def read_accounts(session: Session, ids: Collection[str]) -> dict[str, tuple[str, float]]:
    """Name and fair weight by account id."""
    rows = session.execute(ACCOUNTS, {"ids": sorted(ids)})
    return {row[0]: (row[1], row[2]) for row in rows}


def read_cells(session: Session, ids: Collection[str]) -> list[CellRow]:
    """The named cells in id order."""
    return [CellRow(*row) for row in session.execute(CELLS, {"ids": sorted(ids)})]


def read_standing_prices(
    session: Session, cells: Collection[str]
) -> dict[tuple[str, str], tuple[float, datetime]]:
    """Price in force, and since when, by (cell, resource)."""
    rows = session.execute(STANDING, {"ids": sorted(cells)})
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


def read_policy(session: Session) -> tuple[str, dict[str, Any]] | None:
    """Id and body of the newest activated policy."""
    row = session.execute(POLICY).first()
    return None if row is None else (row[0], row[1])


def read_shadow_policy(session: Session) -> tuple[str, dict[str, Any]] | None:
    """Id and body of the policy that runs as a shadow."""
    row = session.execute(SHADOW).first()
    return None if row is None else (row[0], row[1])


def insert_shadow(
    session: Session,
    *,
    round_id: str,
    policy_id: str,
    live: Mapping[str, float],
    shadow: Mapping[str, float],
    now: datetime,
) -> bool:
    """Write what a shadow policy would have made of a round; False if the round is gone."""
    values = {"live": dump_json(live), "shadow": dump_json(shadow)}
    named = {**values, "round": round_id, "policy": policy_id, "now": now}
    return session.execute(INSERT_SHADOW, named).scalar() is not None


def read_charges(
    session: Session, after: dict[str, int], *, most: int = CHARGES_READ_MAX
) -> list[tuple[str, int, int, datetime]]:
    """(tenant, sequence, micros, at) of charges beyond each tenant's ``after[tenant]``."""
    rows = session.execute(
        CHARGES, {"accounts": list(after), "after": list(after.values()), "most": most}
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def read_running_worth(
    session: Session, tenants: Collection[str], *, now: datetime
) -> dict[str, float]:
    """Micros that the active leases of each tenant are worth so far."""
    rows = session.execute(RUNNING, {"ids": sorted(tenants), "now": now})
    return {row[0]: row[1] for row in rows}
