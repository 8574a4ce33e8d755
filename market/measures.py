"""What plans of one round are compared by: welfare by one score, money, energy, latency, Jain."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from market import score
from market.plan import Plan
from market.snapshot import Floats, Policy, Snapshot


def measures(snapshot: Snapshot, plan: Plan, *, common: Policy | None = None) -> dict[str, float]:
    """The figures of ``plan``; welfare and terms by the weights of ``common`` (None: its own).

    ``bound`` and ``gap`` are the plan's own, by the score that it was made by. Money is micros an
    hour, power the milliwatts that the work draws on its nodes beyond their idle power,
    ``latency_ms`` the mean over slots, the terms means over what is served, ``jain`` Jain's index
    over the tenants' served shares, each by what it is entitled to (1 for nobody served).
    """
    scored = snapshot if common is None else replace(snapshot, policy=common)
    bid, ask, count = plan.bid, plan.ask, plan.count
    part = score.terms(scored, bid, ask)
    size = score.sizes(snapshot)[bid] * count
    weight = size / max(float(size.sum()), 1e-300)
    slots = int(count.sum())
    latency = score.latencies(snapshot, bid, ask) @ count / max(slots, 1)
    return {
        "welfare": float(score.values(scored, bid, ask) @ count),
        "bound": plan.bound,
        "gap": plan.gap,
        "slots": slots,
        "demand_served": float(size.sum()),
        "revenue_micros_per_hour": int((plan.rate * count).sum()),
        "reserve_micros_per_hour": int((plan.reserve_rate * count).sum()),
        "power_milliwatts": float(_power(snapshot, plan)),
        "cost_term": float(part.cost @ weight),
        "qos_term": float(part.qos @ weight),
        "energy_term": float(part.energy @ weight),
        "fairness_term": float(part.fairness @ weight),
        "latency_ms": float(latency),
        "jain": jain(_by_tenant(snapshot, plan, size)),
    }


def by_bound_of(known: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """The figures ``other`` of a plan that another score made, with the bound of ``known``.

    A bound certifies nothing about a score that it is not of. That of ``known``, whose score is the
    common one, holds for every plan of the round.
    """
    gap = max(0.0, 1.0 - other["welfare"] / known["bound"]) if known["bound"] > 0 else 0.0
    return {**other, "bound": known["bound"], "gap": gap}


def jain(shares: Floats) -> float:
    """Jain's fairness index (Σx)² / (n · Σx²) of ``shares``; 1 where all are nothing."""
    squares = float((shares**2).sum())
    return 1.0 if squares == 0 else float(shares.sum() ** 2 / (len(shares) * squares))


def _by_tenant(snapshot: Snapshot, plan: Plan, size: Floats) -> Floats:
    """What each tenant that bids got, over what it is entitled to."""
    tenants = len(snapshot.tenants)
    got = np.bincount(snapshot.bids.tenant[plan.bid], size, minlength=tenants)
    bidding = np.unique(snapshot.bids.tenant)
    due = np.maximum(snapshot.entitlement[bidding], 1e-12)
    shares: Floats = got[bidding] / due
    return shares


def _power(snapshot: Snapshot, plan: Plan) -> float:
    """Milliwatts above idle, in proportion to the cores taken."""
    if "cpu_millis" not in snapshot.resources:
        return 0.0
    asks, cpu = snapshot.asks, snapshot.resources.index("cpu_millis")
    share = snapshot.bids.demand[plan.bid, cpu] / np.maximum(asks.total[plan.ask, cpu], 1)
    draw = np.maximum(asks.max_milliwatts - asks.idle_milliwatts, 0)[plan.ask]
    return float((share * draw) @ plan.count)
