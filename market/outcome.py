"""Fills a ``Plan`` from a mechanism's matches: score, payments, losses, prices, welfare, bound."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from market import feasible, losses, mechanisms, payments, pricing, score
from market.payments import Step
from market.plan import Plan
from market.snapshot import Floats, Indices, Ints, Snapshot

Steps = Callable[[], Mapping[int, Sequence[Step]]]  # of each winner, the lowest limit first


class PaymentUnavailable(ValueError):
    """The policy names a payment rule that its mechanism cannot compute."""

    code = "payment_unavailable"

    def __init__(self, *, payment: str, mechanism: str) -> None:
        offered = mechanisms.payments(mechanism) if mechanism in mechanisms.names() else ()
        super().__init__(
            f"payment rule {payment!r} is not offered by mechanism {mechanism!r}: "
            f"it offers {', '.join(offered) or 'none'}; choose one of these or another mechanism"
        )
        self.payment = payment
        self.mechanism = mechanism


def complete(
    snapshot: Snapshot,
    *,
    mechanism: str,
    bid: Indices,
    ask: Indices,
    count: Ints,
    bound: float,
    node_price: Floats | None = None,
    rate: Ints | None = None,
    steps: Steps | None = None,
    timings_ms: dict[str, float] | None = None,
) -> Plan:
    """The plan of matches ``(bid, ask, count)``, each (k,), sorted by bid, then ask.

    ``rate`` (k,) is given by mechanisms that price for themselves; otherwise the policy's payment
    rule sets it, ``critical`` by what ``steps`` gives of each winner. ``node_price`` (m, R) are
    shadow prices in score, None of a mechanism that has none. Raises ``PaymentUnavailable``.
    """
    order = np.lexsort((ask, bid))
    bid, ask, count = bid[order], ask[order], count[order]
    reserve_rate = feasible.reserve_rates(snapshot, bid, ask)
    if rate is None:
        rate = payment_rates(
            snapshot,
            mechanism=mechanism,
            bid=bid,
            ask=ask,
            count=count,
            reserve_rate=reserve_rate,
            steps=steps,
        )
    else:
        rate = payments.bounded(snapshot, bid, reserve_rate, rate[order])
    used = pricing.taken(snapshot, bid, ask, count)
    value = score.values(snapshot, bid, ask)
    served = np.bincount(bid, weights=count, minlength=len(snapshot.bids)).astype(np.int64)
    rent = None
    if node_price is None:
        node_price = np.zeros(snapshot.asks.capacity.shape)
    else:
        worth = pricing.worth_of_score(snapshot, bid, ask, count, reserve_rate)
        rent = pricing.rents(snapshot, node_price, worth=worth)
    reasons, details = losses.explain_losses(
        snapshot, served=served, free=snapshot.asks.capacity - used, node_price=node_price
    )
    welfare = float(value @ count)
    return Plan(
        mechanism=mechanism,
        bid=bid,
        ask=ask,
        count=count,
        rate=rate,
        reserve_rate=reserve_rate,
        score=value,
        loss=reasons,
        loss_detail=details,
        welfare=welfare,
        bound=max(bound, welfare) if _anything_fits(snapshot) else welfare,
        node_price=node_price,
        standing_price=pricing.next_prices(snapshot, used, rent=rent),
        timings_ms=timings_ms or {},
    )


def _anything_fits(snapshot: Snapshot) -> bool:
    """Whether any bid is small enough for what is free: in a full cell the bound is 0."""
    most = snapshot.asks.capacity.max(axis=0, initial=0)
    return bool((snapshot.bids.demand <= most).all(axis=1).any())


def payment_rates(
    snapshot: Snapshot,
    *,
    mechanism: str,
    bid: Indices,
    ask: Indices,
    count: Ints,
    reserve_rate: Ints,
    steps: Steps | None,
) -> Ints:
    """(k,) micros per slot and hour under the policy's payment rule."""
    match snapshot.policy.payment:
        case "pay_as_bid":
            return payments.pay_as_bid(snapshot, bid)
        case "uniform":
            return payments.uniform(snapshot, bid, ask, reserve_rate)
        case "critical" if steps is not None:
            return payments.critical(snapshot, bid, count, reserve_rate, steps())
        case unavailable:
            raise PaymentUnavailable(payment=unavailable, mechanism=mechanism)
