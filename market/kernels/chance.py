"""Random numbers inside kernels: a state of one word for each thread, so that runs repeat."""

import numpy as np
import numpy.typing as npt

from market.kernels.compiled import kernel

Words = npt.NDArray[np.uint64]


@kernel
def random_word(state: Words) -> np.uint64:
    """xorshift64 (Marsaglia 2003)."""
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return x


@kernel
def below(state: Words, limit: int) -> int:
    """An integer in 0 … limit − 1, by a product in place of a division; limit < 2³²."""
    word = (random_word(state) >> np.uint64(32)) * np.uint64(limit)
    return int(np.int64(word >> np.uint64(32)))


@kernel
def unit(state: Words) -> float:
    """A number in [0, 1)."""
    return float(random_word(state) >> np.uint64(11)) * (1.0 / 9007199254740992.0)
