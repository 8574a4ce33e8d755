"""The place of an event in the log, as text and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.events import EventCursor

numbers = st.integers(min_value=0, max_value=2**63 - 1)


@given(txid=numbers, number=numbers)
def test_text_and_back(txid: int, number: int) -> None:
    cursor = EventCursor(txid, number)
    assert EventCursor.parse(str(cursor)) == cursor


@given(st.text(max_size=60))
def test_anything_else_is_refused_or_in_range(text: str) -> None:
    try:
        cursor = EventCursor.parse(text)
    except ValueError:
        return
    assert 0 <= cursor.txid < 2**63
    assert 0 <= cursor.id < 2**63


@pytest.mark.parametrize("text", ["", "1", "-1-2", "1-", "a-b", "1-2-3", "9" * 60, "１-２x"])
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not the id of an event"):
        EventCursor.parse(text)
