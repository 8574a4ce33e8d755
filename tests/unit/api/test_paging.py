"""Cursors: what goes out comes back, and nothing else is taken."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.answers import _cursor, paging
from broker.services.refusals import Invalid
from db.repositories.paging import Place

MOMENTS = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2200, 1, 1))
KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)


@given(MOMENTS, KEYS)
def test_cursor_round_trip_to_the_microsecond(at: datetime, key: str) -> None:
    place = Place(at=at.replace(tzinfo=UTC), id=key)
    found = paging(cursor=_cursor(place)).after
    assert found is not None
    assert found.id == key
    assert abs(found.at - place.at) <= timedelta(microseconds=1)


@given(st.text(min_size=1, max_size=300).filter(lambda text: not text.startswith("W")))
def test_cursor_of_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Invalid):  # ours begin with a bracket, which is W in base64
        paging(cursor=text)


@pytest.mark.parametrize("inner", [b"1", b"[]", b'["a","b"]', b"[1e400,2]", b'[1,"\\u0000"]', b"["])
def test_cursor_of_another_making_is_refused(inner: bytes) -> None:
    with pytest.raises(Invalid):
        paging(cursor=base64.urlsafe_b64encode(inner).decode())
