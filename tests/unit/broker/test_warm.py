"""Before its first round a worker has loaded the kernels for few and for many nodes alike."""

from collections.abc import Callable
from typing import Any

import pytest

from broker.rounds.warm import warm
from market.kernels import pairs
from market.snapshot import Policy


def test_kernels_of_both_widths_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run: set[int] = set()

    def noted(lanes: int, kernel: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            run.add(lanes)
            kernel(*arguments)

        return call

    wrapped = {lanes: noted(lanes, kernel) for lanes, kernel in pairs.CANDIDATES.items()}
    monkeypatch.setattr(pairs, "CANDIDATES", wrapped)
    warm(Policy(mechanism="hierarchical"))
    assert run == set(wrapped)


def test_an_unknown_mechanism_is_left_to_the_round() -> None:
    warm(Policy(mechanism="none of ours"))
