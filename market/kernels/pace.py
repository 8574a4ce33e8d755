"""How far a search may go: asked of the clock and noted, or as it was noted the last time.

An anytime search that looks at the clock gives another plan on a busier machine. So all that the
clock decides is decided here, in three numbers: with them the same search can be run again to the
byte, however long it then takes.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

BEHIND_MAX = 0.15  # share of the time by which the phases may lag before some are left out
NEVER_LATE = -1


@dataclass(slots=True, kw_only=True)
class Pace:
    """Decides when prices are left as they are and which phases of a search are run."""

    threads: int
    prices_until: float = math.inf  # by the monotonic clock
    search_until: float = math.inf
    noted: Mapping[str, float] | None = None  # ``effort`` of the run to repeat
    _looks: int = 0
    _late: bool = False
    _phases: int = 0

    @classmethod
    def repeating(cls, effort: Mapping[str, float]) -> "Pace":
        """The pace of an earlier run, by its ``effort``."""
        return cls(threads=int(effort["threads"]), noted=effort)

    @property
    def effort(self) -> dict[str, float]:
        """What to note: threads, looks at the clock before prices were late, bits of phases run."""
        looks = self._looks if self._late else NEVER_LATE
        return {"threads": self.threads, "price_looks": looks, "phases": self._phases}

    def prices_late(self) -> bool:
        """Whether it is time to leave the prices; once it is, it stays so."""
        if not self._late:
            if self.noted is None:
                self._late = time.perf_counter() > self.prices_until
            else:
                self._late = self._looks == int(self.noted["price_looks"])
            self._looks += not self._late
        return self._late

    def phases(self, count: int) -> Iterator[int]:
        """The phases to run of ``count``, in order; those that the clock leaves no time for not."""
        if self.noted is not None:
            for phase in range(count):
                if int(self.noted["phases"]) >> phase & 1:
                    yield self._note(phase)
            return
        started, phase = time.perf_counter(), 0
        while phase < count and started < self.search_until:
            gone = (time.perf_counter() - started) / (self.search_until - started)
            if gone > 1.0:
                return
            if gone > phase / count + BEHIND_MAX:
                phase = min(int(gone * count), count - 1)
            yield self._note(phase)
            phase += 1

    def cut_short(self, count: int) -> bool:
        """Whether a search of ``count`` phases left some out."""
        return self._phases != (1 << count) - 1

    def _note(self, phase: int) -> int:
        self._phases |= 1 << phase
        return phase
