"""Array literals of whole columns mean what the driver's own arrays mean."""

import numpy as np
import pytest
from sqlalchemy import text

from db.arrays import integers, texts


@pytest.mark.parametrize(
    "values",
    [
        [],
        ["lease_1", "lease_2"],
        ["", "NULL", "null", " a b ", "a,b", "{x}", "dix\n\tlignes", "prix €"],
        ['said "no"', "back\\slash", '\\"', "it's"],
    ],
)
def test_texts_are_read_as_they_were(session, values):
    found = session.execute(text("SELECT CAST(:a AS text[])"), {"a": texts(values)})
    assert found.scalar_one() == values


@pytest.mark.parametrize("values", [[], [1, -2, 2**62], np.array([3, 4], np.int64)])
def test_integers_are_read_as_they_were(session, values):
    found = session.execute(text("SELECT CAST(:a AS bigint[])"), {"a": integers(values)})
    assert found.scalar_one() == list(values)
