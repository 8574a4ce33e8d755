"""The mechanisms, found by file name: ``market/mechanisms/<name>.py`` with a ``create()``.

Nothing is imported until it is asked for, so that a process which never runs the exact solver
never loads one. What else a file may declare of its mechanism is in ``_declared``.
"""

import importlib
import importlib.machinery
import pkgutil
from functools import cache
from importlib.abc import InspectLoader

from market.mechanism import Mechanism
from market.mechanisms._declared import SIMPLE_PAYMENTS as SIMPLE_PAYMENTS
from market.mechanisms._declared import Declared
from market.mechanisms._declared import InvalidDeclaration as InvalidDeclaration
from market.mechanisms._declared import declared as declared_in
from market.snapshot import PaymentRule


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


def declared(name: str) -> Declared:
    """What the file of ``name`` declares; imports nothing.

    Raises ``UnknownMechanism``, or ``InvalidDeclaration`` for a file that declares nonsense.
    """
    spec = importlib.machinery.PathFinder.find_spec(f"{__name__}.{name}", __path__)
    if name not in names() or spec is None or not isinstance(spec.loader, InspectLoader):
        raise UnknownMechanism(name)
    return _declared(name, spec.loader.get_source(spec.name) or "")


_declared = cache(declared_in)


def payments(name: str) -> tuple[PaymentRule, ...]:
    """The payment rules that a policy may name beside this mechanism; imports nothing.

    Mechanisms that price for themselves (``first_price``, ``vickrey``, …) take either simple rule.
    """
    return declared(name).payments


def parameters() -> dict[str, tuple[float, float]]:
    """The parameters that mechanisms declare as their own, with the least and most of each."""
    return {name: bounds for each in names() for name, bounds in declared(each).parameters.items()}
