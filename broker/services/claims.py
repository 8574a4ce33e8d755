"""What nodes claim of themselves, brought within bounds before others are added up with it.

A node may say what it likes in 64 bits, and the market adds the words of many: without bounds two
liars would overflow the sums of a whole cell, and one could fill every page with its labels.
"""

from collections.abc import Mapping

from market.resources import RESOURCE_NAMES

QUANTITY_MAX = 2**46  # 64 TiB of memory, 70 thousand million cores; 100,000 nodes still add up
PRICE_MICROS_MAX = 10**12  # a million credits for one unit and hour
LABELS_MAX = 64
LABEL_CHARS_MAX = 128


def quantities(said: Mapping[str, int]) -> dict[str, int]:
    """Base units of the resources that are traded; other names are left out."""
    return _bounded(said, QUANTITY_MAX)


def prices(said: Mapping[str, int]) -> dict[str, int]:
    """Micros per priced unit and hour of the resources that are traded."""
    return _bounded(said, PRICE_MICROS_MAX)


def labels(said: Mapping[str, str]) -> dict[str, str]:
    """The first of them that are of a sensible length; a label cut short would be another one."""
    kept = {
        name: value
        for name, value in said.items()
        if len(name) <= LABEL_CHARS_MAX and len(value) <= LABEL_CHARS_MAX
    }
    return dict(list(kept.items())[:LABELS_MAX])


def degrees(said: float | None, *, most: float) -> float | None:
    """A latitude or longitude; None where it is not on this earth."""
    return None if said is None or not -most <= said <= most else said


def _bounded(said: Mapping[str, int], most: int) -> dict[str, int]:
    return {name: min(value, most) for name, value in said.items() if name in RESOURCE_NAMES}
