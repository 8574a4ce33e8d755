"""The best place for one running task among the asks of a snapshot, if any is clearly better."""

from dataclasses import dataclass, replace

import numpy as np

from market import feasible
from market.mechanisms._sequential import rates_at_standing
from market.moving import Places, Running, weigh_all
from market.snapshot import Asks, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class BetterPlace:
    """An ask to which moving pays, and what it brings; prices in micros per slot and hour."""

    ask: int  # index
    rate: int
    there_ms: float  # that moving takes
    net_micros: float  # gain less cost


def best_place(
    snapshot: Snapshot,
    bid: int,
    running: Running,
    *,
    here: str,
    speed_here: float,
    bytes_missing: int,
    rate_max: int,
) -> BetterPlace | None:
    """Where ``running`` gains most by moving; None where no ask is clearly better.

    An ask may serve it that the bid's needs and its owner allow, that has room for a slot, is
    another node than ``here``, and sells at the standing price for at most ``rate_max``. Of equally
    good ones the first.
    """
    ask = feasible.candidates(snapshot, bid)
    row = np.full(len(ask), bid, dtype=np.int32)
    room = feasible.slots_that_fit(snapshot.asks.capacity[ask], snapshot.bids.demand[bid]) > 0
    rate = rates_at_standing(snapshot, row, ask)
    elsewhere = np.array([snapshot.asks.ids[j] != here for j in ask.tolist()], dtype=np.bool_)
    moves = weigh_all(
        running,
        Places(
            rate=rate,
            speed=snapshot.asks.speed[ask] / max(speed_here, 1e-9),
            bytes_missing=bytes_missing,
        ),
    )
    payable = rate <= min(rate_max, int(snapshot.bids.limit[bid]))
    net = np.where(
        moves.clear & room & payable & elsewhere, moves.gain_micros - moves.cost_micros, -np.inf
    )
    if not len(net) or net.max() == -np.inf:
        return None
    best = int(net.argmax())
    return BetterPlace(
        ask=int(ask[best]),
        rate=int(rate[best]),
        there_ms=float(moves.there_ms[best]),
        net_micros=float(net[best]),
    )


def only(snapshot: Snapshot, ask: int) -> Snapshot:
    """The same round with one ask alone."""
    asks, carried = snapshot.asks, snapshot.carried_price
    names = ("ids", "owners")
    return replace(
        snapshot,
        asks=Asks(
            ids=(asks.ids[ask],),
            owners=(asks.owners[ask],),
            **{n: getattr(asks, n)[ask : ask + 1] for n in Asks.__slots__ if n not in names},
        ),
        carried_price=None if carried is None else carried[ask : ask + 1],
    )
