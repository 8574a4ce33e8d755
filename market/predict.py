"""Predicts before a bid is submitted: price range, chance to win, and when it would start."""

from dataclasses import dataclass

import numpy as np

from market import feasible, losses, score
from market.plan import Loss
from market.snapshot import Indices, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a bid may expect of the next round."""

    servable: bool
    loss: Loss | None  # the constraint to relax when not servable
    detail: str
    candidates: int  # asks that may serve it
    candidates_with_room: int
    price_low: int  # micros per slot and hour: the cheapest candidate's reserve
    price_likely: int  # at the standing price of the best candidate's cell
    price_high: int  # the limit: never more
    chance: float  # in [0, 1], estimated
    start_ms: int | None  # expected from now; None if it must wait for capacity


def predict(snapshot: Snapshot, bid: int, *, next_round_ms: int) -> Prediction:
    """The prediction for bid ``bid`` (an index) of a snapshot that holds the new bid as well.

    The chance is the share of the competing demand on the candidates that the bid outranks or
    that there is room for anyway; 0 when no candidate could ever serve it.
    """
    codes = feasible.row_refusals(snapshot, bid)
    asks = np.flatnonzero(codes == feasible.FEASIBLE).astype(np.int32)
    if not len(asks):
        loss, detail = losses.constraint_loss(snapshot, bid, *losses.closest(snapshot, bid))
        return _unservable(loss, detail, limit=int(snapshot.bids.limit[bid]))
    row = np.full(len(asks), bid, dtype=np.int32)
    reserve = feasible.reserve_rates(snapshot, row, asks)
    best = int(asks[score.values(snapshot, row, asks).argmax()])
    unit = snapshot.standing_price[snapshot.asks.cell[best]] / snapshot.priced_units
    likely = int(np.ceil(min(float(snapshot.bids.demand[bid] @ unit), 2.0**62)))
    limit = int(snapshot.bids.limit[bid])
    room = feasible.slots_that_fit(snapshot.asks.capacity[asks], snapshot.bids.demand[bid])
    slots = int(np.minimum(room, snapshot.bids.count[bid]).sum())
    fits = slots >= min(int(snapshot.bids.count_min[bid]), int(snapshot.bids.count[bid]))
    return Prediction(
        servable=True,
        loss=None,
        detail="",
        candidates=len(asks),
        candidates_with_room=int((room > 0).sum()),
        price_low=int(reserve.min()),
        price_likely=int(np.clip(likely, int(reserve.min()), limit)),
        price_high=limit,
        chance=chance(snapshot, bid, asks) if fits else 0.0,
        start_ms=next_round_ms if fits else None,
    )


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


def _unservable(loss: Loss, detail: str, *, limit: int) -> Prediction:
    return Prediction(
        servable=False,
        loss=loss,
        detail=detail,
        candidates=0,
        candidates_with_room=0,
        price_low=0,
        price_likely=0,
        price_high=limit,
        chance=0.0,
        start_ms=None,
    )
