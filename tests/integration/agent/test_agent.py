"""A real agent process over real MQTT and TLS: introduces itself, works, fails well, says bye."""

import base64
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.wire import (
    Ack,
    Birth,
    Cancel,
    Config,
    Death,
    Drain,
    Rebirth,
    State,
    Telemetry,
    down_topic,
)
from tests.fixtures.modules import affine_model, wasm
from tests.integration.agent.office import Office
from tests.integration.agent.platform import (
    AgentProcess,
    ControlPlane,
    agent_process,
    assign,
    now_ms,
    order,
)

CONFIG = """
[share]
cpu_millis = 2000
memory_bytes = "512 MiB"
[agent]
stop_grace_s = 1
[labels]
site = "lab"
"""


@pytest.fixture
def agent(tmp_path: Path, office: Office, control: ControlPlane) -> Iterator[AgentProcess]:
    with agent_process(tmp_path, office, CONFIG) as made:
        control.wait_for(State, after=0)
        yield made


def test_agent_introduces_itself(agent: AgentProcess, control: ControlPlane) -> None:
    envelope = control.wait_for(Birth)
    birth = envelope.data
    assert isinstance(birth, Birth)
    assert envelope.boot == 1
    assert birth.labels == {"site": "lab"}
    assert birth.runtimes.keys() == {"wasm", "onnx"}
    assert birth.calibration_ops_per_s > 1_000
    assert birth.offer is not None
    assert birth.offer.capacity["memory_bytes"] == 512 << 20
    state = control.wait_for(State).data
    assert isinstance(state, State)
    assert state.cpu_free_millis == birth.offer.capacity["cpu_millis"]


def test_agent_runs_wasm_and_reports(
    agent: AgentProcess, control: ControlPlane, office: Office
) -> None:
    digest = office.store(wasm("words"))
    control.send(assign(digest, order("a1", b"one two three")))
    report = control.wait_end("a1")
    assert (report.state, report.reason) == ("succeeded", "ok"), report
    assert base64.b64decode(report.result_base64) == b"3"
    assert report.usage is not None
    assert report.usage.wall_ms >= 1
    assert report.usage.bytes_in == 13
    assert report.usage.bytes_out == 1


def test_agent_runs_onnx(agent: AgentProcess, control: ControlPlane, office: Office) -> None:
    digest = office.store(affine_model())
    control.send(assign(digest, order("a1", b'{"x":[[1,2,3]]}'), kind="onnx"))
    report = control.wait_end("a1")
    assert base64.b64decode(report.result_base64) == b'{"y":[[3.0,5.0,7.0]]}', report


def test_agent_works_off_a_queue_in_order(
    agent: AgentProcess, control: ControlPlane, office: Office
) -> None:
    digest = office.store(wasm("primes"))
    orders = [order(f"a{n}", b"1000") for n in range(40)]
    control.send(assign(digest, *orders, slots=2))
    ends = [control.wait_end(f"a{n}") for n in range(40)]
    assert {base64.b64decode(end.result_base64) for end in ends} == {b"168"}  # π(1000)
    assert all(len([r for r in control.reports(f"a{n}") if r.state == "succeeded"]) == 1
               for n in range(40))  # fmt: skip


def test_agent_large_input_and_result_travel_as_artifacts(
    agent: AgentProcess, control: ControlPlane, office: Office
) -> None:
    module, data = office.store(wasm("echo")), bytes(range(256)) * 1_000
    given = office.store(data)
    control.send(assign(module, order("a1", input_digest=given), output_bytes_max=1 << 20))
    report = control.wait_end("a1")
    assert (report.result_digest, report.result_bytes) == (given, len(data)), report
    assert report.result_base64 == ""
    assert ("PUT", f"/v1/artifacts/{given}", "") in office.requests


def test_agent_repeated_order_is_answered_not_run_again(
    agent: AgentProcess, control: ControlPlane, office: Office
) -> None:
    digest = office.store(wasm("words"))
    control.send(assign(digest, order("a1", b"one")))
    first = control.wait_end("a1")
    before = len(control.reports("a1"))
    control.send(assign(digest, order("a1", b"another input, to tell a second run")))
    control.wait(lambda: len(control.reports("a1")) > before or None, "the second report")
    assert control.reports("a1")[-1] == first


def test_agent_cancel_stops_the_run(
    agent: AgentProcess, control: ControlPlane, office: Office
) -> None:
    digest = office.store(wasm("loop"))
    control.send(assign(digest, order("a1"), order("a2"), slots=1))
    control.wait_report("a1", "running")
    control.send(Cancel(attempts=("a1", "a2")))
    for attempt in ("a1", "a2"):
        report = control.wait_end(attempt)
        assert (report.state, report.reason) == ("cancelled", "cancelled_by_user")
    usage = control.wait_end("a1").usage
    assert usage is not None
    assert usage.wall_ms > 0


def test_agent_stale_attempt_is_stopped_without_a_word(
    agent: AgentProcess, control: ControlPlane, office: Office
) -> None:
    digest = office.store(wasm("loop"))
    control.send(Config(heartbeat_ms=300))
    control.stale = {"a1"}
    control.send(assign(digest, order("a1"), cpu_millis=2000))
    control.wait_report("a1", "accepted", "running")
    words = office.store(wasm("words"))  # needs the whole node: it fits once a1 is gone
    control.wait_for(State, lambda state: not state.running and state.cpu_free_millis > 0,
                     after=len(control.heard))  # fmt: skip
    control.send(assign(words, order("a2", b"x"), lease="lease_2", cpu_millis=2000))
    assert control.wait_end("a2").state == "succeeded"
    assert not [r for r in control.reports("a1") if r.state in ("failed", "cancelled")]


def test_agent_refusals_are_typed(
    agent: AgentProcess, control: ControlPlane, office: Office
) -> None:
    digest = office.store(wasm("words"))
    control.send(assign(digest, order("big"), cpu_millis=50_000))
    report = control.wait_end("big")
    assert (report.state, report.reason) == ("failed", "rejected")
    assert "cpu" in report.detail
    control.send(assign("sha256:" + "0" * 64, order("none"), lease="lease_2"))
    assert control.wait_end("none").reason == "artifact"
    control.send(Drain(on=True))
    control.wait_for(State, lambda state: state.draining)
    control.send(assign(digest, order("drained"), lease="lease_3"))
    assert control.wait_end("drained").reason == "drained"


def test_agent_survives_garbage(agent: AgentProcess, control: ControlPlane, office: Office) -> None:
    topic = down_topic(office.node, "assign")
    for payload in (b"", b"\xff\x00", b"{}", b'{"v":9}', b"[" * 10_000, b"x" * 100_000):
        control.send_raw(topic, payload)
    control.send_raw(down_topic(office.node, "nonsense"), b"{}")
    digest = office.store(wasm("words"))
    control.send(assign(digest, order("a1", b"still here")))
    assert control.wait_end("a1").state == "succeeded"


def test_agent_heartbeat_and_telemetry_follow_config(
    agent: AgentProcess, control: ControlPlane
) -> None:
    control.send(Config(heartbeat_ms=200, telemetry_ms=200))
    seen = len(control.heard)
    control.wait(
        lambda: sum(isinstance(e.data, State) for e in control.heard[seen:]) >= 4 or None, "beats"
    )
    readings = control.wait_for(Telemetry).data
    assert isinstance(readings, Telemetry)
    assert "load_1m" in {reading.key for reading in readings.readings}


def test_agent_rebirth_on_request(agent: AgentProcess, control: ControlPlane) -> None:
    seen = len(control.heard)
    control.send(Rebirth(reason="gap"))
    assert control.wait_for(Birth, after=seen).boot == 1


def test_agent_orderly_end_is_a_clean_death(
    agent: AgentProcess, control: ControlPlane, office: Office
) -> None:
    digest = office.store(wasm("loop"))
    control.send(assign(digest, order("a1"), order("a2"), slots=1))
    control.wait_report("a1", "running")
    assert agent.stop() == 0
    assert {control.wait_end(a).reason for a in ("a1", "a2")} == {"drained"}
    death = control.wait_for(Death).data
    assert isinstance(death, Death)
    assert death.clean


def test_agent_kill_is_a_death_and_the_next_boot_reports_the_loss(
    agent: AgentProcess, control: ControlPlane, office: Office
) -> None:
    digest = office.store(wasm("loop"))
    control.send(assign(digest, order("a1")))
    control.wait_report("a1", "running")
    agent.kill()
    death = control.wait_for(Death)
    assert isinstance(death.data, Death)
    assert (death.boot, death.data.clean) == (1, False)
    agent.start()
    report = control.wait_end("a1")
    assert (report.state, report.reason) == ("failed", "agent_restarted")
    assert control.wait_for(Birth, after=control.heard.index(death)).boot == 2
    agent.stop()
    assert len([r for r in control.reports("a1") if r.state == "failed"]) == 1


def test_agent_unacknowledged_result_survives_a_kill(
    agent: AgentProcess, control: ControlPlane, office: Office
) -> None:
    digest = office.store(wasm("words"))
    control.acknowledges = False
    control.send(assign(digest, order("a1", b"one two")))
    first = control.wait_end("a1")
    agent.kill()
    before = len(control.reports("a1"))
    control.acknowledges = True
    agent.start()
    control.wait(lambda: len(control.reports("a1")) > before or None, "the resent result")
    assert control.reports("a1")[before:] == [first]


def test_agent_resends_until_acknowledged(
    agent: AgentProcess, control: ControlPlane, office: Office
) -> None:
    digest = office.store(wasm("words"))
    control.acknowledges = False
    control.send(assign(digest, order("a1", b"one")))
    control.wait_end("a1")
    control.wait(lambda: len(control.reports("a1")) >= 3 or None, "a resent message")
    ends = [e for e in control.heard if control_is_end(e, "a1")]
    assert len({(e.boot, e.seq) for e in ends}) == 1  # the same message, not a new one
    control.send(Ack(acked_boot=ends[0].boot, seqs=tuple(e.seq for e in ends)))


def control_is_end(envelope: object, attempt: str) -> bool:
    reports = getattr(getattr(envelope, "data", None), "reports", ())
    return any(r.attempt == attempt and r.state == "succeeded" for r in reports)


def test_agent_lost_after_stops_by_itself(
    tmp_path: Path, office: Office, control: ControlPlane
) -> None:
    from stack.mqtt_server import ephemeral_mqtt

    with ephemeral_mqtt() as server:
        cut_off = ControlPlane(server, office.node)
        own = Office(pki=server.pki, mqtt_url=server.public_url, node=office.node)
        try:
            with agent_process(tmp_path, own, CONFIG) as agent:
                cut_off.wait_for(State)
                digest = own.store(wasm("loop"))
                cut_off.send(assign(digest, order("a1"), lost_after_ms=500))
                cut_off.wait_report("a1", "running")
                port = server.port
                server.stop()
                _wait_until_idle(agent)
                assert server.port == port
                server.start()
                report = cut_off.wait_end("a1")
                assert (report.state, report.reason) == ("failed", "agent_lost")
        finally:
            cut_off.close()
            own.close()


def _wait_until_idle(agent: AgentProcess) -> None:
    import time

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
        if not children:
            return
        time.sleep(0.05)
    raise AssertionError("the child still runs")


def test_agent_takes_a_changed_configuration(agent: AgentProcess, control: ControlPlane) -> None:
    from edge_agent.wire import OfferTerms

    agent.config.write_text(CONFIG + "[price]\ncpu_micros_per_core_hour = 77\n")
    agent.signal(signal.SIGHUP)
    offer = control.wait_for(OfferTerms).data
    assert isinstance(offer, OfferTerms)
    assert offer.reserve_micros_per_hour["cpu_millis"] == 77
    agent.config.write_text("nonsense = 1\n")
    agent.signal(signal.SIGHUP)
    control.send(Rebirth())
    control.wait_for(Birth, after=len(control.heard) - 1)


def test_agent_status_and_second_start(agent: AgentProcess, office: Office) -> None:
    done = agent.call("status", "-o", "json")
    assert done.returncode == 0, done.stderr
    picture = json.loads(done.stdout)
    assert (picture["node"], picture["pid"]) == (office.node, agent.pid)
    second = agent.call("run")
    assert second.returncode == 13, second.stderr
    agent.stop()
    assert agent.call("status").returncode == 30


def test_agent_lease_end_stops_the_run(
    agent: AgentProcess, control: ControlPlane, office: Office
) -> None:
    digest = office.store(wasm("loop"))
    control.send(assign(digest, order("a1"), lease_ends_at=now_ms() + 1_500))
    report = control.wait_end("a1")
    assert (report.state, report.reason) == ("failed", "lease_expired")
