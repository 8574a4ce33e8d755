"""Peers of the solver benchmark on instances small enough to check in full."""

import numpy as np
import pytest

from bench import solvers
from bench.peer_arrays import Market
from bench.peers import PEERS, Clock
from bench.separable import case, cleared
from sim.hard import hard_values, hard_violations

TINY = solvers.Size(40, 12, 3, (50,), 100, ("greedy",))


@pytest.mark.parametrize("name", ["greedy", "min-cost flow"])
def test_peer_finds_a_feasible_plan_under_the_bound(name: str) -> None:
    arrays = case(40, 12, 3, 1)
    sent: list[tuple] = []
    PEERS[name](Market(arrays), Clock(arrays, sent.append, 2.0))
    bound = cleared(arrays, 100, None).bound
    worth = [float(hard_values(arrays, bid, ask).sum()) for _, _, _, bid, ask, _ in sent]
    assert worth
    assert worth == sorted(worth)
    assert 0.3 * bound < worth[-1] <= bound * (1 + 1e-9)
    for wall, building, cpu, bid, ask, _ in sent:
        assert hard_violations(arrays, bid, ask) == 0
        assert 0 <= building <= wall
        assert cpu >= 0


@pytest.mark.parametrize(
    "name", [name for name in PEERS if name not in {"greedy", "min-cost flow"}]
)
def test_peer_in_its_own_process(name: str) -> None:
    found = solvers.steps(name, TINY, seed=1, limit_s=2.0)
    bound = cleared(case(40, 12, 3, 1), 100, None).bound
    assert found
    assert 0.3 * bound < found[-1].welfare <= bound * (1 + 1e-9)
    assert all(step.violations == 0 and step.building_s <= step.wall_s for step in found)


def test_candidates_are_the_best_feasible_pairs() -> None:
    arrays = case(30, 10, 3, 2)
    bid, ask = (rows.ravel() for rows in np.meshgrid(np.arange(30), np.arange(10), indexing="ij"))
    good = np.array(
        [hard_violations(arrays, bid[k : k + 1], ask[k : k + 1]) == 0 for k in range(300)]
    )
    value = np.where(good, hard_values(arrays, bid, ask), 0.0).reshape(30, 10)
    best = -np.sort(-value, axis=1)[:, :4]
    pairs = Market(arrays).candidates(4)
    assert pairs.value == pytest.approx(best[best > 0])
    assert value[pairs.bid, pairs.ask] == pytest.approx(pairs.value)


def test_rows_take_the_best_plan_in_time() -> None:
    had = [solvers.Step(1.0, 0.6, 0.9, 5.0, 0, "a"), solvers.Step(2.0, 0.6, 1.9, 6.0, 0, "b")]
    assert solvers._last(had, 0.4, building=True) is None
    assert solvers._last(had, 0.4, building=False) is had[0]  # 1.0 − 0.6
    assert solvers._last(had, 2.0, building=True) is had[1]


def test_compared_relates_each_peer_to_ours() -> None:
    ours, peer = solvers.compared(TINY, 1, ["greedy"])
    assert (ours["mechanism"], ours["to_ours"], ours["violations"]) == ("ours", 1.0, 0)
    assert peer["given_s"] == pytest.approx(10 * max(0.05, ours["wall_s"]))
    assert peer["to_ours"] == pytest.approx(peer["welfare"] / ours["welfare"])
