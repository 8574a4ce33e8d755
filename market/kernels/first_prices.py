"""First prices from nothing: nine numbers or so, found by Newton's method from a few hundred bids.

What capacity is worth depends mostly on what it saves its users: on a cheap, fast or reliable node
bids gain more, so its price is higher. Let q_j be the mean over bids of what a unit of their bulk
would be worth on node j, φ_j = (1, q_j, q_j²) made orthonormal, and u_r the unit of price of
resource r. Prices are held to the form

    λ_jr = u_r · s(Σ_f φ_jf · θ_fr)        s(x) = σ · ln(1 + exp(x / σ))

and the smoothed dual (``prices.py``) is minimised over θ alone, as it cools, by damped Newton steps
(Levenberg 1944): its Hessian is a sum of covariances of each bid's choice, of 3R × 3R numbers.
Where a number changes all that a bid can choose from alike, the Hessian says next to nothing and
the plain step would be endless, so to each diagonal is added what keeps that step within a bound.
Any λ ≥ 0 gives a valid bound, so the form costs nothing but tightness: about 2 % on the separable
instances (docs/BENCHMARKS.md), more on mixed ones. Prices of each node's own start there.
"""

import numpy as np

from market.kernels.compiled import kernel
from market.kernels.problem import Singles
from market.snapshot import Floats, Indices

POWERS = 3  # of q: constant, linear, quadratic
DAMPING = 0.2  # share of the Hessian's diagonal that is added to it
STEP_MAX = 0.3  # units of price, of any one number
SOFT = 0.03  # units of price over which the softplus bends
NEGLIGIBLE = 8.0  # temperatures below the best: not counted


def node_factors(attraction: Floats, capacity: Floats) -> Floats:
    """φ (m, 3) of ``attraction`` (m,), orthonormal where nodes weigh by ``capacity`` (m,)."""
    weight = capacity / max(capacity.sum(), 1e-300)
    factor = np.ones((len(attraction), POWERS))
    for f in range(1, POWERS):
        column = factor[:, f - 1] * (attraction - (weight * attraction).sum())
        for other in factor.T[:f]:
            column = column - (weight * column * other).sum() * other
        length = np.sqrt((weight * column * column).sum())
        typical = np.abs(attraction).max(initial=0.0) ** f
        factor[:, f] = column / length if length > 1e-6 * typical else 0.0
    return factor


def positive(linear: Floats) -> Floats:
    """What prices are of the linear form: its softplus, so that none is stuck at nought."""
    soft: Floats = SOFT * np.logaddexp(0.0, linear / SOFT)
    return soft


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
    price, rise = np.empty((nodes, resources)), np.empty((nodes, resources))
    share = np.empty(ask.shape[1])
    one, mean = np.empty(size), np.empty(size)
    gradient, hessian = np.empty(size), np.empty((size, size))
    for step in range(steps):
        heat = heats[0] * (heats[1] / heats[0]) ** (step / max(1, steps - 1))
        gradient[:] = 0.0
        hessian[:] = 0.0
        for r in range(resources):
            for j in range(nodes):
                x = 0.0
                for f in range(factors):
                    x += factor[j, f] * theta[f, r]
                x = x / SOFT
                e = np.exp(-abs(x))
                price[j, r] = SOFT * (max(x, 0.0) + np.log1p(e))
                rise[j, r] = 1.0 / (1.0 + e) if x > 0.0 else e / (1.0 + e)
                for f in range(factors):
                    gradient[f * resources + r] += factor[j, f] * rise[j, r] * capacity[j, r]
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
                        one[f * resources + r] = factor[j, f] * rise[j, r] * demand[i, r]
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
            hessian[u, u] *= 1.0 + DAMPING
            hessian[u, u] += abs(gradient[u]) / STEP_MAX + 1e-6 * trace
        change = np.linalg.solve(hessian, -gradient)
        for u in range(size):
            theta[u // resources, u % resources] += max(-STEP_MAX, min(STEP_MAX, change[u]))
