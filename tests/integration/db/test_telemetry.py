"""Readings are copied in by the day, averaged out, and days are dropped whole."""

import datetime as dt

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from db import telemetry
from db.ids import new_id
from db.telemetry import NewReading, TelemetryWriter
from tests.factories import NOW

NODE = new_id("node", NOW)
MINUTE = dt.timedelta(minutes=1)


def reading(value: float = 1.0, *, key: str = "cpu_milli", at: dt.datetime = NOW) -> NewReading:
    return NewReading(node_id=NODE, key=key, at=at, value=value)


@pytest.fixture
def days(session: Session) -> Session:
    assert telemetry.make_days(session, now=NOW) == 6  # two past, today, three ahead
    return session


def test_what_is_written_is_read_by_stretches(days: Session) -> None:
    rows = [reading(float(k), at=NOW + k * MINUTE) for k in range(10)]
    assert TelemetryWriter().write(days, [*rows, reading(9, key="load")], now=NOW) == 11
    points = telemetry.series(
        days, NODE, since=NOW, until=NOW + 10 * MINUTE, key="cpu_milli", points=2
    )
    assert [(p.at - NOW, p.mean, p.low, p.high, p.count) for p in points] == [
        (0 * MINUTE, 2.0, 0.0, 4.0, 5),
        (5 * MINUTE, 7.0, 5.0, 9.0, 5),
    ]
    keys = {p.key for p in telemetry.series(days, NODE, since=NOW, until=NOW + MINUTE)}
    assert keys == {"cpu_milli", "load"}


@pytest.mark.parametrize(
    "bad",
    [
        reading(float("nan")),
        reading(float("inf")),
        reading(at=NOW + dt.timedelta(days=1)),
        reading(at=NOW - dt.timedelta(days=3)),
        reading(key=""),
        reading(key="x" * 65),
        reading(key="a\0b"),
        NewReading(node_id="node_attic", key="load", at=NOW, value=1.0),
    ],
    ids=repr,
)
def test_what_cannot_be_kept_is_left_out(days: Session, bad: NewReading) -> None:
    assert TelemetryWriter().write(days, [bad, reading()], now=NOW) == 1


def test_keys_are_bounded(days: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "KEYS_MAX", 2)
    writer = TelemetryWriter()
    assert writer.write(days, [reading(key="a")], now=NOW) == 1
    assert writer.write(days, [reading(key="b")], now=NOW) == 1
    assert writer.write(days, [reading(key="c"), reading(key="a")], now=NOW) == 1


def test_a_key_of_a_transaction_that_failed_is_not_remembered(days: Session) -> None:
    days.commit()
    writer = TelemetryWriter()
    writer.write(days, [reading(key="new")], now=NOW)
    days.rollback()
    assert writer.write(days, [reading(key="new")], now=NOW) == 1
    orphans = text(
        "SELECT count(*) FROM telemetry t LEFT JOIN telemetry_keys k ON k.id = t.key_id"
        " WHERE k.id IS NULL"
    )
    assert days.execute(orphans).scalar() == 0


def test_days_are_made_once_and_dropped_whole(days: Session) -> None:
    assert telemetry.make_days(days, now=NOW) == 0
    assert telemetry.drop_days(days, keep_from=NOW.date()) == 2
    assert TelemetryWriter().write(days, [reading()], now=NOW) == 1
