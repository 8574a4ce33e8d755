"""Warming runs the kernels that rounds will, and nothing that takes long."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from market import warming
from market.kernels import pairs
from market.mechanisms import get
from market.snapshot import PaymentRule, Policy, Snapshot
from sim.generators import random_snapshot

from .factories import make_bids, make_snapshot


def test_kernels_of_both_widths_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run: set[int] = set()

    def noted(lanes: int, kernel: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            run.add(lanes)
            kernel(*arguments)

        return call

    wrapped = {lanes: noted(lanes, kernel) for lanes, kernel in pairs.CANDIDATES.items()}
    monkeypatch.setattr(pairs, "CANDIDATES", wrapped)
    warming.warm(Policy(mechanism="hierarchical"), random_snapshot)
    assert run == set(wrapped)


def compiled() -> dict[tuple[str, str], int]:
    """Variants of every kernel that is loaded."""
    return {
        (module, name): len(kernel.signatures)
        for module, loaded in list(sys.modules.items())
        if module.startswith("market.")
        for name, kernel in vars(loaded).items()
        if hasattr(kernel, "signatures")
    }


def test_no_round_loads_a_kernel_after_warming() -> None:
    policy = Policy(mechanism="hierarchical")
    warming.warm(policy, random_snapshot, for_nothing=True)
    before = compiled()
    for bids, asks, zones in ((60, 6, 8), (400, 30, 1), (90, 900, 1), (700, 90, 20)):
        snapshot = random_snapshot(bids=bids, asks=asks, zones=zones, seed=1, policy=policy)
        plan = get("hierarchical").clear(snapshot, budget_ms=20)
        get("hierarchical").clear(replace(snapshot, carried_price=plan.node_price), budget_ms=20)
    nothing = make_snapshot(make_bids(1, demand=[[0, 0, 0, 0]]))
    get("hierarchical").clear(nothing, budget_ms=20)
    assert before
    assert compiled() == before


@pytest.mark.parametrize(
    ("mechanism", "payment"), [("exact", "vcg"), ("hierarchical", "critical"), ("greedy", "vcg")]
)
def test_many_bids_are_never_priced_one_by_one(mechanism: str, payment: PaymentRule) -> None:
    seen: list[tuple[int, PaymentRule]] = []

    def noted(**given: Any) -> Snapshot:
        seen.append((given["bids"], given["policy"].payment))
        return random_snapshot(**{**given, "policy": replace(given["policy"], payment="uniform")})

    warming.warm(Policy(mechanism=mechanism, payment=payment), noted)
    assert (10 * warming.FEW, payment) in seen
    assert all(rule == "uniform" for bids, rule in seen if bids > 10 * warming.FEW)
    assert (len(seen) == 1) == (mechanism == "exact")  # a solver is not given the large one at all


def test_an_unknown_mechanism_is_left_to_the_round() -> None:
    warming.warm(Policy(mechanism="none of ours"), random_snapshot)
