"""Typed ids: UUIDv7 in hexadecimal behind a prefix, e.g. ``job_0190a3…`` (sorts by time)."""

from typing import NewType

AccountId = NewType("AccountId", str)
ApiKeyId = NewType("ApiKeyId", str)
AttemptId = NewType("AttemptId", str)
CellId = NewType("CellId", str)
DemandId = NewType("DemandId", str)
JobId = NewType("JobId", str)
LeaseId = NewType("LeaseId", str)
ModelId = NewType("ModelId", str)
NodeId = NewType("NodeId", str)
OfferId = NewType("OfferId", str)
PolicyId = NewType("PolicyId", str)
RoundId = NewType("RoundId", str)
TaskId = NewType("TaskId", str)
TokenId = NewType("TokenId", str)
TransferId = NewType("TransferId", str)

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62


def make_id(prefix: str, *, unix_ms: int, random_bits: int) -> str:
    """An id of RFC 9562 §5.7: 48 bits of ``unix_ms``, 74 bits of ``random_bits``."""
    random_a = (random_bits >> 62) & 0xFFF
    random_b = random_bits & ((1 << 62) - 1)
    value = (unix_ms & ((1 << 48) - 1)) << 80 | _VERSION_7 | random_a << 64 | _VARIANT | random_b
    return f"{prefix}_{value:032x}"
