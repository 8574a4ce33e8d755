"""Why each bid that was not served in full lost: one reason and one sentence with the figures."""

import numpy as np

from market import feasible, score
from market.money import format_credits
from market.plan import Loss
from market.snapshot import Floats, Indices, Ints, Snapshot

LABELS = {
    "cpu_millis": ("cpu", "cores", 1_000),
    "memory_bytes": ("memory", "MiB", 1 << 20),
    "accelerator_millis": ("accelerator", "accelerators", 1_000),
    "bandwidth_kbps": ("bandwidth", "Mbit/s", 1_000),
}


def explain_losses(
    snapshot: Snapshot, *, served: Ints, free: Ints, node_price: Floats
) -> tuple[tuple[Loss | None, ...], tuple[str, ...]]:
    """Reason and sentence of every bid, (None, "") where ``served`` (n,) is its whole count.

    ``free`` (m, R) is what the plan leaves; ``node_price`` (m, R) its shadow prices, in score.
    """
    reasons: list[Loss | None] = [None] * len(snapshot.bids)
    details = [""] * len(snapshot.bids)
    losers = np.flatnonzero(served < snapshot.bids.count).astype(np.int32)
    static = static_losses(snapshot, losers)
    for loser, code in zip(losers.tolist(), static.tolist(), strict=True):
        reason, detail = (
            constraint_loss(snapshot, loser, code)
            if code < feasible.FEASIBLE
            else market_loss(snapshot, loser, int(served[loser]), free, node_price)
        )
        reasons[loser], details[loser] = reason, detail
    return tuple(reasons), tuple(details)


def static_losses(snapshot: Snapshot, losers: Indices) -> Ints:
    """(len(losers),) the constraint that ruled out each bid's last asks, or ``FEASIBLE``."""
    counts = feasible.refusal_counts(snapshot, losers)
    reached = np.where(counts > 0, np.arange(feasible.FEASIBLE + 1), -1)
    last: Ints = reached.max(axis=1, initial=-1)
    return last


def constraint_loss(snapshot: Snapshot, bid: int, code: int) -> tuple[Loss, str]:
    """The loss of a bid that no ask may serve; ``code`` −1 where there is no ask at all."""
    if code < 0:
        return Loss.NO_ASK, "no node offers anything in this cell"
    loss = feasible.CONSTRAINTS[code]
    left = feasible.row_refusals(snapshot, bid) == code
    return loss, _constraint_sentence(snapshot, bid, loss, np.flatnonzero(left).astype(np.int32))


def market_loss(
    snapshot: Snapshot, bid: int, served: int, free: Ints, node_price: Floats
) -> tuple[Loss, str]:
    """The loss of a bid that some asks could serve if they were free."""
    bids = snapshot.bids
    codes = feasible.row_refusals(snapshot, bid)
    fitting = np.flatnonzero(codes == feasible.FEASIBLE).astype(np.int32)
    room = int(
        np.minimum(feasible.slots_that_fit(free[fitting], bids.demand[bid]), bids.count[bid]).sum()
    )
    if served == 0 and 0 < room < bids.count_min[bid]:
        needs = int(bids.count_min[bid])
        return Loss.COUNT, f"count: needs {needs} slots at once, {room} are free on fitting nodes"
    shortage = _shortage(snapshot, bid, fitting, free)
    best = score.sizes(snapshot)[bid] * score.weights(snapshot)[0]
    row = np.full(len(fitting), bid, dtype=np.int32)
    parts = score.terms(snapshot, row, fitting)
    reachable = score.values(snapshot, row, fitting) + best * (1.0 - parts.cost)
    price = node_price[fitting] @ bids.demand[bid].astype(np.float64)
    if (reachable > price).any() and (price > 0).any():
        return Loss.OUTBID, f"{shortage}; bids of higher value took it"
    return Loss.NO_CAPACITY, shortage


def _shortage(snapshot: Snapshot, bid: int, fitting: Indices, free: Ints) -> str:
    demand = snapshot.bids.demand[bid]
    if not len(fitting):
        return "no fitting node is left"
    ratio = np.divide(
        free[fitting], demand, out=np.full(free[fitting].shape, np.inf), where=demand > 0
    )
    freest = int(fitting[ratio.min(axis=1).argmax()])
    worst = int(np.where(demand > 0, free[freest] - demand, np.iinfo(np.int64).max).argmin())
    name = snapshot.resources[worst]
    label = LABELS.get(name, (name, "", 1))[0]
    return (
        f"{label}: needs {quantity(name, int(demand[worst]))}, "
        f"the freest fitting node has {quantity(name, int(free[freest, worst]))}"
    )


def quantity(resource: str, amount: int) -> str:
    """``("memory_bytes", 805_306_368)`` → ``"768 MiB"``."""
    _, unit, size = LABELS.get(resource, (resource, resource, 1))
    return f"{amount / size:.6g} {unit}"


def _constraint_sentence(snapshot: Snapshot, bid: int, loss: Loss, asks: Indices) -> str:
    bids, offered = snapshot.bids, snapshot.asks
    row = np.full(len(asks), bid, dtype=np.int32)
    match loss:
        case Loss.CONSTRAINT:
            return f"constraint: no node has {_wanted(snapshot, bid)}"
        case Loss.NOT_ADMITTED:
            return f"admission: the owners of all {len(asks)} fitting nodes do not serve you"
        case Loss.TOO_LARGE:
            lacking = (bids.demand[bid] > offered.total[asks]).mean(axis=0).argmax()
            name = snapshot.resources[int(lacking)]
            label = LABELS.get(name, (name, "", 1))[0]
            return (
                f"{label}: needs {quantity(name, int(bids.demand[bid, lacking]))}, the largest "
                f"fitting node offers {quantity(name, int(offered.total[asks, lacking].max()))}"
            )
        case Loss.LATENCY:
            nearest = score.latencies(snapshot, row, asks).min()
            return (
                f"latency: needs {bids.latency_ms_max[bid]:.6g} ms, "
                f"the nearest fitting node is at {nearest:.6g} ms"
            )
        case Loss.RELIABILITY:
            return (
                f"reliability: needs {bids.reliability_min[bid]:.6g}, "
                f"the best fitting node has {offered.reliability[asks].max():.4f}"
            )
        case Loss.SPEED:
            return (
                f"speed: needs {bids.speed_min[bid]:.6g}, "
                f"the fastest fitting node has {offered.speed[asks].max():.6g}"
            )
        case Loss.DEADLINE:
            soonest = bids.work_ms[bid] / max(float(offered.speed[asks].max()), 1e-9)
            return (
                f"deadline: {int(bids.deadline_ms[bid])} ms are left, "
                f"the fastest fitting node needs {soonest:.0f} ms"
            )
        case _:
            cheapest = int(feasible.reserve_rates(snapshot, row, asks).min())
            return (
                f"limit: offers {format_credits(int(bids.limit[bid]))} credits an hour, "
                f"the cheapest fitting node asks {format_credits(cheapest)}"
            )


def _wanted(snapshot: Snapshot, bid: int) -> str:
    def names(words: np.ndarray) -> list[str]:
        bits = np.unpackbits(words.view(np.uint8), bitorder="little")
        return [snapshot.feature_names[k] for k in np.flatnonzero(bits)]

    required = names(np.ascontiguousarray(snapshot.bids.required[bid]))
    forbidden = names(np.ascontiguousarray(snapshot.bids.forbidden[bid]))
    wanted = "all of " + ", ".join(required) if required else "what it asks for"
    return f"{wanted} without {', '.join(forbidden)}" if forbidden else wanted
