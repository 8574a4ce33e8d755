"""What one round sees: bids, asks, places, prices and policy as arrays; and its policy.

Structure of arrays, because every kernel of the market is arrays in, arrays out. n bids, m asks,
R resources, Z zones (places between which latency is known), C cells, T tenants, W words of 64
feature bits. A snapshot is a value: nothing in a round changes it.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.uint64]

PaymentRule = Literal["pay_as_bid", "uniform", "critical", "vcg"]

NO_PLACE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Asks:
    """The sell side: what each node still has free, and on what terms."""

    ids: tuple[str, ...]  # m node ids
    owners: tuple[str, ...]  # m account ids
    capacity: Ints  # (m, R) free now, base units
    total: Ints  # (m, R) offered in all, base units
    reserve: Ints  # (m, R) micros per priced unit and hour
    cell: Indices  # (m,) index into Snapshot.cells
    zone: Indices  # (m,) index into zone_latency_ms
    speed: Floats  # (m,) of one core, reference core = 1
    reliability: Floats  # (m,) in [0, 1]: decayed share of attempts that ended well
    idle_milliwatts: Ints  # (m,)
    max_milliwatts: Ints  # (m,)
    carbon_g_per_kwh: Floats  # (m,) NaN where the owner gives none
    on_battery: Bools  # (m,)
    hot: Bools  # (m,)
    features: Bits  # (m, W) what the node has: labels, architecture, runtimes, cell
    admission: Indices  # (m,) row of Snapshot.admits that says whom the owner serves

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bids:
    """The buy side: ``count`` equal slots of ``demand`` each, at most ``limit`` for a slot-hour."""

    ids: tuple[str, ...]  # n demand ids
    tenant: Indices  # (n,) index into Snapshot.tenants
    demand: Ints  # (n, R) of one slot, base units
    count: Ints  # (n,) slots wanted
    count_min: Ints  # (n,) fewer than this is nothing: = count for all-or-nothing
    limit: Ints  # (n,) micros per slot and hour
    duration_ms: Ints  # (n,) window of the lease
    work_ms: Ints  # (n,) expected run time of one slot's work on the reference core; 0 unknown
    deadline_ms: Ints  # (n,) from now; 0 none
    home: Indices  # (n,) cell of origin
    zone: Indices  # (n,) zone that latency counts to, NO_PLACE for none
    latency_ms_max: Floats  # (n,) inf for none
    reliability_min: Floats  # (n,) 0 for none
    speed_min: Floats  # (n,) 0 for none
    required: Bits  # (n, W) features that a node must have
    forbidden: Bits  # (n, W) features that it must not have

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The operator's choice for a round: weights of the score, mechanism, payment, price rule."""

    id: str = "policy_default"
    mechanism: str = "hierarchical"
    weight_cost: float = 0.25
    weight_qos: float = 0.25
    weight_energy: float = 0.1
    weight_fairness: float = 0.4
    payment: PaymentRule = "uniform"
    price_step: float = 0.1  # η of ρ ← clip(ρ·exp(η(u − τ)))
    utilisation_target: float = 0.8  # τ
    price_floor_micros: int = 1
    price_cap_micros: int = 1_000_000_000
    fairness_half_life_s: int = 3_600
    parameters: dict[str, float] = field(default_factory=dict)  # of the mechanism


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything a round may know; with the same snapshot a mechanism makes the same plan."""

    round_id: str
    cell: str  # whose round this is: a cell, a region or the root
    now_ms: int
    seed: int
    policy: Policy
    resources: tuple[str, ...]  # R names
    priced_units: Ints  # (R,) base units in one priced unit
    bids: Bids
    asks: Asks
    cells: tuple[str, ...]  # C ids
    tenants: tuple[str, ...]  # T account ids
    entitlement: Floats  # (T,) share that each tenant is entitled to, sums to 1
    received: Floats  # (T,) decayed share of capacity that each got, sums to 1 or is all 0
    admits: Bools  # (G, T) whether the admission rule g serves tenant t
    zone_latency_ms: Floats  # (Z, Z)
    feature_names: tuple[str, ...]  # bit k of the feature words is feature_names[k]
    standing_price: Floats  # (C, R) micros per priced unit and hour
    carried_price: Floats | None = None  # (m, R) last round's shadow prices per node, score units
