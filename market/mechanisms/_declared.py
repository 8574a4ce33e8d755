"""What a mechanism's file declares of itself, read from its text without running it.

Importing a mechanism may load a compiler or a solver, which a process that only has to know which
payment rules go with it shall not. So what is known beforehand are constants at the top level of
the file, each a literal, all with a default:

* ``PAYMENTS = ("critical",)``: payment rules beside the simple ones.
* ``PRICES = "pay_as_bid"``: it prices for itself, whichever simple rule the policy names; its
  prices come out as by this rule, or as by none (``"own"``).
* ``PARAMETERS = {"depth": (1.0, 9.0)}``: parameters of the policy that are its own, with the least
  and the most of each.
* ``SOLVER = True``: loads a solver and may take its whole budget each time, so it is run where it
  is named and not beside others or again and again.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from market.snapshot import PaymentRule

SIMPLE_PAYMENTS: tuple[PaymentRule, ...] = ("pay_as_bid", "uniform")  # computed for any plan
OWN_PRICES = "own"


class InvalidDeclaration(ValueError):
    """A mechanism's file declares what cannot be."""

    code = "invalid_mechanism"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"mechanism {name!r}, in its file: {problem}")
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One mechanism's declarations."""

    payments: tuple[PaymentRule, ...] = SIMPLE_PAYMENTS  # all that a policy may name beside it
    prices: str = ""  # a payment rule or ``OWN_PRICES``; "": the policy's rule decides
    parameters: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # least and most
    solver: bool = False


def declared(name: str, source: str) -> Declared:
    """The declarations in ``source``, the file of ``name``; raises ``InvalidDeclaration``."""
    found = _constants(name, source)
    return Declared(
        payments=(*SIMPLE_PAYMENTS, *_payments(name, found.get("PAYMENTS", ()))),
        prices=_prices(name, found.get("PRICES", "")),
        parameters=_parameters(name, found.get("PARAMETERS", {})),
        solver=_solver(name, found.get("SOLVER", False)),
    )


def _constants(name: str, source: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        for statement in ast.parse(source).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=constant)], value=value):
                    pass
                case ast.AnnAssign(target=ast.Name(id=constant), value=ast.expr() as value):
                    pass
                case _:
                    continue
            if constant in ("PAYMENTS", "PRICES", "PARAMETERS", "SOLVER"):
                try:
                    found[constant] = ast.literal_eval(value)
                except (ValueError, TypeError) as error:
                    problem = f"{constant} must be a literal: it is read, not run"
                    raise InvalidDeclaration(name, problem) from error
    except SyntaxError as error:
        raise InvalidDeclaration(name, f"line {error.lineno}: {error.msg}") from error
    return found


def _payments(name: str, given: Any) -> tuple[PaymentRule, ...]:
    known = get_args(PaymentRule)
    if not isinstance(given, tuple) or not all(rule in known for rule in given):
        raise InvalidDeclaration(name, f"PAYMENTS must be a tuple of {', '.join(known)}")
    return tuple(rule for rule in given if rule not in SIMPLE_PAYMENTS)


def _prices(name: str, given: Any) -> str:
    known = (*get_args(PaymentRule), OWN_PRICES, "")
    if given not in known:
        raise InvalidDeclaration(name, f"PRICES must be one of {', '.join(known[:-1])}")
    return str(given)


def _parameters(name: str, given: Any) -> dict[str, tuple[float, float]]:
    problem = "PARAMETERS must have the least and the most of each: {'depth': (1.0, 9.0)}"
    try:
        found = {str(key): (float(least), float(most)) for key, (least, most) in given.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidDeclaration(name, problem) from error
    if not all(least <= most for least, most in found.values()):
        raise InvalidDeclaration(name, problem)
    return found


def _solver(name: str, given: Any) -> bool:
    if not isinstance(given, bool):
        raise InvalidDeclaration(name, "SOLVER must be True or False")
    return given
