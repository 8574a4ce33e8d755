"""The optimum by OR-Tools CP-SAT, for small cells and as the oracle of the tests."""

from market.mechanism import Mechanism

PAYMENTS = ("vcg",)
SOLVER = True


def create() -> Mechanism:
    """The exact mechanism; only this call loads the solver library."""
    from market.solvers.exact import Exact

    return Exact()
