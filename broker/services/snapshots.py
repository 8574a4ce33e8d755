"""Builds the snapshot of a round from what the database says in one consistent read.

The caller opens the transaction with REPEATABLE READ, so that every statement sees one moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import numpy as np
import orjson
from sqlalchemy.orm import Session

from broker.services.needs import Needs, Vocabulary, read_needs
from broker.services.places import zone_latencies
from broker.services.shares import Shares
from db.control import rounds
from db.control.rounds import AskRow, BidRow, CellRow
from market.pricing import first_prices
from market.resources import RESOURCES
from market.snapshot import Asks, Bids, Bools, Floats, Ints, Policy, Snapshot

REFERENCE_OPS_PER_S = 10_000_000  # of the agent's calibration: what one reference core does
RELIABILITY_PRIOR = (9.5, 10.0)  # a node without a record counts as good in 95 of 100 attempts
HOT_MILLICELSIUS = 80_000
ENABLED_PARTS = {field.name for field in fields(Policy)} - {"id"}

_NAMES = tuple(resource.name for resource in RESOURCES)
_UNITS = np.array([resource.priced_unit for resource in RESOURCES], dtype=np.int64)


@dataclass(slots=True, kw_only=True)
class Rows:
    """Everything that one snapshot is made of."""

    asks: list[AskRow]
    bids: list[BidRow]
    cells: list[CellRow]
    accounts: Mapping[str, tuple[str, float]]
    standing: Mapping[tuple[str, str], tuple[float, datetime]]  # price, in force since
    received: Sequence[float]
    tenants: tuple[str, ...]


def current_policy(session: Session, *, mechanism: str) -> Policy:
    """The policy in force; ``mechanism`` stands in where it names none."""
    found = rounds.read_policy(session)
    return _policy(found, mechanism) if found else Policy(mechanism=mechanism)


def shadow_policy(session: Session, *, mechanism: str) -> Policy | None:
    """The policy that runs beside the one in force, if there is one."""
    found = rounds.read_shadow_policy(session)
    return _policy(found, mechanism) if found else None


def _policy(found: tuple[str, dict[str, Any]], mechanism: str) -> Policy:
    known = {name: value for name, value in found[1].items() if name in ENABLED_PARTS}
    return Policy(id=found[0], **{"mechanism": mechanism, **known})


def paced(policy: Policy, rows: Rows, *, cell: str, now: datetime, interval_s: float) -> Policy:
    """``policy`` with the price step of the time since the cell's prices last moved.

    The step is meant for one round in each interval. Rounds that demand sets off may follow one
    another far more quickly, and must not move the price by a full step each.
    """
    since = [at for (place, _), (_, at) in rows.standing.items() if place == cell]
    if not since:
        return policy
    share = max(0.0, (now - max(since)).total_seconds() / interval_s)
    return replace(policy, price_step=policy.price_step * min(1.0, share))


def read_rows(
    session: Session,
    *,
    cells: Sequence[str],
    bids: list[BidRow],
    policy: Policy,
    shares: Shares,
    now: datetime,
    known: bool = False,
) -> Rows:
    """Read the asks of ``cells`` and all that goes with them and with ``bids``."""
    asks = rounds.read_asks(session, cells, now=now, known=known)
    tenants = tuple(sorted({bid.account for bid in bids}))
    places = {*cells, *(bid.home_cell for bid in bids), *(ask.cell for ask in asks)}
    return Rows(
        asks=asks,
        bids=bids,
        cells=rounds.read_cells(session, places),
        accounts=rounds.read_accounts(session, tenants),
        standing=rounds.read_standing_prices(session, places),
        received=shares.received(
            session, tenants, now=now, half_life_s=policy.fairness_half_life_s
        ),
        tenants=tenants,
    )


def build_snapshot(
    rows: Rows,
    *,
    round_id: str,
    cell: str,
    policy: Policy,
    now: datetime,
    seed: int,
    carried: Mapping[str, Floats] | None = None,
) -> Snapshot:
    """The snapshot of ``rows``. ``carried``: last round's shadow prices (R,) by node id."""
    now_ms = int(now.timestamp() * 1000)
    needs = {text: read_needs(text) for text in {bid.needs for bid in rows.bids}}
    vocabulary = Vocabulary.of(needs.values(), rows.asks)
    cell_index = {place.id: k for k, place in enumerate(rows.cells)}
    rules, admission = _admissions(rows)
    snapshot = Snapshot(
        round_id=round_id,
        cell=cell,
        now_ms=now_ms,
        seed=seed,
        policy=policy,
        resources=_NAMES,
        priced_units=_UNITS,
        bids=_bids(rows, needs, vocabulary, cell_index, now_ms),
        asks=_asks(rows.asks, vocabulary, cell_index, admission),
        cells=tuple(place.id for place in rows.cells),
        tenants=rows.tenants,
        entitlement=_shares([rows.accounts[tenant][1] for tenant in rows.tenants]),
        received=_shares(rows.received),
        admits=rules,
        zone_latency_ms=zone_latencies(rows.cells),
        feature_names=vocabulary.names,
        standing_price=np.array(
            [
                [rows.standing.get((place.id, name), (np.nan,))[0] for name in _NAMES]
                for place in rows.cells
            ]
        ).reshape(len(rows.cells), len(_NAMES)),
        carried_price=_carried(rows.asks, carried),
    )
    price = np.where(
        np.isnan(snapshot.standing_price), first_prices(snapshot), snapshot.standing_price
    )
    return replace(snapshot, standing_price=price)


def _shares(parts: Sequence[float]) -> Floats:
    """``parts`` scaled to sum to one; all zero if they are."""
    values = np.array(parts, dtype=np.float64)
    total = values.sum()
    scaled: Floats = values / total if total > 0 else values
    return scaled


def _carried(asks: Sequence[AskRow], carried: Mapping[str, Floats] | None) -> Floats | None:
    if not carried:
        return None
    nothing = np.zeros(len(_NAMES))
    return np.array([carried.get(ask.node, nothing) for ask in asks]).reshape(-1, len(_NAMES))


def _admissions(rows: Rows) -> tuple[Bools, Sequence[int]]:
    """Rules (G, T) whom an owner serves, and the rule of each ask."""
    index: dict[tuple[str, str], int] = {}
    admission = [index.setdefault((ask.accepts, ask.refuses), len(index)) for ask in rows.asks]
    names = [rows.accounts[tenant][0] for tenant in rows.tenants]
    table = np.zeros((max(1, len(index)), len(names)), dtype=np.bool_)
    for (accepts, refuses), g in index.items():
        welcome, unwelcome = set(orjson.loads(accepts)), set(orjson.loads(refuses))
        table[g] = [(not welcome or name in welcome) and name not in unwelcome for name in names]
    return table, admission


def _asks(
    asks: list[AskRow],
    vocabulary: Vocabulary,
    cell_index: Mapping[str, int],
    admission: Sequence[int],
) -> Asks:
    total = _table([ask.capacity for ask in asks])
    leased = _table([ask.leased for ask in asks])
    good, every = RELIABILITY_PRIOR
    cells = np.array([cell_index[ask.cell] for ask in asks], dtype=np.int32)
    return Asks(
        ids=tuple(ask.node for ask in asks),
        owners=tuple(ask.owner for ask in asks),
        capacity=np.maximum(total - leased, 0),
        total=total,
        reserve=_table([ask.reserve for ask in asks]),
        cell=cells,
        zone=cells,
        speed=np.array([speed_of(ask.ops_per_s) for ask in asks], dtype=np.float64),
        reliability=np.array(
            [(ask.reliability_good + good) / (ask.reliability_all + every) for ask in asks],
            dtype=np.float64,
        ),
        idle_milliwatts=np.array([ask.idle_milliwatts for ask in asks], dtype=np.int64),
        max_milliwatts=np.array([ask.max_milliwatts for ask in asks], dtype=np.int64),
        carbon_g_per_kwh=np.array(
            [np.nan if ask.carbon_g_per_kwh is None else ask.carbon_g_per_kwh for ask in asks],
            dtype=np.float64,
        ),
        on_battery=np.array([ask.on_battery for ask in asks], dtype=np.bool_),
        hot=np.array(
            [(ask.temperature_millicelsius or 0) >= HOT_MILLICELSIUS for ask in asks],
            dtype=np.bool_,
        ),
        features=vocabulary.asks(asks),
        admission=np.array(admission, dtype=np.int32),
    )


def speed_of(ops_per_s: int) -> float:
    """Speed of one core, reference core = 1; a node that was never calibrated counts as 1."""
    return ops_per_s / REFERENCE_OPS_PER_S if ops_per_s > 0 else 1.0


def _bids(
    rows: Rows,
    needs: Mapping[str, Needs],
    vocabulary: Vocabulary,
    cell_index: Mapping[str, int],
    now_ms: int,
) -> Bids:
    bids = rows.bids
    kinds = {text: k for k, text in enumerate(needs)}
    kind = np.array([kinds[bid.needs] for bid in bids], dtype=np.int64)
    tenant_index = {tenant: k for k, tenant in enumerate(rows.tenants)}
    homes = np.array([cell_index[bid.home_cell] for bid in bids], dtype=np.int32)
    words = vocabulary.words

    def of_kind(values: list[Any], dtype: Any) -> Any:
        return np.array(values, dtype=dtype)[kind] if bids else np.zeros(0, dtype)

    def bits_of_kind(values: list[Any]) -> Any:
        return np.array(values, dtype=np.uint64).reshape(-1, words)[kind]

    deadline = of_kind([need.deadline_ms for need in needs.values()], np.int64)
    created = np.array([bid.created_ms for bid in bids], dtype=np.int64)
    return Bids(
        ids=tuple(bid.demand for bid in bids),
        tenant=np.array([tenant_index[bid.account] for bid in bids], dtype=np.int32),
        demand=_table([bid.resources for bid in bids]),
        count=np.array([bid.slots for bid in bids], dtype=np.int64),
        count_min=np.array([bid.slots_min for bid in bids], dtype=np.int64),
        limit=np.array([bid.limit_micros_per_hour for bid in bids], dtype=np.int64),
        duration_ms=np.array([bid.duration_ms for bid in bids], dtype=np.int64),
        work_ms=of_kind([need.work_ms for need in needs.values()], np.int64),
        # A deadline that has passed is kept as the shortest one: 0 would mean none.
        deadline_ms=np.where(deadline > 0, np.maximum(created + deadline - now_ms, 1), 0),
        home=homes,
        zone=homes,
        latency_ms_max=of_kind(
            [need.latency_ms_max or np.inf for need in needs.values()], np.float64
        ),
        reliability_min=of_kind([need.reliability_min for need in needs.values()], np.float64),
        speed_min=of_kind([need.speed_min for need in needs.values()], np.float64),
        required=bits_of_kind([vocabulary.required(need) for need in needs.values()]),
        forbidden=bits_of_kind([vocabulary.forbidden(need) for need in needs.values()]),
    )


def _table(rows: Sequence[tuple[int, ...]]) -> Ints:
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(_NAMES))
