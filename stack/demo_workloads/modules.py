"""The WASM modules of the demo, and the same answers worked out directly in Python."""

from functools import lru_cache
from pathlib import Path

import numpy as np

SHADES = " .,:;+*%#@"
STEPS_MAX = 511
_HERE = Path(__file__).parent


@lru_cache(maxsize=8)
def module(name: str) -> bytes:
    """``primes``, ``words`` or ``mandelbrot``, compiled from the text beside this file."""
    from wasmtime import wat2wasm  # a large library, of no use before a demo runs

    return bytes(wat2wasm((_HERE / f"{name}.wat").read_text()))


def primes_directly(limit: int) -> bytes:
    """What ``primes`` writes, found by a sieve instead of trial division."""
    if limit < 2:
        return b"0\n"
    sieve = np.ones(limit + 1, dtype=bool)
    sieve[:2] = False
    for number in range(2, int(limit**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = False
    return f"{int(sieve.sum())}\n".encode()


def words_directly(text: bytes) -> bytes:
    """What ``words`` writes."""
    lines = text.count(b"\n")
    return f"{lines} {len(text.split())} {len(text)}\n".encode()


def mandelbrot_directly(row: int, width: int, height: int) -> bytes:
    """What ``mandelbrot`` writes: the same IEEE arithmetic, so the same characters."""
    cy = -1.2 + 2.4 * row / (height - 1)
    shades = (
        SHADES[_steps(-2.2 + 3.0 * column / (width - 1), cy).bit_length()]
        for column in range(width)
    )
    return "".join(shades).encode() + b"\n"


def _steps(cx: float, cy: float) -> int:
    x = y = 0.0
    for step in range(STEPS_MAX):
        xx, yy = x * x, y * y
        if xx + yy > 4:
            return step
        y = 2 * x * y + cy
        x = xx - yy + cx
    return STEPS_MAX
