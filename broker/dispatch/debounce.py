"""When to set off a cell's round: at once after a quiet while, else after a pause; one at a time.

A lone demand is cleared at once. While a round of its cell is under way, further demand waits for
its end, so under load each round serves all that came during the one before. A pause in proportion
to what rounds take keeps them from using a whole processor.
"""

from dataclasses import dataclass, field

ROUND_LOST_S = 2.0  # a round that has not ended after so long may have died with its worker
REST_SHARE = 0.5  # of a round's time is left idle after it, where more demand waits
CELLS_MAX = 100_000


@dataclass(slots=True)
class _Cell:
    wanted: bool = False
    began_s: float = float("-inf")
    ended_s: float = float("-inf")
    took_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class Debounce:
    """Which cells are due; times are of a monotonic clock."""

    pause_s: float
    _cells: dict[str, _Cell] = field(default_factory=dict)

    def want(self, cell: str) -> None:
        """There is new demand in ``cell``."""
        if len(self._cells) >= CELLS_MAX and cell not in self._cells:
            self._cells.clear()
        self._cells.setdefault(cell, _Cell()).wanted = True

    def ended(self, cell: str, *, now_s: float) -> None:
        """A round of ``cell`` has ended."""
        held = self._cells.get(cell)
        if held is not None and held.ended_s < held.began_s:
            held.ended_s = now_s
            held.took_s = now_s - held.began_s

    def take_due(self, *, now_s: float) -> list[str]:
        """Cells whose round is to begin now; they count as begun."""
        due = []
        for cell, held in self._cells.items():
            if held.wanted and now_s >= self._at(held):
                held.wanted, held.began_s = False, now_s
                due.append(cell)
        return due

    def next_s(self) -> float | None:
        """When the next cell is due; None if none waits."""
        return min((self._at(held) for held in self._cells.values() if held.wanted), default=None)

    def _at(self, held: _Cell) -> float:
        """When a cell that waits is due."""
        if held.ended_s < held.began_s:  # under way
            return held.began_s + ROUND_LOST_S
        rest = held.ended_s + REST_SHARE * min(held.took_s, ROUND_LOST_S)
        return max(held.began_s + self.pause_s, rest)
