"""The one decorator of all kernels: compiled by Numba on first use and cached on disk."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

NEVER = np.float32(-1e30)  # stands for −inf: the kernels are compiled for finite numbers only
NO_LIMIT = np.float32(1e30)  # stands for +inf


def _cache_is_possible() -> bool:
    """Whether Numba will find a directory to write to; without one it refuses to compile at all."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return True
    here = Path(__file__).parent / "__pycache__"
    for folder in (here, Path.home() / ".cache"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return True
        except OSError:
            continue
    return False


CACHED = _cache_is_possible()


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile ``function`` without the interpreter lock; cached on disk where a cache is possible.

    Fast-math lets reductions be vectorised; no kernel may see infinities or NaN.
    """
    compiled = numba.njit(nogil=True, fastmath=True, error_model="numpy", cache=CACHED)(function)
    return cast(Callable[P, R], compiled)
