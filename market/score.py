"""The one score of the market: what a feasible (bid, ask) pair is worth, for every mechanism.

Value of one slot of bid i on ask j (DESIGN §3):

    value_ij = size_i · (α·cost_ij + β·qos_ij + γ·energy_j + δ·fairness_i) / (α + β + γ + δ)

* size_i: the bid's dominant share of all capacity offered to the round, max_r d_ir / Σ_j total_jr
  (Ghodsi et al., Dominant Resource Fairness, NSDI 2011), so a bid for nothing is worth nothing.
* cost_ij = 1 − c_ij / limit_i with c_ij = Σ_r d_ir · reserve_jr / priced_unit_r: the share of the
  limit price that is left above the owner's reserve.
* qos_ij: the mean of three margins. Latency 1 − min(l, h) / h, where h is the bid's latency limit
  or ``LATENCY_HORIZON_MS``; 1 for a bid without a place. Reliability (rel_j − min_i) / (1 − min_i).
  Speed 1 − work_i / (speed_j · deadline_i), or speed_j / (1 + speed_j) without a deadline.
* energy_j = e₀ / (e₀ + e_j), e_j the milliwatts that one reference core's work takes on the node:
  its full power over its cores and their speed, scaled by carbon intensity where given and made
  dearer on battery or when hot. A node of unknown power gets one half.
* fairness_i = (1 − κ)·f_p(g/s) + κ·f_3(g/s), f_p(x) = 1 / (1 + x^p), for the tenant's entitled
  share s and decayed received share g: one half when it has what it is due, near 1 when behind,
  near 0 when ahead; κ tells those who are far ahead from those who are a little. A feedback on g:
  see docs/market.md for how steep it must be and how far it can reach.

Each term is in [0, 1] on every pair that the hard constraints allow (``market.feasible``). Apart
from the latency cap it is linear in features of the ask: ``market.factors`` uses that.
"""

from dataclasses import dataclass

import numpy as np

from market.snapshot import NO_PLACE, Floats, Indices, Policy, Snapshot

LATENCY_HORIZON_MS = 200.0  # a latency beyond this is worth nothing to a bid without its own limit
ENERGY_REFERENCE_MILLIWATTS = 5_000.0  # e₀: one reference core of a small board at full load
CARBON_REFERENCE_G_PER_KWH = 400.0  # about the world's mean grid; a node there is scaled by one
SCARCE_POWER_FACTOR = 1.5  # on battery, and again when too hot
FAIRNESS_STEEPNESS = 100.0  # p: who is 5 % ahead has lost all but a hundredth of the term
FAIRNESS_GENTLE, GENTLE_STEEPNESS = 0.15, 3.0  # κ, and its p
FAIRNESS_RATIO_MIN = 1e-100  # of received over due: who has got nothing is as good as that
FAIRNESS_EXPONENT_MAX = 700.0  # of e: keeps the power finite


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The four terms of k pairs, each (k,) in [0, 1] where the pair is feasible."""

    cost: Floats
    qos: Floats
    energy: Floats
    fairness: Floats


def sizes(snapshot: Snapshot) -> Floats:
    """(n,) dominant share of one slot of each bid in all that the round's asks offer."""
    total = snapshot.asks.total.sum(axis=0).astype(np.float64)
    share = snapshot.bids.demand / np.where(total > 0, total, np.inf)
    dominant: Floats = share.max(axis=1, initial=0.0)
    return dominant


def weights(snapshot: Snapshot) -> Floats:
    """(4,) the policy's weights of cost, QoS, energy and fairness, scaled to sum to one."""
    return weights_of(snapshot.policy)


def weights_of(policy: Policy) -> Floats:
    """As ``weights``."""
    given = np.array(
        [policy.weight_cost, policy.weight_qos, policy.weight_energy, policy.weight_fairness]
    )
    total = float(given.sum())
    return given / total if total > 0 else np.full(4, 0.25)


def same(first: Policy, second: Policy) -> bool:
    """Whether both policies score every pair alike."""
    steep = [p.parameters.get("fairness_steepness", FAIRNESS_STEEPNESS) for p in (first, second)]
    return bool(np.allclose(weights_of(first), weights_of(second))) and steep[0] == steep[1]


def unit_prices(snapshot: Snapshot) -> Floats:
    """(m, R) reserve of each ask in micros per base unit and hour."""
    prices: Floats = snapshot.asks.reserve / snapshot.priced_units
    return prices


def effective_milliwatts(snapshot: Snapshot) -> Floats:
    """(m,) power that one reference core's work takes on each ask, dearer where power is scarce."""
    asks = snapshot.asks
    cores = np.zeros(len(asks))
    if "cpu_millis" in snapshot.resources:
        cores = asks.total[:, snapshot.resources.index("cpu_millis")] / 1_000.0
    known = (asks.max_milliwatts > 0) & (cores > 0) & (asks.speed > 0)
    per_core = np.full(len(asks), ENERGY_REFERENCE_MILLIWATTS)
    np.divide(asks.max_milliwatts, cores * asks.speed, out=per_core, where=known)
    carbon = asks.carbon_g_per_kwh / CARBON_REFERENCE_G_PER_KWH
    per_core *= np.where(np.isnan(carbon), 1.0, carbon)
    scarce = asks.on_battery.astype(np.int64) + asks.hot.astype(np.int64)
    dear: Floats = per_core * SCARCE_POWER_FACTOR**scarce
    return dear


def energy_terms(snapshot: Snapshot) -> Floats:
    """(m,) energy term of each ask."""
    reference = ENERGY_REFERENCE_MILLIWATTS
    return reference / (reference + effective_milliwatts(snapshot))


def fairness_terms(snapshot: Snapshot) -> Floats:
    """(T,) fairness term of each tenant."""
    steepness = snapshot.policy.parameters.get("fairness_steepness", FAIRNESS_STEEPNESS)
    due = snapshot.entitlement
    ratio = np.divide(
        snapshot.received,
        due,
        out=np.where(snapshot.received > 0, np.inf, 1.0),
        where=due > 0,
    )
    logarithm = np.log(np.clip(ratio, FAIRNESS_RATIO_MIN, 1.0 / FAIRNESS_RATIO_MIN))
    gentle = _falling(min(steepness, GENTLE_STEEPNESS) * logarithm)
    return (1.0 - FAIRNESS_GENTLE) * _falling(steepness * logarithm) + FAIRNESS_GENTLE * gentle


def _falling(exponent: Floats) -> Floats:
    """1 / (1 + e^x), from 1 down to 0."""
    most = FAIRNESS_EXPONENT_MAX
    falling: Floats = 1.0 / (1.0 + np.exp(np.clip(exponent, -most, most)))
    return falling


def latency_horizons(snapshot: Snapshot) -> Floats:
    """(n,) latency at which each bid's latency margin reaches nothing, in milliseconds."""
    limit = snapshot.bids.latency_ms_max
    return np.where(np.isfinite(limit), np.maximum(limit, 1e-9), LATENCY_HORIZON_MS)


def latencies(snapshot: Snapshot, bid: Indices, ask: Indices) -> Floats:
    """(k,) milliseconds between each bid's place and ask's zone; 0 for a bid without a place."""
    zone = snapshot.bids.zone[bid]
    known = snapshot.zone_latency_ms[np.maximum(zone, 0), snapshot.asks.zone[ask]]
    return np.where(zone == NO_PLACE, 0.0, known)


def terms(snapshot: Snapshot, bid: Indices, ask: Indices) -> Terms:
    """The four terms of the pairs ``(bid[k], ask[k])``; both (k,) indices."""
    bids, asks = snapshot.bids, snapshot.asks
    expense = np.einsum("kr,kr->k", bids.demand[bid], unit_prices(snapshot)[ask])
    cost = 1.0 - expense / np.maximum(bids.limit[bid], 1)

    horizon = latency_horizons(snapshot)[bid]
    near = 1.0 - np.minimum(latencies(snapshot, bid, ask), horizon) / horizon
    least = bids.reliability_min[bid]
    room = 1.0 - least
    reliable = np.ones(len(bid))
    np.divide(asks.reliability[ask] - least, room, out=reliable, where=room > 0)
    speed = np.maximum(asks.speed[ask], 1e-9)
    hurried = (bids.deadline_ms[bid] > 0) & (bids.work_ms[bid] > 0)
    fast = speed / (1.0 + speed)
    pace = bids.work_ms[bid] / np.maximum(bids.deadline_ms[bid], 1)
    np.copyto(fast, 1.0 - pace / speed, where=hurried)

    return Terms(
        cost=cost,
        qos=(near + reliable + fast) / 3.0,
        energy=energy_terms(snapshot)[ask],
        fairness=fairness_terms(snapshot)[bids.tenant[bid]],
    )


def densities(snapshot: Snapshot, bid: Indices, ask: Indices) -> Floats:
    """(k,) weighted mean of the four terms: the pair's value for each unit of size."""
    part = terms(snapshot, bid, ask)
    alpha, beta, gamma, delta = weights(snapshot)
    mixed: Floats = (
        alpha * part.cost + beta * part.qos + gamma * part.energy + delta * part.fairness
    )
    return mixed


def values(snapshot: Snapshot, bid: Indices, ask: Indices) -> Floats:
    """(k,) value of one slot of each pair; meaningful for feasible pairs only."""
    return sizes(snapshot)[bid] * densities(snapshot, bid, ask)
