"""The sentences that say with figures why bids lost, many at a time: most are said often."""

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from market import feasible, score
from market.money import format_credits
from market.plan import Loss
from market.repeats import first_and_group
from market.snapshot import Indices, Ints, Snapshot

LABELS = {
    "cpu_millis": ("cpu", "cores", 1_000),
    "memory_bytes": ("memory", "MiB", 1 << 20),
    "accelerator_millis": ("accelerator", "accelerators", 1_000),
    "bandwidth_kbps": ("bandwidth", "Mbit/s", 1_000),
}
NO_ASK = "no node of this cell has anything free to offer now"
_TAKEN = "; bids of higher value took it"


def quantity(resource: str, amount: int) -> str:
    """``("memory_bytes", 805_306_368)`` → ``"768 MiB"``."""
    _, unit, size = LABELS.get(resource, (resource, resource, 1))
    return f"{amount / size:.6g} {unit}"


def shortage(resource: str, needed: int, which: str, here: int) -> str:
    """``"memory: needs 768 MiB, "`` and ``which`` (``"the largest node has"``) and how much."""
    label = LABELS.get(resource, (resource, "", 1))[0]
    return f"{label}: needs {quantity(resource, needed)}, {which} {quantity(resource, here)}"


# What a job waits for, by its loss; {topic} is the first word of the sentence with the figures.
_WAITS_FOR = {
    Loss.NO_CAPACITY: "The job waits for {topic}",
    Loss.OUTBID: "The job was outbid for {topic}",
    Loss.TOO_LARGE: "The job asks for more {topic} than there is",
    Loss.COUNT: "The job waits for enough slots",
    Loss.LATENCY: "The job waits for a node that is near enough",
    Loss.RELIABILITY: "The job waits for a node that is reliable enough",
    Loss.SPEED: "The job waits for a node that is fast enough",
    Loss.DEADLINE: "The job waits for a node that is fast enough for its deadline",
    Loss.LIMIT_BELOW_RESERVE: "The job waits for a cheaper node",
}


def of_waiting(loss: Loss, detail: str) -> str:
    """A whole sentence, without its full stop, for a job that lost; ``detail`` as of ``of_loss``.

    The figures' own topic is not said again: ``limit: offers …`` becomes ``…: it offers …``.
    """
    topic, colon, rest = detail.partition(": ")
    if not colon:
        return f"The job waits: {detail or loss.replace('_', ' ')}"
    subject = "it " if rest.startswith(("needs ", "offers ")) else ""
    return f"{_WAITS_FOR.get(loss, 'The job waits').format(topic=topic)}: {subject}{rest}"


def of_loss(
    snapshot: Snapshot, loss: Loss, bids: Indices, asks: Indices, *, room: Ints, free: Ints
) -> list[str]:
    """A sentence for each of ``bids`` (k,), all lost for ``loss``; ``asks`` (k,) came closest.

    ``room`` (k,) slots are free for each bid, ``free`` (m, R) is what asks have left.
    """
    match loss:
        case Loss.NO_ASK:
            return [NO_ASK] * len(bids)
        case Loss.COUNT:
            return _each(_too_few, snapshot.bids.count_min[bids], room)
        case Loss.NO_CAPACITY:
            return _shortages(snapshot, bids, free[asks], "the freest fitting node has")
        case Loss.OUTBID:
            short = _shortages(snapshot, bids, free[asks], "the freest fitting node has")
            return [sentence + _TAKEN for sentence in short]
        case _:
            return of_constraint(snapshot, loss, bids, asks)


def of_constraint(snapshot: Snapshot, loss: Loss, bids: Indices, asks: Indices) -> list[str]:
    """A sentence for each of ``bids`` (k,) whose last asks broke the constraint ``loss``."""
    buys, sells = snapshot.bids, snapshot.asks
    match loss:
        case Loss.CONSTRAINT:
            return _features(snapshot, bids)
        case Loss.NOT_ADMITTED:
            return ["admission: the owners of all fitting nodes do not serve you"] * len(bids)
        case Loss.TOO_LARGE:
            return _shortages(snapshot, bids, sells.total[asks], "the largest fitting node offers")
        case Loss.LATENCY:
            far = score.latencies(snapshot, bids, asks)
            return _each(_too_far, buys.latency_ms_max[bids], far)
        case Loss.RELIABILITY:
            return _each(_unreliable, buys.reliability_min[bids], sells.reliability[asks])
        case Loss.SPEED:
            return _each(_slow, buys.speed_min[bids], sells.speed[asks])
        case Loss.DEADLINE:
            soonest = buys.work_ms[bids] / np.maximum(sells.speed[asks], 1e-9)
            return _each(_late, buys.deadline_ms[bids], soonest)
        case _:
            return _each(_dear, buys.limit[bids], feasible.reserve_rates(snapshot, bids, asks))


def _each(say: Callable[..., str], *columns: npt.NDArray[np.generic]) -> list[str]:
    """``say`` of each row of ``columns``, once for equal rows."""
    said = cache(say)
    return [said(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _shortages(snapshot: Snapshot, bids: Indices, have: Ints, which: str) -> list[str]:
    """Of the resource that ``have`` (k, R) is shortest of."""
    demand = snapshot.bids.demand[bids]
    spare = np.where(demand > 0, have / np.maximum(demand, 1), np.inf)
    worst = spare.argmin(axis=1) if demand.shape[1] else np.zeros(len(bids), np.int64)
    rows = np.arange(len(bids))

    def say(resource: int, needed: int, here: int) -> str:
        return shortage(snapshot.resources[resource], needed, which, here)

    return _each(say, worst, demand[rows, worst], have[rows, worst])


def _features(snapshot: Snapshot, bids: Indices) -> list[str]:
    wanted = np.column_stack([snapshot.bids.required[bids], snapshot.bids.forbidden[bids]])
    first, group = first_and_group(wanted)
    said = [f"constraint: no node has {_wanted(snapshot, int(bids[k]))}" for k in first.tolist()]
    return [said[k] for k in group.tolist()]


def _wanted(snapshot: Snapshot, bid: int) -> str:
    def names(words: np.ndarray) -> list[str]:
        bits = np.unpackbits(words.view(np.uint8), bitorder="little")
        return [snapshot.feature_names[k] for k in np.flatnonzero(bits)]

    required = names(np.ascontiguousarray(snapshot.bids.required[bid]))
    forbidden = names(np.ascontiguousarray(snapshot.bids.forbidden[bid]))
    wanted = "all of " + ", ".join(required) if required else "what it asks for"
    return f"{wanted} without {', '.join(forbidden)}" if forbidden else wanted


def _too_few(needs: int, room: int) -> str:
    return f"count: needs {needs} slots at once, {room} are free on fitting nodes"


def _too_far(most_ms: float, nearest_ms: float) -> str:
    return f"latency: needs {most_ms:.6g} ms, the nearest fitting node is at {nearest_ms:.6g} ms"


def _unreliable(least: float, best: float) -> str:
    return f"reliability: needs {least:.6g}, the best fitting node has {best:.4f}"


def _slow(least: float, fastest: float) -> str:
    return f"speed: needs {least:.6g}, the fastest fitting node has {fastest:.6g}"


def _late(left_ms: int, soonest_ms: float) -> str:
    return f"deadline: {left_ms} ms are left, the fastest fitting node needs {soonest_ms:.0f} ms"


def _dear(limit: int, cheapest: int) -> str:
    return (
        f"limit: offers {format_credits(limit)} credits an hour, "
        f"the cheapest fitting node asks {format_credits(cheapest)}"
    )
