"""Instance files: a snapshot as JSON text or as a NumPy archive, and plans as plain mappings.

The schema, field by field with units, is ``docs/instances.md``. Array fields keep the names of
``market.snapshot``; ``bids.demand`` in an archive is ``{"bids": {"demand": …}}`` in JSON. Infinity
and not-a-number, which JSON lacks, are the strings "inf" and "nan".
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from market.plan import Plan
from market.snapshot import Asks, Bids, Bits, Bools, Floats, Indices, Ints, Policy, Snapshot

FORMAT = "souk-instance-1"
TYPES: tuple[tuple[Any, Any], ...] = (
    (Ints, np.int64),
    (Indices, np.int32),
    (Floats, np.float64),
    (Floats | None, np.float64),
    (Bools, np.bool_),
    (Bits, np.uint64),
)


WIDE_IN_RESOURCES = ("demand", "capacity", "total", "reserve")
WIDE_IN_WORDS = ("required", "forbidden", "features")


class InvalidInstance(ValueError):
    """The file is no instance; the text says which field is wrong."""


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
            found = {**meta, **{name: archive[name] for name in archive.files if name != "meta"}}
    except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise InvalidInstance(f"not an instance archive: {error}") from error
    return _snapshot(found, _under("bids.", found), _under("asks.", found), meta.get("policy"))


def plan_facts(snapshot: Snapshot, plan: Plan) -> dict[str, Any]:
    """The plan as a mapping of plain values, ids in place of indices."""
    matches = [
        {
            "bid": snapshot.bids.ids[i],
            "ask": snapshot.asks.ids[j],
            "count": int(c),
            "rate_micros": int(rate),
            "reserve_rate_micros": int(reserve),
            "score": float(value),
        }
        for i, j, c, rate, reserve, value in zip(
            plan.bid, plan.ask, plan.count, plan.rate, plan.reserve_rate, plan.score, strict=True
        )
    ]
    return {
        "mechanism": plan.mechanism,
        "welfare": plan.welfare,
        "bound": plan.bound,
        "gap": plan.gap,
        "matches": matches,
        "losses": [
            {"bid": snapshot.bids.ids[i], "reason": str(loss), "detail": plan.loss_detail[i]}
            for i, loss in enumerate(plan.loss)
            if loss is not None
        ],
        "standing_price_micros": {
            cell: dict(zip(snapshot.resources, row, strict=True))
            for cell, row in zip(snapshot.cells, plan.standing_price.tolist(), strict=True)
        },
        "timings_ms": plan.timings_ms,
    }


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
        given = _part(Snapshot, whole, skip=("bids", "asks", "policy"))
        widths = dict.fromkeys(WIDE_IN_RESOURCES, len(given["resources"]))
        words = max(1, -(-len(given["feature_names"]) // 64))
        widths.update(dict.fromkeys(WIDE_IN_WORDS, words))
        return Snapshot(
            policy=Policy(**(policy or {})),
            bids=Bids(**_part(Bids, bids, widths=widths)),
            asks=Asks(**_part(Asks, asks, widths=widths)),
            **given,
        )
    except (TypeError, ValueError, KeyError) as error:
        raise InvalidInstance(str(error)) from error


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
    if not isinstance(found, Mapping):
        raise InvalidInstance(f'"{kind.__name__.lower()}" must be an object')
    values: dict[str, Any] = {}
    for field in fields(kind):
        if field.name in skip:
            continue
        if field.name not in found:
            if field.name == "carried_price":
                continue
            raise InvalidInstance(f'"{field.name}" is missing in {kind.__name__.lower()}')
        value = found[field.name]
        scalar = next((kind for alias, kind in TYPES if alias == field.type), None)
        if value is None or scalar is None:
            values[field.name] = tuple(value) if isinstance(value, list) else value
            continue
        try:
            array = np.ascontiguousarray(value, dtype=scalar)
            if array.size == 0 and widths is not None and field.name in widths:
                array = array.reshape(0, widths[field.name])
            values[field.name] = array
        except (TypeError, ValueError) as error:
            raise InvalidInstance(f'"{field.name}": {error}') from error
    return values
