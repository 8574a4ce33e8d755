"""Every reason to lose, each with its sentence: one row a case."""

from typing import Any

import numpy as np
import pytest

from market import sentences
from market.mechanisms import get
from market.plan import Loss

from .factories import GIB, MIB, check_plan, demand, make_asks, make_bids, make_snapshot

SMALL = [demand(cpu=4_000, memory=512 * MIB)]


@pytest.mark.parametrize("mechanism", ["greedy", "exact"])
@pytest.mark.parametrize(
    ("bid", "ask", "loss", "sentence"),
    [
        (
            {"required": np.array([[2]], np.uint64)},
            {},
            Loss.CONSTRAINT,
            "constraint: no node has all of runtime:onnx",
        ),
        (
            {"demand": [demand(cpu=1_000, memory=768 * MIB)]},
            {"capacity": SMALL},
            Loss.TOO_LARGE,
            "memory: needs 768 MiB, the largest fitting node offers 512 MiB",
        ),
        (
            {"demand": [demand(cpu=1_000, memory=768 * MIB)]},
            {"capacity": SMALL, "total": [demand(cpu=4_000, memory=GIB)]},
            Loss.NO_CAPACITY,
            "memory: needs 768 MiB, the freest fitting node has 512 MiB",
        ),
        (
            {"zone": [1], "latency_ms_max": [20.0]},
            {},
            Loss.LATENCY,
            "latency: needs 20 ms, the nearest fitting node is at 50 ms",
        ),
        (
            {"reliability_min": [0.999]},
            {},
            Loss.RELIABILITY,
            "reliability: needs 0.999, the best fitting node has 0.9900",
        ),
        ({"speed_min": [1.5]}, {}, Loss.SPEED, "speed: needs 1.5, the fastest fitting node has 1"),
        (
            {"work_ms": [5_000], "deadline_ms": [4_000]},
            {},
            Loss.DEADLINE,
            "deadline: 4000 ms are left, the fastest fitting node needs 5000 ms",
        ),
        (
            {"limit": [10_999]},
            {},
            Loss.LIMIT_BELOW_RESERVE,
            "limit: offers 0.010999 credits an hour, the cheapest fitting node asks 0.011",
        ),
        (
            {"count": [5], "count_min": [5]},
            {},
            Loss.COUNT,
            "count: needs 5 slots at once, 4 are free on fitting nodes",
        ),
    ],
)
def test_loss(
    mechanism: str, bid: dict[str, Any], ask: dict[str, Any], loss: Loss, sentence: str
) -> None:
    snapshot = make_snapshot(make_bids(**bid), make_asks(**ask))
    plan = get(mechanism).clear(snapshot, budget_ms=2_000)
    check_plan(snapshot, plan)
    assert (plan.loss, plan.loss_detail) == ((loss,), (sentence,))


@pytest.mark.parametrize("mechanism", ["greedy", "exact"])
def test_loss_no_ask(mechanism: str) -> None:
    plan = get(mechanism).clear(make_snapshot(asks=make_asks(0)), budget_ms=1_000)
    assert plan.loss == (Loss.NO_ASK,)
    assert (plan.welfare, plan.bound, plan.gap) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("mechanism", ["greedy", "exact"])
def test_loss_not_admitted(mechanism: str) -> None:
    snapshot = make_snapshot(admits=np.array([[False, True]]))
    plan = get(mechanism).clear(snapshot, budget_ms=1_000)
    assert plan.loss == (Loss.NOT_ADMITTED,)


def test_no_bids_is_an_empty_plan() -> None:
    snapshot = make_snapshot(make_bids(0))
    for mechanism in ("greedy", "exact"):
        plan = get(mechanism).clear(snapshot, budget_ms=1_000)
        check_plan(snapshot, plan)
        assert plan.loss == ()


def test_partial_count_is_served_and_explained() -> None:
    snapshot = make_snapshot(make_bids(count=[6]))
    plan = get("greedy").clear(snapshot, budget_ms=100)
    check_plan(snapshot, plan)
    assert plan.count.tolist() == [4]
    assert plan.loss == (Loss.NO_CAPACITY,)


@pytest.mark.parametrize(
    ("loss", "detail", "said"),
    [
        (
            Loss.LIMIT_BELOW_RESERVE,
            "limit: offers 0.01 credits an hour, the cheapest fitting node asks 0.02",
            "The job waits for a cheaper node: it offers 0.01 credits an hour, "
            "the cheapest fitting node asks 0.02",
        ),
        (
            Loss.OUTBID,
            "cpu: needs 2 cores, the freest fitting node has 1 cores; bids of higher value took it",
            "The job was outbid for cpu: it needs 2 cores, the freest fitting node has 1 cores; "
            "bids of higher value took it",
        ),
        (
            Loss.DEADLINE,
            "deadline: 5 ms are left, the fastest fitting node needs 9 ms",
            "The job waits for a node that is fast enough for its deadline: 5 ms are left, "
            "the fastest fitting node needs 9 ms",
        ),
        (
            Loss.CONSTRAINT,
            "constraint: no node has all of arch:arm64",
            "The job waits: no node has all of arch:arm64",
        ),
        (
            Loss.NO_ASK,
            sentences.NO_ASK,
            "The job waits: no node of this cell has anything free to offer now",
        ),
        (Loss.NO_CAPACITY, "", "The job waits: no capacity"),
    ],
)
def test_a_waiting_job_says_its_topic_once(loss: Loss, detail: str, said: str) -> None:
    assert sentences.of_waiting(loss, detail) == said
