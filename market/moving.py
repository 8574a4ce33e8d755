"""Whether running work should move: only where the gain exceeds what moving costs.

Moving costs bytes (what is not at the new place yet) and seconds (the transfer, and the work done
so far: there are no checkpoints, it is done again), both valued by the job's own price p, what a
slot-hour is worth to its tenant (migration cost as in Sliwko 2018). With t_h, t_n the run time of
the task here and there, e of it done, b bytes at B bytes a second, q_h, q_n the rates paid:

    rest  = max(0, t_h − e)                    that staying still takes
    there = 1000·b / B + t_n                   that moving takes
    cost  = p·max(0, there − rest) + max(0, q_n − q_h)·t_n
    gain  = p·max(0, rest − there) + max(0, q_h − q_n)·t_n + h·rest
            + p·t_h if only moving ends in time

h is what an hour of freeing the place is worth: on a node that is to be drained as much as an hour
of the tenant's, elsewhere nothing. What would be late only by moving is never moved.
"""

from dataclasses import dataclass

from market.resources import HOUR_MS

BYTES_PER_S = 12_500_000  # of a link that nobody has measured: 100 Mbit/s


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """One task at work; times in milliseconds, prices in micros per slot and hour."""

    elapsed_ms: int
    task_ms: float  # expected whole run time here; 0 unknown
    price: int  # what a slot-hour is worth to the tenant: the job's limit
    rate: int  # paid here
    left_ms: int  # until its result is late
    freeing: int = 0  # what an hour of freeing the place is worth


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where it could go."""

    rate: int
    speed: float  # of a core there over that of a core here
    bytes_missing: int  # module, model and input that would have to be fetched
    bytes_per_s: int = BYTES_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What moving would bring and cost, in micros."""

    gain_micros: float
    cost_micros: float
    in_time: bool  # moving makes nothing late that staying would not

    @property
    def pays(self) -> bool:
        """Whether to move."""
        return self.in_time and self.gain_micros > self.cost_micros


def weigh(running: Running, place: Place) -> Move:
    """Gain and cost of moving ``running`` to ``place``; work of unknown length stays."""
    if running.task_ms <= 0:
        return Move(gain_micros=0.0, cost_micros=0.0, in_time=False)
    rest = max(0.0, running.task_ms - running.elapsed_ms)
    new_run = running.task_ms / max(place.speed, 1e-9)
    there = 1_000 * place.bytes_missing / place.bytes_per_s + new_run
    stays_in_time, moves_in_time = rest <= running.left_ms, there <= running.left_ms
    dearer = place.rate - running.rate
    gain = (
        running.price * max(0.0, rest - there)
        + max(0, -dearer) * new_run
        + running.freeing * rest
        + (running.price * running.task_ms if moves_in_time and not stays_in_time else 0.0)
    )
    cost = running.price * max(0.0, there - rest) + max(0, dearer) * new_run
    return Move(
        gain_micros=gain / HOUR_MS,
        cost_micros=cost / HOUR_MS,
        in_time=moves_in_time or not stays_in_time,
    )
