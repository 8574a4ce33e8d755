"""Whatever comes in whatever order: nothing runs twice, slots and caps hold, each end is told."""

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge_agent.core import Deliver, Effect, MessageKey, Outcome, Start, Stop
from edge_agent.wire import Ack, Cancel, ControlState, Drain
from tests.unit.agent.factories import Agent, assign, order

ATTEMPTS = st.sampled_from([f"a{n}" for n in range(6)])
FENCES = st.integers(1, 3)
ENDS = ("succeeded", "failed", "cancelled")
OUTCOMES = st.sampled_from(
    [
        Outcome(state="succeeded"),
        Outcome(state="failed", reason="trap"),
        Outcome(state="failed", reason="timeout"),
    ]
)


class AgentMachine(RuleBasedStateMachine):
    """Drives a core as a control plane, executors and a bad network would."""

    def __init__(self) -> None:
        super().__init__()
        self.agent = Agent()
        self.running: dict[tuple[str, int], bool] = {}  # (attempt, fence) → told to stop
        self.starts: Counter[tuple[str, int]] = Counter()
        self.stale: set[str] = set()
        self.pending: list[MessageKey] = []

    def follow(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Start):
                key = (effect.work.attempt, effect.work.fence)
                self.starts[key] += 1
                self.running[key] = False
                if (
                    queue := self.agent.core.leases.queues.get(effect.work.assign.lease)
                ) is not None:
                    assert len(queue.busy) <= queue.terms.slots, "more runs than there are slots"
            elif isinstance(effect, Stop):
                assert (effect.attempt, effect.fence) in self.running, "a stop of what does not run"
                self.running[effect.attempt, effect.fence] = True
            elif isinstance(effect, Deliver):
                self.pending.append(MessageKey(effect.envelope.boot, effect.envelope.seq))

    @rule(
        orders=st.lists(st.tuples(ATTEMPTS, FENCES), min_size=1, max_size=4),
        lease=st.sampled_from(["l1", "l2", "l3"]),
        slots=st.integers(1, 3),
        limits=st.fixed_dictionaries(
            {}, optional={"lost_after_ms": st.just(3_000), "deadline_at": st.integers(0, 9_000)}
        ),
    )
    def assign(
        self, orders: list[tuple[str, int]], lease: str, slots: int, limits: dict[str, int]
    ) -> None:
        if "deadline_at" in limits:
            limits["deadline_at"] += self.agent.now
        tasks = [order(attempt, fence=fence) for attempt, fence in orders]
        message = assign(*tasks, lease=lease, slots=slots, **limits)
        self.follow(self.agent.receive(message))

    @rule(attempts=st.lists(ATTEMPTS, max_size=3))
    def cancel(self, attempts: list[str]) -> None:
        self.follow(self.agent.receive(Cancel(attempts=tuple(attempts))))

    @rule(data=st.data(), outcome=OUTCOMES)
    def end(self, data: st.DataObject, outcome: Outcome) -> None:
        if self.running:
            key = data.draw(st.sampled_from(sorted(self.running)))
            del self.running[key]
            self.follow(self.agent.ended(key[0], outcome, fence=key[1]))

    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        if self.running:
            key = data.draw(st.sampled_from(sorted(self.running)))
            self.follow(self.agent.started(*key))

    @rule(ms=st.integers(0, 8_000))
    def wait(self, ms: int) -> None:
        self.follow(self.agent.run(ms))

    @rule(stale=st.lists(ATTEMPTS, max_size=2), all_of_them=st.booleans())
    def acknowledge(self, stale: list[str], all_of_them: bool) -> None:
        chosen = self.pending if all_of_them else self.pending[:1]
        seqs = tuple(key.seq for key in chosen)
        for key in chosen:
            assert key.boot == 3
        self.pending = self.pending[len(chosen) :]
        for attempt in stale:
            self.agent.history.reports.pop(attempt, None)
            self.stale.add(attempt)
        self.follow(self.agent.receive(Ack(acked_boot=3, seqs=seqs, stale=tuple(stale))))

    @rule(on=st.booleans())
    def drain(self, on: bool) -> None:
        self.follow(self.agent.receive(Drain(on=on)))

    @rule(up=st.booleans())
    def link(self, up: bool) -> None:
        core, now = self.agent.core, self.agent.now
        self.follow(self.agent.do(core.connected(now) if up else core.disconnected(now)))

    @rule(online=st.booleans(), epoch=st.integers(1, 3))
    def control_plane(self, online: bool, epoch: int) -> None:
        self.follow(self.agent.receive(ControlState(online=online, epoch=epoch)))

    @invariant()
    def nothing_runs_twice(self) -> None:
        """Unless the platform had the attempt forgotten, by calling it stale."""
        twice = [k for k, count in self.starts.items() if count > 1 and k[0] not in self.stale]
        assert twice == []

    @invariant()
    def caps_and_slots_hold(self) -> None:
        leases = self.agent.core.leases
        reserved = leases.reserved()
        assert reserved.cpu_millis <= 4_000
        for queue in leases.queues.values():
            assert not set(queue.waiting) & queue.busy
        assert sum(len(q.busy) + len(q.waiting) for q in leases.queues.values()) == len(leases.live)

    @invariant()
    def one_end_each(self) -> None:
        """Repeats say the same; no try has two different ends."""
        ends: dict[tuple[str, int], set[Any]] = {}
        for report in self.agent.reports():
            if report.state in ENDS and report.attempt not in self.stale:
                ends.setdefault((report.attempt, report.fence), set()).add(
                    (report.state, report.reason)
                )
        assert all(len(found) == 1 for found in ends.values()), ends

    def teardown(self) -> None:
        """In the end every run that was not given up has been told of."""
        self.follow(self.agent.do(self.agent.core.connected(self.agent.now)))
        while self.running:
            key = next(iter(self.running))
            del self.running[key]
            self.follow(self.agent.ended(key[0], Outcome(state="succeeded"), fence=key[1]))
        self.agent.run(1_000)
        told: dict[str, int] = {}  # the highest fence of which an end was reported
        for report in self.agent.reports():
            if report.state in ENDS:
                told[report.attempt] = max(report.fence, told.get(report.attempt, 0))
        missing = [k for k in self.starts if told.get(k[0], 0) < k[1] and k[0] not in self.stale]
        assert missing == []


AgentMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, derandomize=True
)
test_agent_machine = AgentMachine.TestCase
