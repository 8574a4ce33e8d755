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

NEGLIGIBLE = 10.0  # temperatures below the best: not counted


@kernel
def soft_demand(
    low: int,
    high: int,
    ask: Indices,
    value: Singles,
    demand: Floats,
    count: Ints,
    price: Singles,
    temperature: Floats,
    used: Floats,
) -> None:
    """Adds the demand (m, R) of bids ``low ≤ i < high`` to ``used``."""
    lists, resources = ask.shape[1], demand.shape[1]
    share, at = np.empty(lists), np.empty(lists, np.int64)
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
        cold = 1.0 / heat
        total = np.exp(-best * cold) if best < NEGLIGIBLE * heat else 0.0
        least, likely = best - NEGLIGIBLE * heat, 0
        for k in range(width):  # few are left: of these alone the exponentials are wanted
            at[likely], share[likely] = k, share[k]
            likely += 1 if share[k] > least else 0
        for k in range(likely):
            share[k] = np.exp((share[k] - best) * cold)
            total += share[k]
        part = count[i] / total
        for k in range(likely):
            j = ask[i, at[k]]
            for r in range(resources):
                used[j, r] += part * share[k] * demand[i, r]
