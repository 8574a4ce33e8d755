"""Predicts before a bid is submitted: price range, chance to win, and when it would start."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log

import numpy as np

from market import feasible, losses, recent, score
from market.mechanisms import declared
from market.plan import Loss
from market.recent import Past
from market.snapshot import Indices, Ints, Snapshot

ROUNDS_MAX = 10  # further ahead nothing is foretold


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a bid may expect of the next round."""

    servable: bool
    loss: Loss | None  # the constraint to relax when not servable
    detail: str
    refused: int  # asks that ``loss`` rules out, the last ones left
    candidates: int  # asks that may serve it
    candidates_with_room: int
    price_low: int  # micros per slot and hour: never under the cheapest candidate's reserve
    price_likely: int  # at the standing price of the best candidate's cell
    price_high: int  # never over the limit
    chance: float  # in [0, 1], to be served in the next round
    start_ms: int | None  # expected from now; None if it must wait for capacity


def predict(
    snapshot: Snapshot, bid: int, *, next_round_ms: int, past: Sequence[Past] = ()
) -> Prediction:
    """The prediction for bid ``bid`` (an index) of a snapshot that holds the new bid as well.

    ``past`` are the last rounds of the same cell, the newest first: they make the chance a
    frequency (``market.recent``) and narrow the prices to what slots like this one came to.
    """
    codes = feasible.row_refusals(snapshot, bid)
    asks = np.flatnonzero(codes == feasible.FEASIBLE).astype(np.int32)
    if not len(asks):
        code, ask = losses.closest(snapshot, bid)
        loss, detail = losses.constraint_loss(snapshot, bid, code, ask)
        refused = int((codes == code).sum())
        return _unservable(loss, detail, refused=refused, limit=int(snapshot.bids.limit[bid]))
    low, likely, high = _prices(snapshot, bid, asks, past)
    room = feasible.slots_that_fit(snapshot.asks.capacity[asks], snapshot.bids.demand[bid])
    slots = int(np.minimum(room, snapshot.bids.count[bid]).sum())
    fits = slots >= min(int(snapshot.bids.count_min[bid]), int(snapshot.bids.count[bid]))
    now = chance(snapshot, bid, asks) if fits else 0.0
    return Prediction(
        servable=True,
        loss=None,
        detail="",
        refused=0,
        candidates=len(asks),
        candidates_with_room=int((room > 0).sum()),
        price_low=low,
        price_likely=likely,
        price_high=high,
        chance=recent.chance(snapshot, bid, asks, past, prior=now) if past else now,
        start_ms=next_round_ms if fits else None,
    )


def _prices(
    snapshot: Snapshot, bid: int, asks: Indices, past: Sequence[Past]
) -> tuple[int, int, int]:
    """(low, likely, high) micros per slot and hour, between the least reserve and the limit.

    Without rounds to go by, or under a payment rule that the standing price does not decide, the
    range is all that is possible.
    """
    row = np.full(len(asks), bid, dtype=np.int32)
    reserve = feasible.reserve_rates(snapshot, row, asks)
    least, limit = int(reserve.min()), int(snapshot.bids.limit[bid])
    place = int(score.values(snapshot, row, asks).argmax())
    cell = int(snapshot.asks.cell[asks[place]])
    unit = snapshot.standing_price[cell] / snapshot.priced_units
    likely = min(float(snapshot.bids.demand[bid] @ unit), 2.0**62)
    rule = declared(snapshot.policy.mechanism).prices or snapshot.policy.payment
    if rule == "pay_as_bid":
        return limit, limit, limit
    low, high = float(least), float(limit)
    if rule == "uniform" and past:
        rates = recent.rates(snapshot, bid, asks, past)
        low, high = np.quantile(rates, recent.PRICE_QUANTILES)
        likely = float(np.clip(likely, low, high))
    bounded: Ints = np.clip(np.ceil([low, likely, high]), least, limit).astype(np.int64)
    return int(bounded[0]), int(bounded[1]), int(bounded[2])


def rounds_until(chance: float, *, share: float) -> int:
    """After how many lost rounds a bid with this chance in each is served with probability share.

    0: in the next one. At most ``ROUNDS_MAX``.
    """
    if chance >= share:
        return 0
    if chance <= 0.0:
        return ROUNDS_MAX
    return min(ROUNDS_MAX, ceil(log(1.0 - share) / log(1.0 - chance)) - 1)


def chance(snapshot: Snapshot, bid: int, asks: Indices) -> float:
    """Share of the scarcest resource on ``asks`` that better-ranked bids leave, in [0, 1].

    Competitors are ranked by their density on the bid's first candidate alone: one column instead
    of all pairs, for this is asked while a person waits.
    """
    bids = snapshot.bids
    free = snapshot.asks.capacity[asks].sum(axis=0).astype(np.float64)
    needed = bids.demand[bid].astype(np.float64)
    wanted = needed > 0
    row = np.full(len(asks), bid, dtype=np.int32)
    mine = float(score.densities(snapshot, row, asks).max())
    others = np.flatnonzero(np.arange(len(bids)) != bid).astype(np.int32)
    rivals = others[_ranks(snapshot, others, int(asks[0])) > mine]
    ahead = (bids.demand[rivals] * bids.count[rivals, None]).sum(axis=0)
    left = free - ahead
    share = np.divide(left, free, out=np.zeros_like(free), where=free > 0)
    if (left[wanted] >= needed[wanted]).all():
        return 1.0
    return float(np.clip(share[wanted].min(initial=1.0), 0.0, 1.0))


def _ranks(snapshot: Snapshot, bids: Indices, ask: int) -> np.ndarray:
    column = np.full(len(bids), ask, dtype=np.int32)
    rank = score.densities(snapshot, bids, column)
    rank[feasible.refusals(snapshot, bids, column) != feasible.FEASIBLE] = -np.inf
    return rank


def _unservable(loss: Loss, detail: str, *, refused: int, limit: int) -> Prediction:
    return Prediction(
        servable=False,
        loss=loss,
        detail=detail,
        refused=refused,
        candidates=0,
        candidates_with_room=0,
        price_low=0,
        price_likely=0,
        price_high=limit,
        chance=0.0,
        start_ms=None,
    )
