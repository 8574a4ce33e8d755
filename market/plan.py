"""What a round decides: matches, a reason for every loser, prices, welfare and its bound."""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from market.snapshot import Floats, Indices, Ints


class Loss(StrEnum):
    """Why a bid (or a part of its count) was not served."""

    NO_ASK = "no_ask"  # the cell has no node at all
    CONSTRAINT = "constraint"  # no node has the features asked for
    NOT_ADMITTED = "not_admitted"  # every fitting owner refuses this tenant
    TOO_LARGE = "too_large"  # no node could hold one slot even when empty
    LATENCY = "latency"
    RELIABILITY = "reliability"
    SPEED = "speed"
    DEADLINE = "deadline"
    LIMIT_BELOW_RESERVE = "limit_below_reserve"  # every fitting node costs more than the limit
    NO_CAPACITY = "no_capacity"  # fits, but is taken now by bids of higher value
    OUTBID = "outbid"  # a dearer limit would have won
    COUNT = "count"  # all-or-nothing, and only a part could be served


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One round's outcome: k matches; a bid may have several, each with a part of its count."""

    mechanism: str
    bid: Indices  # (k,) index into the snapshot's bids
    ask: Indices  # (k,) index into the snapshot's asks
    count: Ints  # (k,) slots
    rate: Ints  # (k,) payment: micros per slot and hour, reserve ≤ rate ≤ limit
    reserve_rate: Ints  # (k,) what the owner asks for such a slot: micros per slot and hour
    score: Floats  # (k,) value of one slot
    loss: tuple[Loss | None, ...]  # (n,) None where the whole count was served
    loss_detail: tuple[str, ...]  # (n,) a sentence with the figures, "" where served
    welfare: float
    bound: float  # no plan for this snapshot can have more welfare than this
    node_price: Floats  # (m, R) shadow prices, to carry into the next round
    standing_price: Floats  # (C, R) micros per priced unit and hour, after this round
    timings_ms: dict[str, float] = field(default_factory=dict)
    effort: dict[str, float] = field(default_factory=dict)  # of a search that the clock bounds

    @property
    def gap(self) -> float:
        """Share of the bound that the plan may have missed, in [0, 1]."""
        return 0.0 if self.bound <= 0 else max(0.0, 1.0 - self.welfare / self.bound)

    def digest(self) -> str:
        """SHA-256 over mechanism, matches and prices: equal for plans that are equal to the byte.

        Ids do not enter, so it says the same of a plan and of its repetition elsewhere.
        """
        found = hashlib.sha256(self.mechanism.encode())
        for part in (self.bid, self.ask, self.count, self.rate, self.standing_price):
            found.update(repr(part.shape).encode())
            found.update(np.ascontiguousarray(part, part.dtype.newbyteorder("<")).tobytes())
        return found.hexdigest()
