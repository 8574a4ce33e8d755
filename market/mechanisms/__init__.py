"""The mechanisms, found by file name: ``market/mechanisms/<name>.py`` with a ``create()``.

Nothing is imported until it is asked for, so that a process which never runs the exact solver
never loads one.
"""

import importlib
import pkgutil

from market.mechanism import Mechanism
from market.snapshot import PaymentRule

SIMPLE_PAYMENTS: tuple[PaymentRule, ...] = ("pay_as_bid", "uniform")  # computed for any plan
_FURTHER_PAYMENTS: dict[str, tuple[PaymentRule, ...]] = {
    "greedy": ("critical",),
    "hierarchical": ("critical",),
    "exact": ("vcg",),
}


class UnknownMechanism(ValueError):
    """A policy names a mechanism for which there is no file."""

    code = "unknown_mechanism"

    def __init__(self, name: str) -> None:
        super().__init__(f"no mechanism {name!r}: choose one of {', '.join(names())}")
        self.name = name


def names() -> tuple[str, ...]:
    """Every mechanism's name, sorted; imports none of them."""
    return tuple(
        sorted(
            module.name
            for module in pkgutil.iter_modules(__path__)
            if not module.name.startswith("_")
        )
    )


def get(name: str) -> Mechanism:
    """The mechanism of this name; raises ``UnknownMechanism``."""
    if name not in names():
        raise UnknownMechanism(name)
    mechanism: Mechanism = importlib.import_module(f"{__name__}.{name}").create()
    return mechanism


def payments(name: str) -> tuple[PaymentRule, ...]:
    """The payment rules that a policy may name beside this mechanism; imports nothing.

    Mechanisms that price for themselves (``first_price``, ``vickrey``, …) take either simple rule.
    """
    if name not in names():
        raise UnknownMechanism(name)
    return (*SIMPLE_PAYMENTS, *_FURTHER_PAYMENTS.get(name, ()))
