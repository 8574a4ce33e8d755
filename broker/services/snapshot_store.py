"""A snapshot as bytes and back: what a round saw, kept so that it can be cleared again.

A header in JSON (scalars, names, and where each array lies) and the arrays' bytes behind it, all
in one zstd frame. The same snapshot always gives the same bytes.
"""

from dataclasses import asdict, fields
from typing import Any

import numpy as np
import orjson
import zstandard

from market.snapshot import Asks, Bids, Policy, Snapshot

FORMAT = 1
LEVEL = 3
SNAPSHOT_BYTES_MAX = 1 << 30
_LENGTH_BYTES = 8


class SnapshotCorrupt(ValueError):
    """The bytes are not a snapshot that this version can read."""


def pack(snapshot: Snapshot) -> bytes:
    """The compressed bytes of ``snapshot``."""
    parts: list[bytes] = []
    header = {
        "format": FORMAT,
        "policy": asdict(snapshot.policy),
        "snapshot": _describe(snapshot, parts),
        "bids": _describe(snapshot.bids, parts),
        "asks": _describe(snapshot.asks, parts),
    }
    text = orjson.dumps(header)
    whole = b"".join([len(text).to_bytes(_LENGTH_BYTES, "little"), text, *parts])
    return zstandard.ZstdCompressor(level=LEVEL).compress(whole)


def unpack(packed: bytes) -> Snapshot:
    """The snapshot in ``packed``; raises ``SnapshotCorrupt``."""
    try:
        whole = zstandard.ZstdDecompressor().decompress(packed, max_output_size=SNAPSHOT_BYTES_MAX)
        length = int.from_bytes(whole[:_LENGTH_BYTES], "little")
        body = memoryview(whole)[_LENGTH_BYTES + length :]
        header = orjson.loads(whole[_LENGTH_BYTES : _LENGTH_BYTES + length])
        if header["format"] != FORMAT:
            raise SnapshotCorrupt(f"format {header['format']} is not {FORMAT}")
        return Snapshot(
            policy=Policy(**header["policy"]),
            bids=Bids(**_restore(header["bids"], body)),
            asks=Asks(**_restore(header["asks"], body)),
            **_restore(header["snapshot"], body),
        )
    except (zstandard.ZstdError, ValueError, KeyError, TypeError) as error:
        raise SnapshotCorrupt(f"not a stored snapshot: {error}") from error


def _describe(part: Any, parts: list[bytes]) -> dict[str, Any]:
    """Plain values as they are; arrays as dtype, shape and offset, their bytes in ``parts``."""
    described: dict[str, Any] = {}
    offset = sum(len(piece) for piece in parts)
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, np.ndarray):
            data = np.ascontiguousarray(value).tobytes()
            described[field.name] = {
                "dtype": value.dtype.str,
                "shape": list(value.shape),
                "offset": offset,
            }
            parts.append(data)
            offset += len(data)
        elif not isinstance(value, Policy | Bids | Asks):
            described[field.name] = {"value": value}
    return described


def _restore(described: dict[str, Any], body: memoryview) -> dict[str, Any]:
    restored: dict[str, Any] = {}
    for name, entry in described.items():
        if "dtype" not in entry:
            value = entry["value"]
            restored[name] = tuple(value) if isinstance(value, list) else value
            continue
        dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
        count = int(np.prod(shape))
        flat = np.frombuffer(body, dtype=dtype, count=count, offset=entry["offset"])
        restored[name] = flat.reshape(shape)
    return restored
