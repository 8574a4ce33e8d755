"""Why each bid that was not served in full lost: one reason and one sentence with the figures."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from market import feasible, score
from market.money import format_credits
from market.plan import Loss
from market.snapshot import Bools, Floats, Indices, Ints, Snapshot

LABELS = {
    "cpu_millis": ("cpu", "cores", 1_000),
    "memory_bytes": ("memory", "MiB", 1 << 20),
    "accelerator_millis": ("accelerator", "accelerators", 1_000),
    "bandwidth_kbps": ("bandwidth", "Mbit/s", 1_000),
}
THREADS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAsks:
    """For k bids: the constraint that ruled their last asks out, and the asks to speak of."""

    code: Ints  # (k,) index into ``feasible.CONSTRAINTS``, ``FEASIBLE``, or −1 without any ask
    ask: Indices  # (k,) the ask that came closest; of feasible ones the freest
    room: Ints  # (k,) slots that still fit on the feasible asks, each ask at most the count
    cheapest: Indices  # (k,) of the feasible ones, that of least shadow price


def explain_losses(
    snapshot: Snapshot, *, served: Ints, free: Ints, node_price: Floats
) -> tuple[tuple[Loss | None, ...], tuple[str, ...]]:
    """Reason and sentence of every bid, (None, "") where ``served`` (n,) is its whole count.

    ``free`` (m, R) is what the plan leaves; ``node_price`` (m, R) its shadow prices, in score.
    """
    reasons: list[Loss | None] = [None] * len(snapshot.bids)
    details = [""] * len(snapshot.bids)
    losers = np.flatnonzero(served < snapshot.bids.count).astype(np.int32)
    last = last_asks(snapshot, losers, free=free, node_price=node_price)
    outbid = _outbid(snapshot, losers, last, node_price)
    for k, bid in enumerate(losers.tolist()):
        code, ask = int(last.code[k]), int(last.ask[k])
        if code < feasible.FEASIBLE:
            reasons[bid], details[bid] = constraint_loss(snapshot, bid, code, ask)
        elif served[bid] == 0 and 0 < last.room[k] < snapshot.bids.count_min[bid]:
            needs = int(snapshot.bids.count_min[bid])
            reasons[bid] = Loss.COUNT
            details[bid] = (
                f"count: needs {needs} slots at once, {last.room[k]} are free on fitting nodes"
            )
        else:
            taken = "; bids of higher value took it" if outbid[k] else ""
            reasons[bid] = Loss.OUTBID if outbid[k] else Loss.NO_CAPACITY
            details[bid] = _shortage(snapshot, bid, ask, free) + taken
    return tuple(reasons), tuple(details)


def last_asks(snapshot: Snapshot, bids: Indices, *, free: Ints, node_price: Floats) -> LastAsks:
    """What ruled out the last asks of each of ``bids`` (k,): one compiled pass over their pairs."""
    from market.kernels.refusals import last_constraints  # loads the compiler: not for every reader

    buys, sells = snapshot.bids, snapshot.asks
    ask_kind, bid_kind, lacks, shut_out = feasible.kinds(snapshot)
    k = len(bids)
    found = LastAsks(
        code=np.full(k, -1, np.int64),
        ask=np.full(k, -1, np.int32),
        room=np.zeros(k, np.int64),
        cheapest=np.full(k, -1, np.int32),
    )

    def work(low: int, high: int) -> None:
        last_constraints(
            low, high, bids, bid_kind, lacks, shut_out, buys.demand, buys.limit, buys.zone,
            np.minimum(buys.latency_ms_max, 1e300), buys.reliability_min, buys.speed_min,
            buys.work_ms, buys.deadline_ms, buys.count, ask_kind, sells.total, free, sells.reserve,
            snapshot.priced_units, sells.zone, sells.reliability, sells.speed,
            snapshot.zone_latency_ms, node_price, found.code, found.ask, found.room,
            found.cheapest,
        )  # fmt: skip

    if k * len(sells) < feasible.PAIRS_PER_CHUNK_MAX:
        work(0, k)
    else:
        edges = np.linspace(0, k, THREADS + 1).astype(int).tolist()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(work, edges[:-1], edges[1:]))
    return found


def _outbid(snapshot: Snapshot, bids: Indices, last: LastAsks, node_price: Floats) -> Bools:
    """(k,) whether a dearer limit would have been worth the place on the cheapest ask."""
    able = np.flatnonzero(last.code == feasible.FEASIBLE)
    bid, ask = bids[able], last.cheapest[able]
    rest = 1.0 - score.terms(snapshot, bid, ask).cost
    most = score.values(snapshot, bid, ask)
    most = most + score.sizes(snapshot)[bid] * score.weights(snapshot)[0] * rest
    price = (node_price[ask] * snapshot.bids.demand[bid]).sum(axis=1)
    outbid = np.zeros(len(bids), np.bool_)
    outbid[able] = (price > 0) & (most > price)
    return outbid


def constraint_loss(snapshot: Snapshot, bid: int, code: int, ask: int) -> tuple[Loss, str]:
    """The loss of a bid whose last asks broke constraint ``code``; ``ask`` came closest."""
    if code < 0:
        return Loss.NO_ASK, "no node offers anything in this cell"
    loss = feasible.CONSTRAINTS[code]
    return loss, _constraint_sentence(snapshot, bid, loss, ask)


def closest(snapshot: Snapshot, bid: int) -> tuple[int, int]:
    """(code, ask) of one bid as ``last_asks`` finds them, without the compiled kernels."""
    codes = feasible.row_refusals(snapshot, bid)
    code = int(codes.max(initial=-1))
    asks = np.flatnonzero(codes == code).astype(np.int32)
    if not len(asks) or code == feasible.FEASIBLE:
        return code, int(asks[0]) if len(asks) else -1
    row = np.full(len(asks), bid, dtype=np.int32)
    sells = snapshot.asks
    match feasible.CONSTRAINTS[code]:
        case Loss.TOO_LARGE:
            demand = np.maximum(snapshot.bids.demand[bid], 1)
            figure = (sells.total[asks] / demand)[:, snapshot.bids.demand[bid] > 0].min(axis=1)
        case Loss.LATENCY:
            figure = -score.latencies(snapshot, row, asks)
        case Loss.RELIABILITY:
            figure = sells.reliability[asks]
        case Loss.SPEED | Loss.DEADLINE:
            figure = sells.speed[asks]
        case Loss.LIMIT_BELOW_RESERVE:
            figure = -feasible.reserve_rates(snapshot, row, asks).astype(np.float64)
        case _:
            figure = np.zeros(len(asks))
    return code, int(asks[figure.argmax()])


def _shortage(snapshot: Snapshot, bid: int, ask: int, free: Ints) -> str:
    demand = snapshot.bids.demand[bid]
    spare = np.where(demand > 0, free[ask] / np.maximum(demand, 1), np.inf)
    worst = int(spare.argmin())
    name = snapshot.resources[worst]
    label = LABELS.get(name, (name, "", 1))[0]
    return (
        f"{label}: needs {quantity(name, int(demand[worst]))}, "
        f"the freest fitting node has {quantity(name, int(free[ask, worst]))}"
    )


def quantity(resource: str, amount: int) -> str:
    """``("memory_bytes", 805_306_368)`` → ``"768 MiB"``."""
    _, unit, size = LABELS.get(resource, (resource, resource, 1))
    return f"{amount / size:.6g} {unit}"


def _constraint_sentence(snapshot: Snapshot, bid: int, loss: Loss, ask: int) -> str:
    bids, asks = snapshot.bids, snapshot.asks
    pair = np.array([bid], np.int32), np.array([ask], np.int32)
    match loss:
        case Loss.CONSTRAINT:
            return f"constraint: no node has {_wanted(snapshot, bid)}"
        case Loss.NOT_ADMITTED:
            return "admission: the owners of all fitting nodes do not serve you"
        case Loss.TOO_LARGE:
            spare = asks.total[ask] / np.maximum(bids.demand[bid], 1)
            lacking = int(np.where(bids.demand[bid] > 0, spare, np.inf).argmin())
            name = snapshot.resources[lacking]
            label = LABELS.get(name, (name, "", 1))[0]
            return (
                f"{label}: needs {quantity(name, int(bids.demand[bid, lacking]))}, the largest "
                f"fitting node offers {quantity(name, int(asks.total[ask, lacking]))}"
            )
        case Loss.LATENCY:
            return (
                f"latency: needs {bids.latency_ms_max[bid]:.6g} ms, the nearest fitting node "
                f"is at {score.latencies(snapshot, *pair)[0]:.6g} ms"
            )
        case Loss.RELIABILITY:
            return (
                f"reliability: needs {bids.reliability_min[bid]:.6g}, "
                f"the best fitting node has {asks.reliability[ask]:.4f}"
            )
        case Loss.SPEED:
            return (
                f"speed: needs {bids.speed_min[bid]:.6g}, "
                f"the fastest fitting node has {asks.speed[ask]:.6g}"
            )
        case Loss.DEADLINE:
            soonest = bids.work_ms[bid] / max(float(asks.speed[ask]), 1e-9)
            return (
                f"deadline: {int(bids.deadline_ms[bid])} ms are left, "
                f"the fastest fitting node needs {soonest:.0f} ms"
            )
        case _:
            cheapest = int(feasible.reserve_rates(snapshot, *pair)[0])
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
