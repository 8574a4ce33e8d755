"""Ids made many at once are what they are one by one: version 7, of the time, ascending, unlike."""

import datetime as dt
import uuid

from db.ids import new_id, new_ids

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


def test_new_ids_are_version_7_and_ascend() -> None:
    made = new_ids("lease", NOW, 2_000)
    assert made == sorted(set(made))
    for one in (*made, new_id("lease", NOW)):
        prefix, _, digits = one.partition("_")
        value = uuid.UUID(digits)
        assert (prefix, value.version, value.variant) == ("lease", 7, uuid.RFC_4122)
        assert value.int >> 80 == int(NOW.timestamp() * 1000)
    assert new_ids("lease", NOW, 0) == []
