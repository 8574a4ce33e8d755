"""Predicted chances come true as often as they say, and beat those made without past rounds."""

import math

import pytest

from market.mechanisms import get
from market.snapshot import Policy
from sim.forecast import Foretold, foretold, quality, reliability

POLICY = Policy(parameters={"repeatable": 1.0})
TOLERANCE = 0.06  # beside three standard errors of a bin


@pytest.fixture(scope="module", params=[30, 60])
def told(request: pytest.FixtureRequest) -> list[Foretold]:
    """Predictions under demand that swings between room and scarcity."""
    return [
        each
        for seed in (1, 2)
        for each in foretold(
            get("hierarchical"), rounds=52, seed=seed, policy=POLICY, bids=request.param
        )
    ]


def test_chance_is_calibrated(told: list[Foretold]) -> None:
    for chance, won, count in reliability(told):
        error = math.sqrt(max(chance * (1 - chance), 0.01) / count)
        assert abs(chance - won) < TOLERANCE + 3 * error, (chance, won, count)
    assert quality(told)["calibration"] < TOLERANCE


def test_chance_beats_the_constant_and_the_present_alone(told: list[Foretold]) -> None:
    found = quality(told)
    assert found["brier"] < 0.75 * found["brier_constant"]
    assert found["brier"] < found["brier_present_alone"]


def test_price_range_holds_four_of_five_payments(told: list[Foretold]) -> None:
    assert quality(told)["price_inside"] > 0.75
