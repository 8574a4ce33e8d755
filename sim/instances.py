"""Instance files: a snapshot as JSON text or as a NumPy archive, and plans as plain mappings.

The schema, field by field with units, is ``docs/instances.md``. Array fields keep the names of
``market.snapshot``; ``bids.demand`` in an archive is ``{"bids": {"demand": …}}`` in JSON. Infinity
and not-a-number, which JSON lacks, are the strings "inf" and "nan".
"""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from market.money import charge_micros
from market.plan import Plan
from market.snapshot import Asks, Bids, Bits, Bools, Floats, Indices, Ints, Policy, Snapshot
from sim.instance_rules import InvalidInstance, check

__all__ = [
    "FORMAT", "InvalidInstance", "from_json", "from_npz", "plan_facts", "to_json", "to_npz",
]  # fmt: skip

FORMAT = "souk-instance-1"
TYPES: tuple[tuple[Any, Any], ...] = (
    (Ints, np.int64),
    (Indices, np.int32),
    (Floats, np.float64),
    (Floats | None, np.float64),
    (Bools, np.bool_),
    (Bits, np.uint64),
)


PARTS = ("bids", "asks", "policy")
WIDE_IN_RESOURCES = ("demand", "capacity", "total", "reserve")
WIDE_IN_WORDS = ("required", "forbidden", "features")


def to_json(snapshot: Snapshot) -> str:
    """The snapshot as one JSON object."""
    parts = {"bids": _plain(snapshot.bids), "asks": _plain(snapshot.asks)}
    whole = {"format": FORMAT, "policy": asdict(snapshot.policy), **_plain(snapshot), **parts}
    return json.dumps(whole, allow_nan=False)


def from_json(text: str) -> Snapshot:
    """The snapshot of ``to_json``'s text; raises ``InvalidInstance``."""
    try:
        whole = json.loads(text)
    except ValueError as error:
        raise InvalidInstance(f"not JSON: {error}") from error
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise InvalidInstance(f'"format" must be "{FORMAT}"')
    return _snapshot(whole, whole.get("bids"), whole.get("asks"), whole.get("policy"))


def to_npz(snapshot: Snapshot) -> bytes:
    """The snapshot as a compressed NumPy archive; scalars and names in the JSON entry ``meta``."""
    arrays: dict[str, np.ndarray] = {}
    meta: dict[str, Any] = {"format": FORMAT, "policy": asdict(snapshot.policy)}
    for prefix, part in (("", snapshot), ("bids.", snapshot.bids), ("asks.", snapshot.asks)):
        for field in fields(part):
            value = getattr(part, field.name)
            if isinstance(value, np.ndarray):
                arrays[prefix + field.name] = value
            elif not isinstance(value, Bids | Asks | Policy):
                meta[prefix + field.name] = value
    buffer = io.BytesIO()
    text = np.array(json.dumps(meta))
    np.savez_compressed(buffer, allow_pickle=False, meta=text, **arrays)
    return buffer.getvalue()


def from_npz(data: bytes) -> Snapshot:
    """The snapshot of ``to_npz``'s bytes; raises ``InvalidInstance``."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            meta = json.loads(str(archive["meta"]))
            if not isinstance(meta, dict) or meta.get("format") != FORMAT:
                raise InvalidInstance(f'"format" in "meta" must be "{FORMAT}"')
            found = {**meta, **{name: archive[name] for name in archive.files if name != "meta"}}
    except (KeyError, OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, InvalidInstance):
            raise
        raise InvalidInstance(f"not an instance archive: {error}") from error
    return _snapshot(found, _under("bids.", found), _under("asks.", found), meta.get("policy"))


def plan_facts(snapshot: Snapshot, plan: Plan) -> dict[str, Any]:
    """The plan as a mapping of plain values, ids in place of indices; see docs/instances.md."""
    policy = asdict(snapshot.policy)
    return {
        "round_id": snapshot.round_id,
        "mechanism": plan.mechanism,
        "policy": {**policy, "mechanism": plan.mechanism},
        "seed": snapshot.seed,
        "bids": len(snapshot.bids),
        "nodes": len(snapshot.asks),
        "welfare": plan.welfare,
        "bound": plan.bound,
        "gap": plan.gap,
        "digest": plan.digest(),
        "matches": _matches(snapshot, plan),
        "losses": [
            {"bid": snapshot.bids.ids[i], "reason": str(loss), "detail": plan.loss_detail[i]}
            for i, loss in enumerate(plan.loss)
            if loss is not None
        ],
        "standing_price_micros": {
            cell: dict(zip(snapshot.resources, row, strict=True))
            for cell, row in zip(snapshot.cells, plan.standing_price.tolist(), strict=True)
        },
        "shadow_price": {
            node: dict(zip(snapshot.resources, row, strict=True))
            for node, row in zip(snapshot.asks.ids, plan.node_price.tolist(), strict=True)
            if any(row)
        },
        "timings_ms": {k: v for k, v in plan.timings_ms.items() if k.endswith("_ms")},
        "search": {k: v for k, v in plan.timings_ms.items() if not k.endswith("_ms")},
        "effort": plan.effort,
    }


def _matches(snapshot: Snapshot, plan: Plan) -> list[dict[str, Any]]:
    """The matches; the payment is for the whole window, rounded up once (the owner gains)."""
    return [
        {
            "bid": snapshot.bids.ids[i],
            "ask": snapshot.asks.ids[j],
            "count": c,
            "rate_micros": rate,
            "reserve_rate_micros": reserve,
            "payment_micros": charge_micros(
                rate_micros_per_hour=rate * c, slot_ms=int(snapshot.bids.duration_ms[i])
            ),
            "score": value,
        }
        for i, j, c, rate, reserve, value in zip(
            plan.bid.tolist(),
            plan.ask.tolist(),
            plan.count.tolist(),
            plan.rate.tolist(),
            plan.reserve_rate.tolist(),
            plan.score.tolist(),
            strict=True,
        )
    ]


def _plain(part: Any) -> dict[str, Any]:
    found = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, np.ndarray):
            found[field.name] = _finite(value.tolist())
        elif not isinstance(value, Bids | Asks | Policy):
            found[field.name] = value
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value


def _under(prefix: str, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)
    }


def _snapshot(whole: Mapping[str, Any], bids: Any, asks: Any, policy: Any) -> Snapshot:
    try:
        top = {name: value for name, value in whole.items() if "." not in name}
        given = _part(Snapshot, top, skip=PARTS)
        widths = dict.fromkeys(WIDE_IN_RESOURCES, len(given["resources"]))
        words = max(1, -(-len(given["feature_names"]) // 64))
        widths.update(dict.fromkeys(WIDE_IN_WORDS, words))
        snapshot = Snapshot(
            policy=_policy(policy or {}),
            bids=Bids(**_part(Bids, bids, widths=widths)),
            asks=Asks(**_part(Asks, asks, widths=widths)),
            **given,
        )
    except (TypeError, ValueError, KeyError) as error:
        raise InvalidInstance(str(error)) from error
    check(snapshot)
    return snapshot


def _policy(found: Any) -> Policy:
    if not isinstance(found, Mapping):
        raise InvalidInstance('"policy" must be an object')
    known = [field.name for field in fields(Policy)]
    for name in found:
        if name not in known:
            raise InvalidInstance(f'there is no field "policy.{name}": there are {_listed(known)}')
    return Policy(**found)


def _part(
    kind: Any,
    found: Any,
    *,
    skip: tuple[str, ...] = (),
    widths: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The fields of dataclass ``kind`` from ``found``, arrays in their types.

    ``widths`` gives the columns that an empty list cannot show.
    """
    prefix = "" if kind is Snapshot else f"{kind.__name__.lower()}."
    if not isinstance(found, Mapping):
        raise InvalidInstance(f'"{prefix[:-1]}" must be an object')
    known = [field.name for field in fields(kind) if field.name not in skip]
    for name in found:
        if name not in known and not (kind is Snapshot and name in (*PARTS, "format")):
            raise InvalidInstance(f'there is no field "{prefix}{name}": there are {_listed(known)}')
    values: dict[str, Any] = {}
    for field in fields(kind):
        if field.name in skip or (field.name == "carried_price" and field.name not in found):
            continue
        if field.name not in found:
            raise InvalidInstance(f'"{prefix}{field.name}" is missing')
        value = found[field.name]
        scalar = next((kind for alias, kind in TYPES if alias == field.type), None)
        if scalar is None or (value is None and field.name == "carried_price"):
            values[field.name] = tuple(value) if isinstance(value, list) else value
            continue
        array = _array(prefix + field.name, value, scalar)
        if array.size == 0 and widths is not None and field.name in widths:
            array = array.reshape(0, widths[field.name])
        values[field.name] = array
    return values


def _array(name: str, value: Any, scalar: Any) -> np.ndarray:
    """``value`` as an array of ``scalar``, refused where that would lose anything."""
    try:
        if scalar is np.float64:
            return np.ascontiguousarray(value, dtype=scalar).reshape(np.shape(value))
        given = np.asarray(value)
        if given.size == 0:
            return np.ascontiguousarray(given, dtype=scalar).reshape(given.shape)
        if scalar is np.uint64 and given.dtype.kind == "f" and isinstance(value, list):
            given = _words(value)  # 2⁶³ beside small numbers
        wanted = "b" if scalar is np.bool_ else "iu"
        if given.dtype.kind not in wanted:
            found = "numbers" if scalar is not np.bool_ else "values"
            kind = "true or false" if scalar is np.bool_ else "integers"
            raise InvalidInstance(f'"{name}" must be {kind}, some of its {found} are not')
        if scalar is not np.bool_ and (
            given.max() > np.iinfo(scalar).max or given.min() < np.iinfo(scalar).min
        ):
            raise InvalidInstance(f'"{name}" holds a number that does not fit {scalar.__name__}')
        return np.ascontiguousarray(given, dtype=scalar).reshape(given.shape)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InvalidInstance):
            raise
        raise InvalidInstance(f'"{name}": {error}') from error


def _words(value: list[Any]) -> np.ndarray:
    """Whole numbers up to 64 bits, which numpy alone would take for floats; else as they are."""
    given = np.array(value, dtype=object)
    return given.astype(np.uint64) if all(isinstance(each, int) for each in given.flat) else given


def _listed(names: list[str]) -> str:
    return ", ".join(names)
