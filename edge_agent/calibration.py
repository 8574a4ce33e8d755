"""A score of one core, measured once: an integer loop and a walk through memory.

Both run in the interpreter, so the score compares devices by what the agent itself sees; it is a
ratio between nodes and no physical unit. The geometric mean keeps either part from hiding the
other.
"""

import json
import math
import mmap
import time
from collections.abc import Callable
from pathlib import Path

SHARE_S = 0.15  # time for each of the two parts
WALK_BYTES = 1 << 22  # beyond most private caches
_STEP = 4_099  # prime, so that the walk visits every byte


def calibrate(*, share_s: float = SHARE_S, clock: Callable[[], float] = time.perf_counter) -> int:
    """Operations per second of one core (about 0.3 s)."""
    integer = _rate(_integer_loop, share_s, clock)
    memory = _rate(_MemoryWalk(), share_s, clock)
    return max(round(math.sqrt(integer * memory)), 1)


def cached_calibration(path: Path) -> int:
    """The score of the first run in this state directory."""
    try:
        score = json.loads(path.read_text())["ops_per_s"]
    except (OSError, ValueError, KeyError, TypeError):
        score = None
    if isinstance(score, int) and score > 0:
        return score
    score = calibrate()
    path.write_text(json.dumps({"ops_per_s": score}))
    return score


def _rate(work: Callable[[], int], share_s: float, clock: Callable[[], float]) -> float:
    done, started = 0, clock()
    while (elapsed := clock() - started) < share_s:
        done += work()
    return done / elapsed


def _integer_loop() -> int:
    value = 1
    for _ in range(2_000):
        value = (value * 6_364_136_223_846_793_005 + 1) & 0xFFFFFFFFFFFFFFFF
    return 2_000


class _MemoryWalk:
    def __init__(self) -> None:
        # Not from the heap, which would keep the room for the rest of the agent's life.
        self._memory = mmap.mmap(-1, WALK_BYTES)
        self._at = 0

    def __call__(self) -> int:
        memory, at = self._memory, self._at
        for _ in range(2_000):
            memory[at] = (memory[at] + 1) & 0xFF
            at = (at + _STEP) & (WALK_BYTES - 1)
        self._at = at
        return 2_000
