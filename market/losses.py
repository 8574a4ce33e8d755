"""Why each bid that was not served in full lost: one reason and one sentence with the figures."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from market import feasible, score, sentences
from market.plan import Loss
from market.snapshot import Bools, Floats, Indices, Ints, Snapshot

if TYPE_CHECKING:
    from market.last_asks import LastAsks

_REASONS = np.array([*Loss, None], dtype=object)
_SERVED = len(Loss)
_INDEX = {loss: k for k, loss in enumerate(Loss)}
_OF_CODE = np.array([_INDEX[loss] for loss in feasible.CONSTRAINTS])


def explain_losses(
    snapshot: Snapshot, *, served: Ints, free: Ints, node_price: Floats
) -> tuple[tuple[Loss | None, ...], tuple[str, ...]]:
    """Reason and sentence of every bid, (None, "") where ``served`` (n,) is its whole count.

    ``free`` (m, R) is what the plan leaves; ``node_price`` (m, R) its shadow prices, in score.
    """
    bids = snapshot.bids
    reason = np.full(len(bids), _SERVED)
    details = np.full(len(bids), "", dtype=object)
    losers = np.flatnonzero(served < bids.count).astype(np.int32)
    if len(losers):
        reason[losers], details[losers] = _losers(
            snapshot, losers, served=served, free=free, node_price=node_price
        )
    return tuple(_REASONS[reason].tolist()), tuple(details.tolist())


def _losers(
    snapshot: Snapshot, losers: Indices, *, served: Ints, free: Ints, node_price: Floats
) -> tuple[Ints, npt.NDArray[np.object_]]:
    """(index of the reason in ``Loss``, sentence) of each of ``losers`` (k,)."""
    from market.last_asks import last_asks  # loads the compiler: not for every reader

    least = snapshot.bids.count_min[losers]
    whole = (served[losers] == 0) & (least > 1)
    last = last_asks(
        snapshot, losers, free=free, node_price=node_price, enough=np.where(whole, least, 0)
    )
    passed = last.code == feasible.FEASIBLE
    few = passed & whole & (last.room > 0) & (last.room < least)
    outbid = _outbid(snapshot, losers, last, node_price)
    reason = np.where(outbid, _INDEX[Loss.OUTBID], _INDEX[Loss.NO_CAPACITY])
    reason[few] = _INDEX[Loss.COUNT]
    refused = ~passed & (last.code >= 0)
    reason[refused] = _OF_CODE[last.code[refused]]
    reason[last.code < 0] = _INDEX[Loss.NO_ASK]
    details = np.full(len(losers), "", dtype=object)
    for k in np.unique(reason).tolist():
        mine = np.flatnonzero(reason == k)
        details[mine] = sentences.of_loss(
            snapshot, _REASONS[k], losers[mine], last.ask[mine], room=last.room[mine], free=free
        )
    return reason, details


def _outbid(snapshot: Snapshot, bids: Indices, last: "LastAsks", node_price: Floats) -> Bools:
    """(k,) whether a dearer limit would have been worth the place on the cheapest ask."""
    able = np.flatnonzero((last.code == feasible.FEASIBLE) & (last.cheapest >= 0))
    bid, ask = bids[able], last.cheapest[able]
    rest = 1.0 - score.terms(snapshot, bid, ask).cost
    size = score.sizes(snapshot)[bid]
    most = size * (score.densities(snapshot, bid, ask) + score.weights(snapshot)[0] * rest)
    price = (node_price[ask] * snapshot.bids.demand[bid]).sum(axis=1)
    outbid = np.zeros(len(bids), np.bool_)
    outbid[able] = (price > 0) & (most > price)
    return outbid


def constraint_loss(snapshot: Snapshot, bid: int, code: int, ask: int) -> tuple[Loss, str]:
    """The loss of a bid whose last asks broke constraint ``code``; ``ask`` came closest."""
    if code < 0:
        return Loss.NO_ASK, sentences.NO_ASK
    loss, pair = feasible.CONSTRAINTS[code], (np.array([bid], np.int32), np.array([ask], np.int32))
    return loss, sentences.of_constraint(snapshot, loss, *pair)[0]


def closest(snapshot: Snapshot, bid: int) -> tuple[int, int]:
    """(code, ask) of one bid as ``last_asks`` finds them, without the compiled kernels."""
    codes = feasible.row_refusals(snapshot, bid)
    code = int(codes.max(initial=-1))
    return code, closest_of(snapshot, bid, code, codes)


def closest_of(snapshot: Snapshot, bid: int, code: int, codes: feasible.Codes) -> int:
    """Of the asks whose refusal of ``bid`` in ``codes`` (m,) is ``code``, the closest; −1: none."""
    asks = np.flatnonzero(codes == code).astype(np.int32)
    if not len(asks) or code == feasible.FEASIBLE:
        return int(asks[0]) if len(asks) else -1
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
    return int(asks[figure.argmax()])
