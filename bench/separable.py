"""Separable instances, cleared and timed: what the parts of the market's benchmark share."""

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from market.kernels import clearing
from market.snapshot import Floats
from sim.hard import Arrays, hard_arrays, hard_problem

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """(result, wall seconds, CPU seconds of all threads)."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def case(bids: int, nodes: int, zones: int, seed: int, round_number: int = 0) -> Arrays:
    """One instance; other rounds of a seed have the same nodes and other bids."""
    return hard_arrays(bids=bids, nodes=nodes, zones=zones, seed=seed, round_number=round_number)


def cleared(
    arrays: Arrays, budget_ms: int, carried: Floats | None, *, repeatable: bool = False
) -> clearing.Solution:
    """Our plan in ``budget_ms``, the building of the problem included.

    With ``repeatable`` it is the plan of an idle machine, however long it takes here.
    """
    one = np.ones(len(arrays["bid_limit"]), np.int64)
    return clearing.clear(
        hard_problem(arrays),
        count_min=one,
        budget_ms=budget_ms,
        seed=1,
        carried=carried,
        repeatable=repeatable,
    )
