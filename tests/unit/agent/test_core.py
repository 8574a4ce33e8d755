"""The core without transport: orders, fences, cancels, acknowledgements, silence, restarts."""

import itertools
from typing import Any

import pytest

from edge_agent.core import (
    Deliver,
    Forget,
    MessageKey,
    Outcome,
    Resend,
    Restored,
    Send,
    Start,
    Stop,
)
from edge_agent.wire import (
    Ack,
    Cancel,
    ControlState,
    Death,
    Drain,
    Usage,
)
from tests.unit.agent.factories import LEASE_MS, T0, Agent, assign, order

DONE = Outcome(state="succeeded", result_digest="sha256:1", usage=Usage(wall_ms=5))
BROKEN = Outcome(state="failed", reason="trap", usage=Usage(wall_ms=3))


def states(agent: Agent, attempt: str) -> list[tuple[str, str]]:
    return [(r.state, r.reason) for r in agent.reports() if r.attempt == attempt]


# ---------------------------------------------------------------- a task's way


def test_assign_starts_and_reports() -> None:
    agent = Agent()
    (start,) = agent.of(Start, agent.receive(assign("a")))
    assert (start.work.attempt, start.work.fence) == ("a", 1)
    agent.run(20)
    agent.started("a")
    agent.run(20)
    agent.ended("a", DONE)
    agent.run(20)
    assert states(agent, "a") == [("accepted", "ok"), ("running", "ok"), ("succeeded", "ok")]
    assert agent.reports()[-1].usage == Usage(wall_ms=5)
    assert agent.core.leases.live == {}


def test_quick_task_is_one_report() -> None:
    agent = Agent()
    agent.receive(assign("a"))
    agent.started("a")
    agent.ended("a", DONE)
    agent.run(100)
    assert states(agent, "a") == [("succeeded", "ok")]


def test_lone_end_goes_out_at_once_and_a_burst_is_gathered() -> None:
    agent = Agent()
    agent.receive(assign("a", "b", "c", slots=3))
    agent.run(100)
    assert agent.of(Deliver, agent.ended("a", DONE))  # nothing was sent for a while
    agent.now += 1
    assert not agent.of(Deliver, agent.ended("b", DONE))
    assert not agent.of(Deliver, agent.ended("c", DONE))
    (message,) = agent.of(Deliver, agent.run(10))
    assert [r.attempt for r in message.reports.reports] == ["b", "c"]


def test_queue_beyond_slots_is_worked_off_in_order() -> None:
    agent = Agent()
    agent.receive(assign("a", "b", "c", "d", slots=2))
    begun = [e.work.attempt for e in agent.of(Start)]
    assert begun == ["a", "b"]
    assert [e.work.attempt for e in agent.of(Start, agent.ended("b", DONE))] == ["c"]
    assert [e.work.attempt for e in agent.of(Start, agent.ended("a", BROKEN))] == ["d"]


def test_orders_of_one_lease_share_its_slots() -> None:
    agent = Agent()
    agent.receive(assign("a"))
    assert not agent.of(Start, agent.receive(assign("b")))
    assert agent.core.leases.reserved().cpu_millis == 1000


def test_many_reports_are_split_into_messages() -> None:
    agent = Agent()
    agent.device.change(cpu_millis=4_000_000, memory_bytes=1 << 50)
    agent.receive(assign(*(f"a{n}" for n in range(1_100)), slots=1_100))
    agent.run(20)
    assert [len(m.reports.reports) for m in agent.of(Deliver)] == [500, 500, 100]


# ---------------------------------------------------------------- fences and repeats


def test_repeated_order_of_a_live_attempt_is_answered_not_started() -> None:
    agent = Agent()
    agent.receive(assign("a"))
    agent.started("a")
    agent.run(20)
    assert not agent.of(Start, agent.receive(assign("a")))
    agent.run(20)
    assert states(agent, "a") == [("running", "ok")] * 2


def test_repeated_order_of_an_ended_attempt_gets_its_result_again() -> None:
    agent = Agent()
    agent.receive(assign("a"))
    agent.ended("a", DONE)
    agent.run(20)
    assert not agent.of(Start, agent.receive(assign("a")))
    agent.run(20)
    first, second = agent.reports()
    assert first == second


def test_attempt_twice_in_one_order_runs_once_with_the_higher_fence() -> None:
    agent = Agent()
    agent.receive(assign(order("a", fence=2), order("a", fence=1), order("a", fence=2), slots=4))
    assert [(e.work.attempt, e.work.fence) for e in agent.of(Start)] == [("a", 2)]


def test_lower_fence_is_ignored() -> None:
    agent = Agent()
    agent.receive(assign(order("a", fence=5)))
    agent.run(20)
    assert agent.receive(assign(order("a", fence=4))) == []
    assert agent.core.leases.live["a"].work.fence == 5
    assert agent.core.counters.counts["stale_orders"] == 1


def test_higher_fence_takes_over_and_the_old_end_counts_no_more() -> None:
    agent = Agent()
    agent.receive(assign("a"))
    effects = agent.receive(assign(order("a", fence=2)))
    assert agent.of(Stop, effects) == [Stop(attempt="a", fence=1)]
    assert [e.work.fence for e in agent.of(Start, effects)] == [2]
    agent.ended("a", DONE, fence=1)
    agent.run(20)
    assert all(r.fence == 2 for r in agent.reports())


def test_higher_fence_runs_again_after_an_end() -> None:
    agent = Agent()
    agent.receive(assign("a"))
    agent.ended("a", BROKEN)
    agent.run(20)
    assert agent.of(Start, agent.receive(assign(order("a", fence=2))))


def test_stale_attempt_is_stopped_and_forgotten_and_frees_its_slot() -> None:
    agent = Agent()
    agent.receive(assign("a", "b"))
    effects = agent.receive(Ack(acked_boot=3, seqs=(), stale=("a", "unknown")))
    assert agent.of(Stop, effects) == [Stop(attempt="a", fence=1)]
    assert agent.of(Forget, effects) == [Forget(keys=[], attempts=("a", "unknown"))]
    assert [e.work.attempt for e in agent.of(Start, effects)] == ["b"]
    agent.ended("a", BROKEN)
    agent.run(20)
    assert states(agent, "a") == []


# ---------------------------------------------------------------- refusals

REFUSALS: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    # the order, the owner's terms, reason, a word of the sentence
    ({"cpu_millis": 4001}, {}, "rejected", "cpu"),
    ({"cpu_millis": 2001, "slots": 2}, {}, "rejected", "cpu"),  # 2 x 2001 > 4000
    ({"memory_bytes": 5 << 30}, {}, "rejected", "memory"),
    ({"output_bytes_max": 65 << 20}, {}, "rejected", "output"),
    ({"slots": 0}, {}, "rejected", "slot"),
    ({"wasm": None}, {}, "rejected", "does not say"),
    ({"lease_ends_at": T0}, {}, "rejected", "lease"),
    ({}, {"runtimes": frozenset()}, "runtime_missing", "none"),
    ({"kind": "onnx"}, {"runtimes": frozenset({"wasm"})}, "runtime_missing", "wasm"),
    ({}, {"open_now": False}, "rejected", "hours"),
    ({}, {"refuses_tenants": frozenset({"tess"})}, "rejected", "tess"),
    ({}, {"accepts_tenants": frozenset({"tom"})}, "rejected", "tess"),
]


@pytest.mark.parametrize(("asked", "owner", "reason", "said"), REFUSALS)
def test_refusals(asked: dict[str, Any], owner: dict[str, Any], reason: str, said: str) -> None:
    agent = Agent()
    agent.device.change(**owner)
    effects = agent.receive(assign("a", **asked)) + agent.run(20)
    assert not agent.of(Start, effects)
    (report,) = agent.reports(effects)
    assert (report.state, report.reason) == ("failed", reason)
    assert said in report.detail


def test_second_lease_needs_room_beside_the_first() -> None:
    agent = Agent()
    agent.receive(assign("a", cpu_millis=3000))
    assert not agent.of(Start, agent.receive(assign("b", lease="lease_2", cpu_millis=1001)))
    assert agent.of(Start, agent.receive(assign("c", lease="lease_2", cpu_millis=1000)))
    agent.ended("a", DONE)
    assert agent.of(Start, agent.receive(assign("d", lease="lease_3", cpu_millis=3000)))


def test_draining_takes_nothing_new_and_goes_on_with_what_it_has() -> None:
    agent = Agent()
    agent.receive(assign("a", "b"))
    (said,) = agent.of(Send, agent.receive(Drain(on=True)))
    assert said.envelope.data.draining
    agent.receive(assign("c", lease="lease_2"))
    assert agent.of(Start, agent.ended("a", DONE))  # b was in hand already
    agent.run(20)
    assert states(agent, "c") == [("failed", "drained")]
    agent.receive(Drain(on=False))
    assert agent.of(Start, agent.receive(assign("d", lease="lease_3")))


# ---------------------------------------------------------------- stopping


def test_cancel_of_a_waiting_attempt_is_immediate_of_a_running_one_after_its_stop() -> None:
    agent = Agent()
    agent.receive(assign("a", "b"))
    agent.started("a")
    agent.run(20)
    effects = agent.receive(Cancel(attempts=("a", "b", "unknown"), reason="max_total"))
    assert agent.of(Stop, effects) == [Stop(attempt="a", fence=1)]
    agent.run(20)
    assert states(agent, "b")[-1] == ("cancelled", "max_total")
    assert states(agent, "a")[-1] == ("running", "ok")
    agent.ended("a", Outcome(state="failed", reason="trap", usage=Usage(wall_ms=9)))
    agent.run(20)
    assert states(agent, "a")[-1] == ("cancelled", "max_total")
    assert agent.reports()[-1].usage == Usage(wall_ms=9)


def test_cancel_that_comes_too_late_does_not_undo_a_success() -> None:
    agent = Agent()
    agent.receive(assign("a"))
    agent.receive(Cancel(attempts=("a",)))
    agent.ended("a", DONE)
    agent.run(20)
    assert states(agent, "a")[-1] == ("succeeded", "ok")
    agent.receive(Cancel(attempts=("a",)))
    agent.run(20)
    assert states(agent, "a")[-1] == ("succeeded", "ok")


def test_cancel_does_not_push_out_an_unsent_result() -> None:
    agent = Agent()
    agent.receive(assign("a", "b", slots=2))
    agent.ended("a", BROKEN)
    agent.run(20)
    agent.receive(assign(order("a", fence=2)))
    agent.ended("b", DONE)  # goes out at once, so that the next waits for its window
    agent.ended("a", DONE, fence=2)
    agent.receive(Cancel(attempts=("a",)))  # the journal still knows the first try alone
    agent.run(20)
    ends = [(r.fence, r.state) for r in agent.reports() if r.attempt == "a"]
    assert ends == [(1, "failed"), (2, "accepted"), (2, "succeeded")]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"lease_ends_at": T0 + 5_000}, "lease_expired"),
        ({"deadline_at": T0 + 5_000}, "deadline"),
        ({"deadline_at": T0 + 5_000, "lease_ends_at": T0 + 5_000}, "lease_expired"),
    ],
)
def test_limits_end_running_and_waiting_attempts(limits: dict[str, int], reason: str) -> None:
    agent = Agent()
    agent.receive(assign("a", "b", **limits))
    assert not agent.of(Stop, agent.run(4_999))
    assert agent.of(Stop, agent.run(1)) == [Stop(attempt="a", fence=1)]
    agent.ended("a", BROKEN)
    agent.run(20)
    assert states(agent, "a")[-1] == ("failed", reason)
    assert states(agent, "b")[-1] == ("failed", reason)


def test_cut_off_attempt_stops_after_its_time_and_only_it() -> None:
    agent = Agent()
    agent.receive(assign("a", lost_after_ms=5_000))
    agent.receive(assign("b", lease="lease_2"))
    agent.run(20)
    agent.do(agent.core.disconnected(agent.now))
    assert agent.of(Stop, agent.run(4_999)) == []
    assert agent.of(Stop, agent.run(1)) == [Stop(attempt="a", fence=1)]
    agent.ended("a", BROKEN)
    assert agent.of(Stop, agent.run(600_000)) == []
    assert states(agent, "a")[-1] == ("failed", "agent_lost")


def test_cut_off_for_less_goes_on() -> None:
    agent = Agent()
    agent.receive(assign("a", lost_after_ms=5_000))
    agent.do(agent.core.disconnected(agent.now))
    agent.run(4_000)
    agent.do(agent.core.connected(agent.now))
    assert agent.of(Stop, agent.run(60_000)) == []


def test_retire_ends_everything_and_farewell_is_a_clean_death() -> None:
    agent = Agent()
    agent.receive(assign("a", "b"))
    assert agent.of(Stop, agent.do(agent.core.retire("drained", "stop", agent.now)))
    agent.ended("a", BROKEN)
    farewell = agent.do(agent.core.farewell(agent.now))
    assert states(agent, "a")[-1] == states(agent, "b")[-1] == ("failed", "drained")
    assert isinstance(farewell[-1], Send)
    assert farewell[-1].envelope.data == Death(clean=True)
    assert farewell[-1].retain


# ---------------------------------------------------------------- acknowledgement and restart


def delivered(agent: Agent) -> MessageKey:
    envelope = agent.of(Deliver)[-1].envelope
    return MessageKey(envelope.boot, envelope.seq)


def test_acknowledged_message_is_forgotten_and_not_sent_again() -> None:
    agent = Agent()
    agent.receive(assign("a"))
    agent.ended("a", DONE)
    agent.run(20)
    key = delivered(agent)
    assert agent.receive(Ack(acked_boot=3, seqs=(key.seq, 999))) == [
        Forget(keys=[key], attempts=())
    ]
    assert agent.of(Resend, agent.run(600_000)) == []
    assert agent.receive(Ack(acked_boot=3, seqs=(key.seq,))) == []


def test_unacknowledged_message_is_resent_with_back_off() -> None:
    agent = Agent()
    agent.receive(assign("a"))
    agent.ended("a", DONE)
    agent.run(20)
    key, sent_at = delivered(agent), []
    for _ in range(200):
        if agent.of(Resend, agent.run(1_000)):
            sent_at.append((agent.now - T0) // 1_000)
    gaps = [b - a for a, b in itertools.pairwise(sent_at)]
    assert sent_at[0] == 5
    assert gaps == [10, 20, 40, 60, 60]
    assert all(e.keys == [key] for e in agent.of(Resend))


def test_resends_wait_for_a_control_plane_that_is_away_and_follow_its_return() -> None:
    agent = Agent()
    agent.receive(ControlState(online=True, epoch=1))
    agent.receive(assign("a"))
    agent.ended("a", DONE)
    agent.run(20)
    agent.receive(ControlState(online=False, epoch=1))
    assert agent.of(Resend, agent.run(300_000)) == []
    agent.receive(ControlState(online=True, epoch=2))
    assert agent.of(Resend, agent.run(2_000))


def test_outdated_status_is_dropped_instead_of_resent() -> None:
    agent = Agent()
    agent.receive(assign("a"))
    agent.run(20)
    status = delivered(agent)
    agent.ended("a", DONE)
    agent.run(20)
    result = delivered(agent)
    effects = agent.run(6_000)
    assert agent.of(Forget, effects) == [Forget(keys=[status])]
    assert agent.of(Resend, effects) == [Resend(keys=[result])]


def test_restart_resends_what_was_left_and_reports_interrupted_attempts_once() -> None:
    left = [MessageKey(2, seq) for seq in range(120)]
    agent = Agent(restored=Restored(pending=left, interrupted=[("a", 4)]))
    effects = agent.run(3_000)
    assert states(agent, "a") == [("failed", "agent_restarted")]
    (report,) = agent.reports()
    assert report.fence == 4
    resent = [e.keys for e in agent.of(Resend, effects)]
    assert [key for keys in resent for key in keys] == left  # oldest first, each once
    assert max(map(len, resent)) <= 50


def test_dropped_messages_are_not_asked_for() -> None:
    agent = Agent(restored=Restored(pending=[MessageKey(1, 1), MessageKey(1, 2)]))
    agent.core.dropped([MessageKey(1, 1)])
    assert [e.keys for e in agent.of(Resend, agent.run(100))] == [[MessageKey(1, 2)]]


def test_unexpected_message_is_counted() -> None:
    agent = Agent()
    assert agent.receive(Death()) == []
    assert agent.core.counters.counts["unexpected_message"] == 1


def test_next_wake_never_spins() -> None:
    """Whatever happened, a tick at the asked time moves the next one forward."""
    agent = Agent()
    agent.receive(assign("a", "b", lost_after_ms=1_000, deadline_at=T0 + 2_000))
    agent.do(agent.core.disconnected(agent.now))
    agent.run(LEASE_MS + 10_000)  # the executor never answers the stops
    ticks = 0
    agent.do(agent.core.connected(agent.now))
    while (wake := agent.core.next_wake(agent.now)) is not None and wake <= agent.now:
        agent.do(agent.core.tick(agent.now))
        ticks += 1
        assert ticks < 10
