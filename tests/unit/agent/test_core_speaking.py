"""When and what the core says unasked: introduction, heartbeats, telemetry, silence."""

import itertools

from edge_agent.core import (
    Deliver,
    Outcome,
    Resend,
    Send,
)
from edge_agent.wire import (
    Birth,
    Config,
    Rebirth,
    State,
    Telemetry,
    Usage,
)
from tests.unit.agent.factories import Agent, assign

DONE = Outcome(state="succeeded", result_digest="sha256:1", usage=Usage(wall_ms=5))


def states(agent: Agent, attempt: str) -> list[tuple[str, str]]:
    return [(r.state, r.reason) for r in agent.reports() if r.attempt == attempt]


def test_connect_introduces_the_node() -> None:
    birth, state = Agent().effects
    assert isinstance(birth, Send)
    assert isinstance(birth.envelope.data, Birth)
    assert birth.retain
    assert birth.envelope.data.offer is not None
    assert isinstance(state, Send)
    assert isinstance(state.envelope.data, State)
    assert not state.retain
    assert (birth.envelope.boot, birth.envelope.seq, state.envelope.seq) == (3, 1, 2)


def test_every_envelope_has_the_next_seq() -> None:
    agent = Agent()
    agent.receive(assign("a"))
    agent.receive(Rebirth())
    agent.run(60_000)
    sent = [e.envelope.seq for e in agent.effects if isinstance(e, Send | Deliver)]
    assert sent == list(range(1, len(sent) + 1))


def test_rebirth_names_what_runs() -> None:
    agent = Agent()
    agent.receive(assign("a", "b"))
    agent.started("a")
    birth = agent.of(Send, agent.receive(Rebirth()))[0].envelope.data
    assert [(r.attempt, r.state) for r in birth.running] == [("a", "running"), ("b", "accepted")]


def test_heartbeats_are_jittered_around_the_assigned_interval() -> None:
    agent = Agent()
    agent.receive(Config(heartbeat_ms=1_000))
    agent.run(100_000)
    times = [e.envelope.at for e in agent.of(Send) if isinstance(e.envelope.data, State)][1:]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert all(850 <= gap <= 1_150 for gap in gaps)
    assert len(set(gaps)) > 20
    assert 90 <= len(gaps) <= 110


def test_material_change_is_said_early_but_not_too_often() -> None:
    agent = Agent()
    agent.receive(Config(heartbeat_ms=600_000))
    agent.run(5_000)
    agent.receive(assign("a"))  # a quarter of the cpu
    (state,) = [e for e in agent.of(Send, agent.run(5_000)) if isinstance(e.envelope.data, State)]
    assert state.envelope.data.cpu_free_millis == 3000
    for number in range(40):  # leases that come and go ten times a second
        agent.receive(assign(f"b{number}", lease="lease_2"))
        agent.run(50)
        agent.ended(f"b{number}", DONE)
        agent.run(50)
    states_said = [e for e in agent.of(Send) if isinstance(e.envelope.data, State)]
    assert len(states_said) <= 8  # 4 s at one a second, and those before


def test_telemetry_only_when_asked_for() -> None:
    agent = Agent()
    agent.run(60_000)
    assert not [e for e in agent.of(Send) if isinstance(e.envelope.data, Telemetry)]
    agent.receive(Config(heartbeat_ms=10_000, telemetry_ms=5_000))
    sent = [e for e in agent.of(Send, agent.run(60_000)) if isinstance(e.envelope.data, Telemetry)]
    assert 10 <= len(sent) <= 14
    assert all(e.qos == 0 for e in sent)


def test_clock_set_back_does_not_silence_the_node() -> None:
    agent = Agent()
    agent.run(1_000)
    agent.now -= 3_600_000
    agent.do(agent.core.tick(agent.now))
    assert [e for e in agent.of(Send, agent.run(12_000)) if isinstance(e.envelope.data, State)]


def test_offline_core_sends_nothing_but_keeps_results() -> None:
    agent = Agent(connected=False)
    agent.receive(assign("a"))
    agent.ended("a", DONE)
    effects = agent.run(120_000)
    assert agent.of(Send, effects) == agent.of(Resend, effects) == []
    assert states(agent, "a") == [("succeeded", "ok")]
    agent.do(agent.core.connected(agent.now))
    assert len(agent.of(Resend, agent.run(0) + agent.run(10))) == 1
