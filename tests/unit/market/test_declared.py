"""One file registers a mechanism with all that others must know of it: the guide's own example."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.services import policies
from broker.services.refusals import Invalid
from market import mechanisms
from market.mechanisms._declared import InvalidDeclaration, declared
from market.predict import predict
from market.snapshot import Policy
from sim.generators import random_snapshot
from stack import market_files
from stack.market_files import Options

from .factories import check_plan, make_snapshot

GUIDE = Path(__file__).parents[3] / "docs" / "policies.md"


@pytest.fixture
def first_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The example, as a file in a further folder of mechanisms."""
    (source,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "first_come.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(mechanisms, "__path__", [*mechanisms.__path__, str(tmp_path)])
    yield "first_come"
    sys.modules.pop("market.mechanisms.first_come", None)


def test_one_file_is_all_that_the_offline_commands_need(first_come: str, tmp_path: Path) -> None:
    path = tmp_path / "round.npz"
    snapshot = random_snapshot(bids=40, asks=8, seed=3, load=3.0)
    market_files.write(snapshot, path)
    check_plan(snapshot, mechanisms.get(first_come).clear(snapshot, budget_ms=50))
    facts = market_files.clear(path, Options(mechanism=first_come))
    assert facts["mechanism"] == first_come
    assert facts["matches"]
    assert first_come in {row["mechanism"] for row in market_files.compare(path, [], Options())}


def test_a_policy_may_set_its_parameters_within_their_bounds(first_come: str) -> None:
    policies._check({"mechanism": first_come, "parameters": {"latest": 1.0}})
    with pytest.raises(Invalid, match="between 0 and 1"):
        policies._check({"mechanism": first_come, "parameters": {"latest": 2.0}})
    with pytest.raises(Invalid, match="choose one of pay_as_bid, uniform"):
        policies._check({"mechanism": first_come, "payment": "critical"})


def test_a_prediction_goes_by_the_prices_that_it_declares(first_come: str) -> None:
    found = predict(make_snapshot(policy=Policy(mechanism=first_come)), 0, next_round_ms=0)
    assert found.price_low == found.price_high == 30_000  # its limit, far above the standing price


@pytest.mark.parametrize("name", mechanisms.names())
def test_every_mechanism_declares_what_can_be(name: str) -> None:
    found = mechanisms.declared(name)
    assert set(found.payments) >= {"pay_as_bid", "uniform"}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ('PAYMENTS = ("barter",)', "PAYMENTS must be a tuple of pay_as_bid"),
        ('PAYMENTS = "critical"', "PAYMENTS must be a tuple"),
        ("PAYMENTS = tuple(rules)", "PAYMENTS must be a literal"),
        ('PRICES = "high"', "PRICES must be one of pay_as_bid, uniform, critical, vcg, own"),
        ("PRICES = []", "PRICES must be one of"),
        ('PARAMETERS = {"depth": 3}', "the least and the most of each"),
        ('PARAMETERS = {"depth": (3, 1)}', "the least and the most of each"),
        ("SOLVER = 1", "SOLVER must be True or False"),
        ("def create(:", "line 1"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(source: str, says: str) -> None:
    with pytest.raises(InvalidDeclaration, match=f"mechanism 'mine', in its file: .*{says}"):
        declared("mine", source)


def test_annotated_constants_are_read_too() -> None:
    found = declared("mine", 'PAYMENTS: tuple[str, ...] = ("critical", "uniform")\nSOLVER = True')
    assert found.payments == ("pay_as_bid", "uniform", "critical")
    assert found.solver
