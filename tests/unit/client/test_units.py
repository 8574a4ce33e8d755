"""Quantities as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from client.units import (
    format_ago,
    format_bytes,
    format_credits,
    format_resource,
    parse_bytes,
    parse_cores,
    parse_credits,
    parse_duration_s,
)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_credits, "0.05", 50_000),
        (parse_credits, "12", 12_000_000),
        (parse_credits, "0.000001", 1),
        (parse_cores, "0.5", 500),
        (parse_cores, "250m", 250),
        (parse_cores, "2", 2000),
        (parse_bytes, "128MiB", 128 << 20),
        (parse_bytes, "1.5 GiB", 3 << 29),
        (parse_bytes, "2G", 2 << 30),
        (parse_bytes, "5MB", 5_000_000),
        (parse_bytes, "17", 17),
        (parse_duration_s, "90", 90.0),
        (parse_duration_s, "1.5h", 5400.0),
        (parse_duration_s, "200ms", 0.2),
    ],
)
def test_parse_reads_quantity(parse, text, value):
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_credits, "0.0000001"),  # finer than a micro: refused, never rounded
        (parse_credits, "-1"),
        (parse_credits, "NaN"),
        (parse_credits, "much"),
        (parse_cores, "0.0001"),
        (parse_cores, "half"),
        (parse_bytes, "12 parsecs"),
        (parse_bytes, "1.00000000001B"),
        (parse_bytes, "-5MB"),
        (parse_duration_s, "soon"),
    ],
)
def test_parse_refuses(parse, text):
    with pytest.raises(ValueError, match="is"):
        parse(text)


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0.00"),
        (1, "0.000001"),
        (1_234_500, "1.2345"),
        (-2_500_000, "-2.50"),
        (10**15, "1000000000.00"),
        (None, "–"),
    ],
)
def test_format_credits_is_exact(micros, text):
    assert format_credits(micros) == text


def test_format_names_the_unit():
    assert format_bytes(1536) == "1.5 KiB"
    assert format_bytes(3 << 40) == "3 TiB"
    assert format_resource("cpu_millis", 1000) == "1 core"
    assert format_resource("cpu_millis", 2500) == "2.5 cores"
    assert format_resource("memory_bytes", 1 << 30) == "1 GiB"
    assert format_resource("bandwidth_kbps", 10_000) == "10 Mbit/s"


def test_format_ago_takes_the_largest_unit():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert format_ago(now - timedelta(seconds=3), now=now) == "3.0s"
    assert format_ago(now - timedelta(minutes=12), now=now) == "12m"
    assert format_ago(now - timedelta(days=3), now=now) == "3d"
    assert format_ago(None) == "–"
