"""The smoothed Lagrangian dual on candidate lists: steps of the prices, and the demand at them.

Relaxing the capacity rows with prices λ ≥ 0 gives the bound Σ_j λ_j·C_j + Σ_i max(0, max_j v_ij −
λ_j·d_i) for any λ. Its maximum is replaced by a soft maximum of temperature t_i (Nesterov, Smooth
minimization of non-smooth functions, Math. Program. 2005), so that demand spreads over nodes that
are nearly as good, and the prices are moved by Adam (Kingma and Ba, Adam: a method for stochastic
optimization, ICLR 2015), in each resource's own unit: nodes differ in size by orders of magnitude.

The weight of a node that is x temperatures below the best is (1 − x/64)^64 in place of exp(−x):
about the same, monotone, and six products in a vector unit.
"""

import numpy as np

from market.kernels.compiled import kernel
from market.kernels.problem import Singles
from market.snapshot import Floats, Indices, Ints

ROOT = np.float32(1.0 / 64.0)  # of a weight: squared six times
FARTHEST = np.float32(-44.0)  # temperatures: further away weighs no less, and nothing underflows
COLDEST = 1e-30  # temperature, so that it divides
NEGLIGIBLE = np.float32(1e-4)  # of the best one's weight: not counted
EXCESS_MAX = 3.0
MEAN_KEPT, SQUARE_KEPT = 0.8, 0.95  # what Adam keeps of its moments in a step
SETTLED = 0.1  # deviation of the excess below which steps become shorter
AVERAGED = 0.25  # of the steps on one set of lists


@kernel
def soft_demand(
    bids: tuple[int, int, int],
    ask: Indices,
    value: Singles,
    demand: Floats,
    count: Ints,
    temperature: Floats,
    heat: float,
    price: Singles,
    used: Floats,
) -> None:
    """Adds the demand (m, R) of ``range(*bids)`` at ``price`` (R, m) to ``used``.

    A bid's temperature is ``heat`` times its ``temperature`` (n,).
    """
    lists, resources = ask.shape[1], demand.shape[1]
    weight = np.empty(lists + 1, np.float32)
    for i in range(bids[0], bids[1], bids[2]):
        for k in range(lists):
            weight[k] = value[i, k]
        for r in range(resources):
            d = np.float32(demand[i, r])
            for k in range(lists):  # what is empty has no value, at whatever price
                weight[k] -= price[r, max(ask[i, k], 0)] * d
        weight[lists] = np.float32(0.0)  # to go without
        best, total = np.float32(0.0), np.float32(0.0)
        for k in range(lists):
            best = max(best, weight[k])
        spread = np.float32(max(heat * temperature[i], COLDEST))
        cold, floor = ROOT / spread, FARTHEST * spread
        for k in range(lists + 1):
            x = np.float32(1.0) + max(weight[k] - best, floor) * cold
            x *= x
            x *= x
            x *= x
            x *= x
            x *= x
            x *= x
            weight[k] = x
            total += x
        part = np.float32(count[i]) / total
        for k in range(lists):
            if weight[k] > NEGLIGIBLE:
                j = ask[i, k]
                for r in range(resources):
                    used[j, r] += part * weight[k] * demand[i, r]


@kernel
def take_step(
    step: int,
    rate: float,
    used: Floats,
    capacity: Floats,
    unit: Floats,
    mean: Floats,
    square: Floats,
    price: Floats,
    single: Singles,
) -> None:
    """One step of ``price`` (m, R) by Adam, where ``used`` of ``capacity`` is asked for.

    ``unit`` (R,) of a price; ``mean`` and ``square`` (m, R) are Adam's; ``single`` (R, m) becomes
    the price.
    """
    even, even_square = 1.0 - MEAN_KEPT ** (step + 1), 1.0 - SQUARE_KEPT ** (step + 1)
    for j in range(price.shape[0]):
        for r in range(price.shape[1]):
            excess = 0.0
            if capacity[j, r] > 0:
                excess = min(used[j, r] / max(capacity[j, r], 1e-12) - 1.0, EXCESS_MAX)
            mean[j, r] = MEAN_KEPT * mean[j, r] + (1.0 - MEAN_KEPT) * excess
            square[j, r] = SQUARE_KEPT * square[j, r] + (1.0 - SQUARE_KEPT) * excess * excess
            deviation = np.sqrt(square[j, r] / even_square)
            change = rate * unit[r] * (mean[j, r] / even) / (deviation + SETTLED)
            price[j, r] = max(price[j, r] + change, 0.0)
            single[r, j] = price[j, r]


@kernel
def cooled(ends: tuple[float, float], step: int, steps: int) -> float:
    """Of ``steps`` from the first to the second of ``ends``, by equal factors."""
    return ends[0] * (ends[1] / ends[0]) ** (step / max(1, steps - 1))


@kernel
def take_steps(
    bids: tuple[int, int, int],
    ask: Indices,
    value: Singles,
    demand: Floats,
    count: Ints,
    temperature: Floats,
    heats: tuple[float, float],
    rates: tuple[float, float],
    steps: int,
    capacity: Floats,
    unit: Floats,
    price: Floats,
) -> None:
    """All ``steps`` by the demand of ``range(*bids)`` alone, on their part of the ``capacity``.

    ``price`` (m, R) becomes the mean of the last ones.
    """
    mean, square, used = np.zeros_like(price), np.zeros_like(price), np.empty_like(price)
    total, summed = np.zeros_like(price), 0
    single = np.ascontiguousarray(price.T).astype(np.float32)
    for step in range(steps):
        used[:] = 0.0
        heat, rate = cooled(heats, step, steps), cooled(rates, step, steps)
        soft_demand(bids, ask, value, demand, count, temperature, heat, single, used)
        take_step(step, rate, used, capacity, unit, mean, square, price, single)
        if is_last(step, steps):
            total += price
            summed += 1
    price[:] = total / summed


@kernel
def is_last(step: int, steps: int) -> bool:
    """Whether the prices after this step are among those whose mean is taken."""
    return step >= (1.0 - AVERAGED) * steps
