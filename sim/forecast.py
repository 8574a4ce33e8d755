"""How good predictions are: a market over many rounds, each newcomer asked before it bids.

Nodes stay; leases end at random; who loses bids again for a while; demand swings between too
little and too much. Each prediction is held against what the next round then did.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from market import score
from market.hierarchy import take_bids
from market.mechanism import Mechanism
from market.plan import Plan
from market.predict import Prediction, predict
from market.recent import Past
from market.snapshot import Bids, Floats, Indices, Ints, Policy, Snapshot
from sim.generators import random_snapshot

PAST_ROUNDS = 12
LEASE_ENDS = 0.25  # chance of each lease in each round
STAYS = 0.5  # chance that who lost bids again
SWING_ROUNDS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """One prediction and what came of it."""

    number: int  # of the round: what came of its bids is not independent
    predicted: Prediction
    alone: float  # the chance that the present state alone gives
    won: bool
    rate: int  # micros per slot and hour that it paid, 0 where it lost


def foretold(
    mechanism: Mechanism, *, rounds: int, seed: int, policy: Policy, nodes: int = 8, bids: int = 30
) -> Iterator[Foretold]:
    """Predictions of every servable newcomer of ``rounds`` rounds, ``bids`` a round on average.

    ``PAST_ROUNDS`` rounds go before the first prediction.
    """
    rng = np.random.default_rng((seed, 99))
    ground = random_snapshot(bids=1, asks=nodes, seed=seed, cells=1, policy=policy)
    ground = replace(ground, asks=replace(ground.asks, capacity=ground.asks.total))
    leases: list[tuple[int, Ints]] = []
    past: deque[Past] = deque(maxlen=PAST_ROUNDS)
    book = take_bids(ground.bids, np.zeros(0, np.int32))
    for number in range(rounds):
        leases = [lease for lease in leases if rng.random() > LEASE_ENDS]
        now = replace(ground, asks=replace(ground.asks, capacity=_free(ground, leases)))
        load = 1.0 + 0.8 * np.sin(2 * np.pi * number / SWING_ROUNDS)
        come = _newcomers(max(1, rng.poisson(bids * load)), seed * 10_007 + number, number)
        asked = [
            _predictions(replace(now, bids=_both(book, take_bids(come, _row(i)))), list(past))
            for i in range(len(come) if number >= PAST_ROUNDS else 0)
        ]
        snapshot = replace(now, bids=_both(book, come), seed=number)
        plan = mechanism.clear(snapshot, budget_ms=3)
        yield from _held_against(plan, asked, before=len(book), number=number)
        past.appendleft(Past.of(snapshot, plan))
        took = snapshot.bids.demand[plan.bid] * plan.count[:, None]
        leases += list(zip(plan.ask.tolist(), took, strict=True))
        lost = np.bincount(plan.bid, plan.count, minlength=len(snapshot.bids)) == 0
        again = np.flatnonzero(lost & (rng.random(len(lost)) < STAYS))
        book = take_bids(snapshot.bids, again.astype(np.int32))
        ground = replace(ground, standing_price=plan.standing_price, received=_got(snapshot, plan))


def quality(told: Sequence[Foretold]) -> dict[str, float]:
    """Brier scores (0 perfect) of the chance, of the present state alone, of the mean rate; more.

    Brier, Verification of forecasts expressed in terms of probability, 1950. ``calibration`` is the
    mean distance of predicted and found in ten bins; ``price_inside`` the share of winners that
    paid within the predicted range.
    """
    won = np.array([each.won for each in told], dtype=float)
    chance = np.array([each.predicted.chance for each in told])
    alone = np.array([each.alone for each in told])
    bins = reliability(told)
    inside = [
        each.predicted.price_low <= each.rate <= each.predicted.price_high
        for each in told
        if each.won
    ]
    return {
        "predictions": len(told),
        "won": float(won.mean()),
        "brier": float(((chance - won) ** 2).mean()),
        "brier_present_alone": float(((alone - won) ** 2).mean()),
        "brier_constant": float(((won.mean() - won) ** 2).mean()),
        "calibration": sum(abs(p - q) * count for p, q, count in bins) / len(told),
        "price_inside": float(np.mean(inside)) if inside else 1.0,
    }


def reliability(told: Sequence[Foretold], *, bins: int = 10) -> list[tuple[float, float, int]]:
    """(mean predicted chance, share that won, predictions) of each bin that has any."""
    won = np.array([each.won for each in told], dtype=float)
    chance = np.array([each.predicted.chance for each in told])
    place = np.minimum((chance * bins).astype(int), bins - 1)
    return [
        (float(chance[place == k].mean()), float(won[place == k].mean()), int((place == k).sum()))
        for k in range(bins)
        if (place == k).any()
    ]


def _predictions(snapshot: Snapshot, past: list[Past]) -> tuple[Prediction, float]:
    mine = len(snapshot.bids) - 1
    told = predict(snapshot, mine, next_round_ms=0, past=past)
    return told, predict(snapshot, mine, next_round_ms=0).chance


def _held_against(
    plan: Plan, asked: list[tuple[Prediction, float]], *, before: int, number: int
) -> Iterator[Foretold]:
    for i, (told, alone) in enumerate(asked, start=before):
        mine = plan.bid == i
        if told.servable:
            rate = int(plan.rate[mine].max(initial=0))
            won = bool(mine.any())
            yield Foretold(number=number, predicted=told, alone=alone, won=won, rate=rate)


def _free(ground: Snapshot, leases: list[tuple[int, Ints]]) -> Ints:
    free = ground.asks.total.copy()
    for ask, took in leases:
        free[ask] -= took
    return free


def _newcomers(count: int, seed: int, number: int) -> Bids:
    drawn = random_snapshot(bids=count, asks=1, seed=seed, cells=1, load=1_000.0).bids
    return replace(drawn, ids=tuple(f"demand_{number}_{i}" for i in range(count)))


def _both(first: Bids, second: Bids) -> Bids:
    arrays = (name for name in Bids.__slots__ if name != "ids")
    joined = {
        name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in arrays
    }
    return Bids(ids=first.ids + second.ids, **joined)


def _row(i: int) -> Indices:
    return np.array([i], np.int32)


def _got(snapshot: Snapshot, plan: Plan) -> Floats:
    size = score.sizes(snapshot)[plan.bid] * plan.count
    got = np.bincount(snapshot.bids.tenant[plan.bid], size, minlength=len(snapshot.tenants))
    received: Floats = 0.95 * snapshot.received + 0.05 * got / max(float(got.sum()), 1e-300)
    received /= received.sum()
    return received
