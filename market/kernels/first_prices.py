"""First prices from nothing: nine numbers or so, found by Newton's method from a few hundred bids.

What capacity is worth depends mostly on what it saves its users: on a cheap, fast or reliable node
bids gain more, so its price is higher. Let q_j be the mean over bids of what a unit of their bulk
would be worth on node j, φ_j = (1, q_j, q_j²) made orthonormal, and u_r the unit of price of
resource r. Prices are held to the form

    λ_jr = u_r · max(0, Σ_f φ_jf · θ_fr)

and the smoothed dual (``prices.py``) is minimised over θ alone, as it cools, by damped Newton steps
(Levenberg 1944): its Hessian is a sum of covariances of each bid's choice, of 3R × 3R numbers. Any
λ ≥ 0 gives a valid bound, so the form costs nothing but tightness: about 2 % on the separable
instances (docs/BENCHMARKS.md). Prices of each node's own start there.
"""

import numpy as np

from market.kernels.compiled import kernel
from market.kernels.problem import Singles
from market.snapshot import Floats, Indices

POWERS = 3  # of q: constant, linear, quadratic
DAMPING = 0.2  # share of the Hessian's diagonal that is added to it
STEP_MAX = 0.3  # units of price, root mean square over the nodes
NEGLIGIBLE = 8.0  # temperatures below the best: not counted


def node_factors(attraction: Floats, capacity: Floats) -> Floats:
    """φ (m, 3) of ``attraction`` (m,), orthonormal where nodes weigh by ``capacity`` (m,)."""
    weight = capacity / max(capacity.sum(), 1e-300)
    factor = np.ones((len(attraction), POWERS))
    for f in range(1, POWERS):
        column = factor[:, f - 1] * (attraction - weight @ attraction)
        for other in factor.T[:f]:
            column = column - (weight @ (column * other)) * other
        length = np.sqrt(weight @ (column * column))
        typical = np.abs(attraction).max(initial=0.0) ** f
        factor[:, f] = column / length if length > 1e-6 * typical else 0.0
    return factor


@kernel
def lower_dual(
    ask: Indices,
    value: Singles,
    worth: float,
    demand: Floats,
    slots: Floats,
    bulk: Floats,
    factor: Floats,
    capacity: Floats,
    theta: Floats,
    steps: int,
    heats: tuple[float, float],
) -> None:
    """Newton steps on ``theta`` (F, R) at temperatures from ``heats[0]`` down to ``heats[1]``.

    A sample of S bids with ``slots`` (S,) each: their lists ``ask`` and ``value`` (S, K), where
    ``worth`` is the unit; the ``demand`` (S, R) of a slot and the ``capacity`` (m, R), both so that
    a price of 1 is u_r; and the temperature of each bid at heat 1, ``bulk`` (S,).
    """
    nodes, resources = capacity.shape
    factors = factor.shape[1]
    size = factors * resources
    price, share = np.empty((nodes, resources)), np.empty(ask.shape[1])
    one, mean = np.empty(size), np.empty(size)
    gradient, hessian = np.empty(size), np.empty((size, size))
    for step in range(steps):
        heat = heats[0] * (heats[1] / heats[0]) ** (step / max(1, steps - 1))
        gradient[:] = 0.0
        hessian[:] = 0.0
        for j in range(nodes):
            for r in range(resources):
                x = 0.0
                for f in range(factors):
                    x += factor[j, f] * theta[f, r]
                price[j, r] = max(x, 0.0)
                if x > 0.0:
                    for f in range(factors):
                        gradient[f * resources + r] += factor[j, f] * capacity[j, r]
        for i in range(ask.shape[0]):
            spread = heat * bulk[i]
            best, width = 0.0, 0
            for k in range(ask.shape[1]):
                j = ask[i, k]
                if j < 0:
                    break
                left = float(value[i, k]) / worth
                for r in range(resources):
                    left -= price[j, r] * demand[i, r]
                share[k] = left
                best = max(best, left)
                width = k + 1
            total = np.exp(-best / spread) if best < 2.0 * NEGLIGIBLE * spread else 0.0
            for k in range(width):
                x = (share[k] - best) / spread
                share[k] = np.exp(x) if x > -NEGLIGIBLE else 0.0
                total += share[k]
            mean[:] = 0.0
            steep = slots[i] / spread
            for k in range(width):
                if share[k] == 0.0:
                    continue
                j, part = ask[i, k], share[k] / total
                for f in range(factors):
                    for r in range(resources):
                        taken = factor[j, f] * demand[i, r] if price[j, r] > 0.0 else 0.0
                        one[f * resources + r] = taken
                for u in range(size):
                    mean[u] += part * one[u]
                    for v in range(u + 1):
                        hessian[u, v] += steep * part * one[u] * one[v]
            for u in range(size):
                gradient[u] -= slots[i] * mean[u]
                for v in range(u + 1):
                    hessian[u, v] -= steep * mean[u] * mean[v]
        trace = 0.0
        for u in range(size):
            trace += hessian[u, u]
        if not trace > 0.0:
            return  # no bid has anything to choose from at these prices
        for u in range(size):
            for v in range(u):
                hessian[v, u] = hessian[u, v]
            hessian[u, u] = hessian[u, u] * (1.0 + DAMPING) + 1e-6 * trace
        change = np.linalg.solve(hessian, -gradient)
        square = 0.0
        for u in range(size):
            square += change[u] * change[u]
        shorter = min(1.0, STEP_MAX / max(np.sqrt(square), 1e-12))
        for f in range(factors):
            for r in range(resources):
                theta[f, r] += shorter * change[f * resources + r]
