"""Readings of devices: written by binary COPY into daily partitions, read as averaged series."""

import datetime as dt
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

KEYS_MAX = 1_000  # names of readings: few, and devices may not fill the table with inventions
KEY_CHARS_MAX = 64
PAST_MAX = dt.timedelta(days=2)  # a device that was cut off may bring readings so old
FUTURE_MAX = dt.timedelta(hours=1)  # clocks differ
POINTS_MAX = 2_000
_ID = re.compile(r"(?:^|_)[0-9a-f]{32}$")
_BINARY_TYPES = ("uuid", "int4", "timestamptz", "float8")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReading:
    """One measured value."""

    node_id: str
    key: str
    at: dt.datetime
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Readings of one stretch of time: how they lie, and how many they are."""

    key: str
    at: dt.datetime
    mean: float
    low: float
    high: float
    count: int


_KEYS = text("SELECT key, id FROM telemetry_keys WHERE key = ANY(:keys)")
_ADD_KEYS = text("""
    INSERT INTO telemetry_keys (key)
    SELECT k.key FROM unnest(CAST(:keys AS text[])) AS k (key)
    WHERE (SELECT count(*) FROM telemetry_keys) < :most
    ON CONFLICT DO NOTHING RETURNING key, id
""")
_MAKE_DAYS = text("SELECT telemetry_make_days(CAST(:first AS date), CAST(:last AS date))")
_DROP_DAYS = text("SELECT telemetry_drop_days(CAST(:keep_from AS date))")
_SERIES = text("""
    SELECT k.key, date_bin(CAST(:step AS interval), t.at, CAST(:since AS timestamptz)) AS at,
        avg(t.value) AS mean, min(t.value) AS low, max(t.value) AS high, count(*) AS count
    FROM telemetry t JOIN telemetry_keys k ON k.id = t.key_id
    WHERE t.node_id = :node_id AND t.at >= :since AND t.at < :until
        AND (:key = '' OR k.key = :key)
    GROUP BY 1, 2 ORDER BY 1, 2 LIMIT :most
""")


def node_uuid(node_id: str) -> UUID:
    """The id without its prefix, as the table keeps it. Raises ``ValueError`` for no such id."""
    return UUID(hex=node_id.rpartition("_")[2])


class TelemetryWriter:
    """Writes readings; one a process, because it remembers the numbers of the keys."""

    def __init__(self) -> None:
        self._keys: dict[str, int] = {}

    def write(self, session: Session, readings: Iterable[NewReading], *, now: dt.datetime) -> int:
        """Copy in what can be kept; return how many. The rest may be lost: it is telemetry.

        Left out are values that are no numbers, times far from ``now``, keys beyond the most and
        nodes without an id of ours.
        The days around ``now`` must have partitions (``make_days``).
        """
        kept = [reading for reading in readings if _keepable(reading, now)]
        numbers = self._numbers(session, {reading.key for reading in kept})
        rows = [
            (node_uuid(r.node_id), numbers[r.key], r.at, r.value) for r in kept if r.key in numbers
        ]
        if rows:
            _copy(session, rows)
        return len(rows)

    def _numbers(self, session: Session, keys: set[str]) -> dict[str, int]:
        unknown = keys - self._keys.keys()
        if not unknown:
            return self._keys
        self._keys |= {row.key: row.id for row in session.execute(_KEYS, {"keys": [*unknown]})}
        missing = sorted(unknown - self._keys.keys())
        if not missing:
            return self._keys
        # Numbers made now are not remembered: this transaction may yet be rolled back.
        made = session.execute(_ADD_KEYS, {"keys": missing, "most": KEYS_MAX})
        return self._keys | {row.key: row.id for row in made}


def _keepable(reading: NewReading, now: dt.datetime) -> bool:
    return (
        math.isfinite(reading.value)
        and now - PAST_MAX <= reading.at <= now + FUTURE_MAX
        and 0 < len(reading.key) <= KEY_CHARS_MAX
        and "\0" not in reading.key
        and _ID.search(reading.node_id) is not None
    )


def _copy(session: Session, rows: Sequence[tuple[UUID, int, dt.datetime, float]]) -> None:
    connection: Any = session.connection().connection.driver_connection
    statement = "COPY telemetry (node_id, key_id, at, value) FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(_BINARY_TYPES)
        for row in rows:
            copy.write_row(row)


def make_days(session: Session, *, now: dt.datetime, ahead: int = 3) -> int:
    """Make the partitions that writers need from now until ``ahead`` days on; return how many."""
    first = (now - PAST_MAX).date()
    last = (now + dt.timedelta(days=ahead)).date()
    made: int = session.execute(_MAKE_DAYS, {"first": first, "last": last}).scalar_one()
    return made


def drop_days(session: Session, *, keep_from: dt.date) -> int:
    """Drop the partitions of days before ``keep_from``; return how many."""
    dropped: int = session.execute(_DROP_DAYS, {"keep_from": keep_from}).scalar_one()
    return dropped


def series(
    session: Session,
    node_id: str,
    *,
    since: dt.datetime,
    until: dt.datetime,
    key: str = "",
    points: int = 300,
) -> list[Point]:
    """Readings in [since, until) as about ``points`` stretches a key; of all keys for ""."""
    try:
        node = node_uuid(node_id)
    except ValueError:
        return []
    step = max((until - since) / max(1, min(points, POINTS_MAX)), dt.timedelta(seconds=1))
    rows: Any = session.execute(
        _SERIES,
        {
            "node_id": node,
            "since": since,
            "until": until,
            "key": key,
            "step": step,
            "most": 20 * POINTS_MAX,
        },
    )
    return [
        Point(key=r.key, at=r.at, mean=r.mean, low=r.low, high=r.high, count=r.count) for r in rows
    ]
