"""PostgreSQL array literals made of whole columns: the driver makes them value by value, slowly.

Pass one as a parameter and cast it: ``CAST(:ids AS text[])``.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def texts(values: Sequence[str]) -> str:
    """The literal of a ``text[]``; every value is quoted, so any text may be in it."""
    if not values:
        return "{}"
    joined = "".join(values)
    if '"' in joined or "\\" in joined:
        values = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return '{"' + '","'.join(values) + '"}'


def integers(values: Sequence[int] | npt.NDArray[np.integer]) -> str:
    """The literal of an ``int[]`` or ``bigint[]``."""
    plain = values.tolist() if isinstance(values, np.ndarray) else list(values)
    return "{" + str(plain)[1:-1] + "}"
