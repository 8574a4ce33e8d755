"""The smoothed Lagrangian dual on candidate lists: the demand at given prices.

Relaxing the capacity rows with prices λ ≥ 0 gives the bound Σ_j λ_j·C_j + Σ_i max(0, max_j v_ij −
λ_j·d_i) for any λ. Its maximum is replaced by a soft maximum of temperature t_i (Nesterov, Smooth
minimization of non-smooth functions, Math. Program. 2005), so that demand spreads over nodes that
are nearly as good and the prices can be moved by gradient steps.
"""

import numpy as np

from market.kernels.compiled import kernel
from market.kernels.problem import Singles
from market.snapshot import Floats, Indices, Ints


@kernel
def soft_demand(
    low: int,
    high: int,
    ask: Indices,
    value: Singles,
    demand: Floats,
    count: Ints,
    price: Floats,
    temperature: Floats,
    used: Floats,
) -> None:
    """Adds the demand (m, R) of bids ``low ≤ i < high`` to ``used``."""
    lists, resources = ask.shape[1], demand.shape[1]
    share = np.empty(lists)
    for i in range(low, high):
        heat = temperature[i]
        best = 0.0
        width = 0
        for k in range(lists):
            j = ask[i, k]
            if j < 0:
                break
            left = float(value[i, k])
            for r in range(resources):
                left -= price[j, r] * demand[i, r]
            share[k] = left
            best = max(best, left)
            width = k + 1
        if width == 0:
            continue
        weight = np.exp(-best / heat) if best < 20 * heat else 0.0
        for k in range(width):
            x = (share[k] - best) / heat
            share[k] = np.exp(x) if x > -16.0 else 0.0
            weight += share[k]
        for k in range(width):
            if share[k] > 0.0:
                part = count[i] * share[k] / weight
                j = ask[i, k]
                for r in range(resources):
                    used[j, r] += part * demand[i, r]
