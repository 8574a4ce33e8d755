"""What an instance file may say: shapes, indices and ranges, checked before anything is cleared.

The kernels trust their arrays, so a file that is wrong would end in a stack trace or, worse, in a
plan that looks right. Every rule names the field and the first place that breaks it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from market.snapshot import NO_PLACE, Asks, Bids, PaymentRule, Policy, Snapshot

AMOUNT_MAX = 2**53  # base units: beyond it floats no longer tell them apart
MICROS_MAX = 10**15
RATE_MAX = 2.0**62
MS_MAX = 10**13  # three centuries
SLOTS_MAX = 5_000_000  # of all bids together
SEED_MAX = 2**63 - 1
SHARE_SLACK = 1e-6

Array = npt.NDArray[Any]
# Fields of one number for each row, their least and most. Infinite where the last is "inf".
RANGES: dict[str, tuple[float, float]] = {
    "bids.demand": (0, AMOUNT_MAX),
    "bids.count": (0, 2**62),
    "bids.count_min": (0, 2**62),
    "bids.limit": (0, MICROS_MAX),
    "bids.duration_ms": (1, MS_MAX),
    "bids.work_ms": (0, MS_MAX),
    "bids.deadline_ms": (0, MS_MAX),
    "bids.latency_ms_max": (0, np.inf),
    "bids.reliability_min": (0, 1),
    "bids.speed_min": (0, 1e6),
    "asks.capacity": (0, AMOUNT_MAX),
    "asks.total": (0, AMOUNT_MAX),
    "asks.reserve": (0, MICROS_MAX),
    "asks.speed": (0, 1e6),
    "asks.reliability": (0, 1),
    "asks.idle_milliwatts": (0, 10**12),
    "asks.max_milliwatts": (0, 10**12),
    "priced_units": (1, AMOUNT_MAX),
    "entitlement": (0, 1 + SHARE_SLACK),
    "received": (0, 1 + SHARE_SLACK),
    "zone_latency_ms": (0, 1e9),
    "standing_price": (0, MICROS_MAX),
    "carried_price": (0, 1e9),
}
POLICY_MOST = {"price_step": 1.0, "utilisation_target": 1.0}


class InvalidInstance(ValueError):
    """The file is no instance; the text says which field is wrong."""


def check(snapshot: Snapshot) -> None:
    """Raises ``InvalidInstance`` for the first rule that ``snapshot`` breaks."""
    check_policy(snapshot.policy)
    _check_numbers(snapshot)
    _check_shapes(snapshot)
    _check_names(snapshot)
    _check_ranges(snapshot)
    _check_indices(snapshot)
    _check_features(snapshot)
    _check_sums(snapshot)


def check_policy(policy: Policy) -> None:
    """Raises ``InvalidInstance`` where a field of ``policy`` is of the wrong kind or range."""
    for name in ("id", "mechanism"):
        if not isinstance(getattr(policy, name), str):
            raise InvalidInstance(f'"policy.{name}" must be text')
    if policy.payment not in get_args(PaymentRule):
        known = ", ".join(get_args(PaymentRule))
        raise InvalidInstance(f'"policy.payment": {policy.payment!r} is none of {known}')
    for field in fields(Policy):
        if field.name not in ("id", "mechanism", "payment", "parameters"):
            most = POLICY_MOST.get(field.name, np.inf)
            _number(f"policy.{field.name}", getattr(policy, field.name), most=most)
    weights = (
        policy.weight_cost, policy.weight_qos, policy.weight_energy, policy.weight_fairness,
    )  # fmt: skip
    if not any(weights):
        raise InvalidInstance('"policy": at least one weight must be above zero')
    if policy.price_floor_micros > policy.price_cap_micros:
        raise InvalidInstance('"policy.price_floor_micros" is above the cap')
    if not isinstance(policy.parameters, dict):
        raise InvalidInstance('"policy.parameters" must be an object of numbers')
    for name, value in policy.parameters.items():
        _number(f"policy.parameters.{name}", value, least=-np.inf)


def _number(name: str, value: Any, *, least: float = 0.0, most: float = np.inf) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not np.isfinite(value) or not least <= value <= most:
        allowed = "a finite number" if least < 0 else "a finite number of at least 0"
        if np.isfinite(most):
            allowed = f"a number from {least:g} to {most:g}"
        raise InvalidInstance(f'"{name}" must be {allowed}, not {value!r}')


def _check_numbers(snapshot: Snapshot) -> None:
    for name in ("round_id", "cell"):
        if not isinstance(getattr(snapshot, name), str):
            raise InvalidInstance(f'"{name}" must be text')
    for name, most in (("seed", SEED_MAX), ("now_ms", 2**62)):
        value = getattr(snapshot, name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise InvalidInstance(f'"{name}" must be an integer from 0 to {most}, not {value!r}')


def _check_shapes(snapshot: Snapshot) -> None:
    """Every array has the sizes that the names of resources, cells and so on give it."""
    n, m, r = len(snapshot.bids), len(snapshot.asks), len(snapshot.resources)
    words = max(1, -(-len(snapshot.feature_names) // 64))
    zones, tenants = len(snapshot.zone_latency_ms), len(snapshot.tenants)
    wide = {
        "bids.demand": (n, r), "bids.required": (n, words), "bids.forbidden": (n, words),
        "asks.capacity": (m, r), "asks.total": (m, r), "asks.reserve": (m, r),
        "asks.features": (m, words), "priced_units": (r,), "entitlement": (tenants,),
        "received": (tenants,), "zone_latency_ms": (zones, zones),
        "standing_price": (len(snapshot.cells), r), "carried_price": (m, r),
    }  # fmt: skip
    for name, array in _arrays(snapshot):
        rules = snapshot.admits.shape[:1]
        expected = wide.get(name, (*rules, tenants) if name == "admits" else None)
        expected = expected or ((n,) if name.startswith("bids.") else (m,))
        if array.shape != expected:
            raise InvalidInstance(f'"{name}" must be {_size(expected)}, it is {_size(array.shape)}')


def _size(shape: tuple[int, ...]) -> str:
    if len(shape) < 2:
        return f"a list of {shape[0]}" if shape else "one number"
    return " × ".join(map(str, shape))


def _arrays(snapshot: Snapshot) -> list[tuple[str, Array]]:
    """(name as in the file's documentation, array) of every array that is there."""
    parts: tuple[tuple[str, Snapshot | Bids | Asks], ...] = (
        ("", snapshot),
        ("bids.", snapshot.bids),
        ("asks.", snapshot.asks),
    )
    return [
        (prefix + field.name, value)
        for prefix, part in parts
        for field in fields(part)
        if isinstance(value := getattr(part, field.name), np.ndarray)
    ]


def _check_names(snapshot: Snapshot) -> None:
    lists: tuple[tuple[str, Sequence[object]], ...] = (
        ("bids.ids", snapshot.bids.ids),
        ("asks.ids", snapshot.asks.ids),
        ("resources", snapshot.resources),
        ("cells", snapshot.cells),
        ("tenants", snapshot.tenants),
        ("feature_names", snapshot.feature_names),
    )
    for name, given in (*lists, ("asks.owners", snapshot.asks.owners)):
        if not isinstance(given, tuple) or not all(isinstance(each, str) for each in given):
            raise InvalidInstance(f'"{name}" must be a list of texts')
    for name, given in lists:
        twice, often = next(iter(Counter(given).most_common(1)), ("", 0))
        if often > 1:
            raise InvalidInstance(f'"{name}" has {twice!r} twice')
    if len(snapshot.asks.owners) != len(snapshot.asks):
        raise InvalidInstance('"asks.owners" must have as many entries as "asks.ids"')
    if not snapshot.resources:
        raise InvalidInstance('"resources" must name at least one')


def _check_ranges(snapshot: Snapshot) -> None:
    for name, array in _arrays(snapshot):
        if name not in RANGES:
            continue
        least, most = RANGES[name]
        bad = ~((array >= least) & (array <= most))  # NaN is no number between
        if bad.any():
            _refuse(name, array, bad, f"from {least:g} to {most:g}")
    _refuse_where("asks.speed", snapshot.asks.speed, snapshot.asks.speed <= 0, "above 0")
    carbon = snapshot.asks.carbon_g_per_kwh
    bad = ~np.isnan(carbon) & ~((carbon >= 0) & (carbon <= 1e6))
    _refuse_where("asks.carbon_g_per_kwh", carbon, bad, 'from 0 to 1e+06, or "nan"')
    bids = snapshot.bids
    few = bids.count_min > bids.count
    _refuse_where("bids.count_min", bids.count_min, few, "at most the bid's count")


def _refuse_where(name: str, array: Array, bad: Array, allowed: str) -> None:
    if bad.any():
        _refuse(name, array, bad, allowed)


def _refuse(name: str, array: Array, bad: Array, allowed: str) -> None:
    at = tuple(int(k) for k in np.argwhere(bad)[0])
    where = "".join(f"[{k}]" for k in at)
    raise InvalidInstance(f'"{name}{where}" is {array[at].item()}: it must be {allowed}')


def _check_indices(snapshot: Snapshot) -> None:
    bids, asks, zones = snapshot.bids, snapshot.asks, len(snapshot.zone_latency_ms)
    cells = len(snapshot.cells)
    indices = (
        ("bids.tenant", bids.tenant, 0, len(snapshot.tenants), "tenants"),
        ("bids.home", bids.home, 0, cells, "cells"),
        ("bids.zone", bids.zone, NO_PLACE, zones, "rows of zone_latency_ms"),
        ("asks.cell", asks.cell, 0, cells, "cells"),
        ("asks.zone", asks.zone, 0, zones, "rows of zone_latency_ms"),
        ("asks.admission", asks.admission, 0, len(snapshot.admits), "rows of admits"),
    )
    for name, index, least, end, what in indices:
        bad = (index < least) | (index >= end)
        _refuse_where(name, index, bad, f"from {least} to {end - 1}: there are {end} {what}")


def _check_features(snapshot: Snapshot) -> None:
    """No bit is set that has no name."""
    known = len(snapshot.feature_names)
    for name, words in (
        ("bids.required", snapshot.bids.required),
        ("bids.forbidden", snapshot.bids.forbidden),
        ("asks.features", snapshot.asks.features),
    ):
        for word in range(words.shape[1]):
            bits = min(max(known - 64 * word, 0), 64)
            nameless = np.uint64((2**64 - 1) ^ (2**bits - 1))
            bad = np.zeros(words.shape, np.bool_)
            bad[:, word] = (words[:, word] & nameless) != 0
            _refuse_where(name, words, bad, f"bits of the {known} feature_names")


def _check_sums(snapshot: Snapshot) -> None:
    bids, asks = snapshot.bids, snapshot.asks
    total = float(snapshot.entitlement.sum())
    if len(snapshot.tenants) and abs(total - 1.0) > SHARE_SLACK:
        raise InvalidInstance(f'"entitlement" must sum to 1, it sums to {total:g}')
    got = float(snapshot.received.sum())
    if got and abs(got - 1.0) > SHARE_SLACK:
        raise InvalidInstance(f'"received" must sum to 1 or be all 0, it sums to {got:g}')
    free = asks.capacity.sum(axis=0).astype(np.float64)
    fits = np.full(bids.demand.shape, np.inf)
    np.divide(free[None], bids.demand, out=fits, where=bids.demand > 0)
    able = fits.min(axis=1, initial=np.inf)
    slots = float(np.minimum(bids.count, able)[np.isfinite(able)].sum())
    if slots > SLOTS_MAX:
        raise InvalidInstance(
            f'"bids.count": {slots:.0f} slots are asked for and might fit, '
            f"at most {SLOTS_MAX} are cleared in a round"
        )
    dearest = asks.reserve.max(axis=0, initial=0) / snapshot.priced_units
    if (bids.demand @ dearest).max(initial=0.0) > RATE_MAX:
        raise InvalidInstance('"bids.demand" times "asks.reserve" leaves 64 bits')
