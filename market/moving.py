"""Whether running work should move: only where the gain exceeds what moving costs.

Moving costs bytes (what is not at the new place yet) and seconds (the transfer, and the work done
so far: there are no checkpoints, it is done again), both valued by the job's own price p, what a
slot-hour is worth to its tenant (migration cost as in Sliwko 2018), and it changes what is paid.
With t_h, t_n the run time of the task here and there, e of it done, b bytes at B bytes a second,
q_h, q_n the rates, and r the time left until its result is late:

    rest  = max(0, t_h − e)                     that staying still takes
    there = 1000·b / B + t_n                    that moving takes
    stays = q_h·rest                            still to be paid, if it ends in time
            q_h·r, or −q_h·e                    if not: by the job's own limit, by a deadline sold
    moves = q_n·t_n − (q_h·e where what ran here is not charged)
    cost  = p·max(0, there − rest) + max(0, moves − stays)
    gain  = p·max(0, rest − there) + max(0, stays − moves) + h·rest
            + p·t_h if only moving ends in time

Work leaves a place for one of two reasons. Either the place wants it gone: a node that is to be
drained. Then what ran is not charged, and h, what an hour of freeing the place is worth, is as much
as an hour of the tenant's. Or the tenant gains: then the owner, who kept its word, is paid for the
time that the work ran (q_h·e is owed either way, and does not count), h is nothing, and as all of
this is estimated the move must be *clearly* better: gain ≥ ``COST_FACTOR`` · cost, more by
``WORTH_SHARE`` of all that the task is worth, p·t_h, and in time with ``TIME_FACTOR`` to spare.

What would be late only by moving is never moved.
"""

from dataclasses import dataclass

import numpy as np

from market.resources import HOUR_MS
from market.snapshot import Bools, Floats, Ints

BYTES_PER_S = 12_500_000  # of a link that nobody has measured: 100 Mbit/s
COST_FACTOR = 1.25
WORTH_SHARE = 0.25
TIME_FACTOR = 1.25
REST_MS_MIN = 10_000  # of work that is looked at: orders, fetching and starting take seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """One task at work; times in milliseconds, prices in micros per slot and hour."""

    elapsed_ms: int
    task_ms: float  # expected whole run time here; 0 unknown
    price: int  # what a slot-hour is worth to the tenant: the job's limit
    rate: int  # paid here
    left_ms: int  # until its result is late
    deadline_sold: bool = False  # late by a deadline, and then nothing is charged at all
    freeing: int = 0  # what an hour of freeing the place is worth
    charged: bool = True  # what ran here is paid when it moves

    @property
    def rest_ms(self) -> float:
        """What staying still takes."""
        return max(0.0, self.task_ms - self.elapsed_ms)

    @property
    def stays_in_time(self) -> bool:
        return self.rest_ms <= self.left_ms

    @property
    def stays_ms(self) -> float:
        """Slot time that staying adds to what is owed by now."""
        if self.stays_in_time:
            return self.rest_ms
        return -float(self.elapsed_ms) if self.deadline_sold else float(self.left_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where it could go."""

    rate: int
    speed: float  # of a core there over that of a core here
    bytes_missing: int  # module, model and input that would have to be fetched
    bytes_per_s: int = BYTES_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """k of them; ``rate`` and ``speed`` are (k,)."""

    rate: Ints
    speed: Floats
    bytes_missing: int
    bytes_per_s: int = BYTES_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What moving would bring and cost, in micros."""

    gain_micros: float
    cost_micros: float
    in_time: bool  # moving makes nothing late that staying would not
    clear: bool  # so much better that it pays though all of it is estimated

    @property
    def pays(self) -> bool:
        """Whether to leave a place that wants the work gone."""
        return self.in_time and self.gain_micros > self.cost_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """The same of k places, each (k,), with the milliseconds that moving there takes."""

    gain_micros: Floats
    cost_micros: Floats
    in_time: Bools
    clear: Bools
    there_ms: Floats


def weigh(running: Running, place: Place) -> Move:
    """Gain and cost of moving ``running`` to ``place``; work of unknown length stays."""
    found = weigh_all(
        running,
        Places(
            rate=np.array([place.rate], dtype=np.int64),
            speed=np.array([place.speed]),
            bytes_missing=place.bytes_missing,
            bytes_per_s=place.bytes_per_s,
        ),
    )
    return Move(
        gain_micros=float(found.gain_micros[0]),
        cost_micros=float(found.cost_micros[0]),
        in_time=bool(found.in_time[0]),
        clear=bool(found.clear[0]),
    )


def weigh_all(running: Running, places: Places) -> Moves:
    """Gain and cost of moving ``running`` to each of ``places``."""
    if running.task_ms <= 0:
        nothing, never = np.zeros(len(places.rate)), np.zeros(len(places.rate), dtype=np.bool_)
        return Moves(
            gain_micros=nothing, cost_micros=nothing, in_time=never, clear=never, there_ms=nothing
        )
    rest, stays_in_time = running.rest_ms, running.stays_in_time
    new_run = running.task_ms / np.maximum(places.speed, 1e-9)
    there = 1_000 * places.bytes_missing / places.bytes_per_s + new_run
    moves_in_time = there <= running.left_ms
    given_back = 0 if running.charged else running.rate * running.elapsed_ms
    dearer = places.rate * new_run - given_back - running.rate * running.stays_ms
    worth = running.price * running.task_ms
    gain = (
        running.price * np.maximum(0.0, rest - there)
        + np.maximum(0.0, -dearer)
        + running.freeing * rest
        + np.where(moves_in_time & (not stays_in_time), worth, 0.0)
    )
    cost = running.price * np.maximum(0.0, there - rest) + np.maximum(0.0, dearer)
    return Moves(
        gain_micros=gain / HOUR_MS,
        cost_micros=cost / HOUR_MS,
        in_time=moves_in_time | (not stays_in_time),
        clear=(gain > COST_FACTOR * cost)
        & (gain - cost > WORTH_SHARE * worth)
        & (TIME_FACTOR * there <= running.left_ms),
        there_ms=there,
    )


def limit_after(*, left_micros: int, tasks: int, max_run_ms: int) -> int:
    """The highest rate at which ``left_micros`` still pay ``tasks`` runs of ``max_run_ms`` each.

    What a job that moves has left must bear that the new place dies and the task is tried again:
    it bids no more than this from then on. 0 where nothing is left.
    """
    if tasks <= 0 or max_run_ms <= 0:
        return 0
    return max(0, left_micros // tasks) * HOUR_MS // max_run_ms
