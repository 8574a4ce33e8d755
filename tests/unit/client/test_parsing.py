"""Answers to values: tolerant of what is new, strict about what is missing."""

from datetime import UTC, datetime

import pytest

from client.errors import ProtocolError
from client.parsing import parse
from client.resources import Cell, Invariants, Job

JOB = {"id": "job_1", "state": "running"}


def test_parse_ignores_unknown_fields_and_keeps_them_raw():
    job = parse(Job, {**JOB, "colour": "blue"})
    assert job.state == "running"
    assert job.raw["colour"] == "blue"


def test_parse_nested_values_and_times():
    job = parse(
        Job,
        {
            **JOB,
            "created_at": "2026-03-01T10:00:00.5Z",
            "tasks": {"succeeded": 2, "failed": 1, "paused": 4},
            "demand": {"state": "open", "count_open": 3},
            "ended_at": None,
        },
    )
    assert job.created_at == datetime(2026, 3, 1, 10, 0, 0, 500_000, tzinfo=UTC)
    assert job.tasks.ended == 3
    assert job.demand is not None
    assert job.demand.count_open == 3
    assert job.ended_at is None


def test_parse_mappings_of_resources():
    prices = {"cpu_millis": {"price_micros": 20_000, "utilisation": 0.5}}
    cell = parse(Cell, {"id": "cell_1", "name": "north", "prices": prices})
    assert cell.prices["cpu_millis"].price_micros == 20_000


def test_parse_tuples_of_resources():
    found = parse(Invariants, {"ok": False, "items": [{"name": "zero sum", "ok": False}]})
    assert [law.name for law in found.items] == ["zero sum"]


@pytest.mark.parametrize(
    "document",
    [
        {"state": "running"},
        [],
        "job",
        None,
        {**JOB, "created_at": "yesterday"},
        {**JOB, "tasks": 3},
    ],
)
def test_parse_refuses_what_is_not_a_job(document):
    with pytest.raises(ProtocolError):
        parse(Job, document)
