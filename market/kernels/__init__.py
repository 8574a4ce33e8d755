"""Numeric kernels of the hierarchical mechanism: arrays in, arrays out, compiled by Numba.

Read in the order in which a round runs: ``problem`` (what is to be solved), ``scan`` (best nodes of
each item), ``dual`` (prices of capacity and the bound), ``construct`` (first plan), ``anneal`` (local
search), ``solve`` (all of them within a time budget).
"""

from market.kernels.problem import Problem
from market.kernels.solve import Effort, Solution, solve

__all__ = ["Effort", "Problem", "Solution", "solve"]
