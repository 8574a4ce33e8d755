"""Predicted chances come true as often as they say, and beat those made without past rounds."""

import math
from collections import defaultdict

import pytest

from market.mechanisms import get
from market.snapshot import Policy
from sim.forecast import Foretold, foretold, quality

POLICY = Policy(parameters={"repeatable": 1.0})
TOLERANCE = 0.06  # beside three standard errors


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
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        some = [each for each in told if low <= each.predicted.chance <= low + 0.2]
        bias, error = bias_of(some)
        assert abs(bias) < TOLERANCE + 3 * error, (low, bias, error, len(some))
    assert quality(told)["calibration"] < TOLERANCE


def bias_of(told: list[Foretold]) -> tuple[float, float]:
    """Mean of what came less what was said, and its standard error, rounds being independent."""
    surplus: dict[int, float] = defaultdict(float)
    for each in told:
        surplus[each.number] += each.won - each.predicted.chance
    count = len(told)
    spread = math.sqrt(sum(part**2 for part in surplus.values()))
    return sum(surplus.values()) / count, spread / count


def test_chance_beats_the_constant_and_the_present_alone(told: list[Foretold]) -> None:
    found = quality(told)
    assert found["brier"] < 0.75 * found["brier_constant"]
    assert found["brier"] < found["brier_present_alone"]


def test_price_range_holds_four_of_five_payments(told: list[Foretold]) -> None:
    assert quality(told)["price_inside"] > 0.75
