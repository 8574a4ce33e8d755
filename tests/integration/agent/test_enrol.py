"""Enrolment and renewal against a TLS server that checks requests as the platform does."""

import json
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from edge_agent.enrol import renew
from edge_agent.exits import AgentError, Exit
from edge_agent.identity import StateDir
from edge_agent.link import client_context
from edge_agent.wire import Rebirth, State
from stack.mqtt_server import MqttServer
from tests.integration.agent.office import Office
from tests.integration.agent.platform import AgentProcess, ControlPlane, agent_process


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    made = AgentProcess(tmp_path)
    yield made
    made.kill()


def enrol(agent: AgentProcess, office: Office, *more: str, token: str = "") -> tuple[int, str]:
    done = agent.call("enrol", "--server", office.url, "--token", token or office.token, *more)
    return done.returncode, done.stdout + done.stderr


def test_enrol_stores_an_identity_for_its_owner_alone(agent: AgentProcess, office: Office) -> None:
    code, said = enrol(agent, office)
    assert code == 0, said
    assert office.node in said
    state = StateDir(agent.state)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (state.credentials, state.identity, state.ca)
    }
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(agent.state.stat().st_mode) == 0o700
    certificate = x509.load_pem_x509_certificate(state.credentials.read_bytes())
    assert certificate.subject.rfc4514_string() == f"CN={office.node}"
    client_context(ca=state.ca, credentials=state.credentials)  # key and certificate fit


def test_enrol_again_says_so_and_force_does_it(agent: AgentProcess, office: Office) -> None:
    enrol(agent, office)
    before = StateDir(agent.state).credentials.read_bytes()
    code, said = enrol(agent, office)
    assert (code, "already enrolled" in said) == (0, True)
    assert StateDir(agent.state).credentials.read_bytes() == before
    code, said = enrol(agent, office, "--force")
    assert (code, "enrolled as" in said) == (0, True)
    assert StateDir(agent.state).credentials.read_bytes() != before


def test_enrol_wrong_token_shows_what_the_server_says(agent: AgentProcess, office: Office) -> None:
    fingerprint = office.authority.fingerprint
    code, said = enrol(agent, office, token=f"souk_join_zz_wrong.{fingerprint}")
    assert code == Exit.REFUSED
    assert "The join token is unknown." in said
    assert StateDir(agent.state).enrolment() is None


def test_enrol_other_ca_is_refused_before_the_token_is_sent(
    agent: AgentProcess, office: Office
) -> None:
    code, said = enrol(agent, office, token="souk_join_0a1b_s3cret." + "0" * 64)
    assert code == Exit.CA_MISMATCH
    assert "fingerprint" in said
    assert [path for _, path, _ in office.requests] == ["/v1/ca"]


@pytest.mark.parametrize("token", ["", "nonsense", "souk_join_a_b", "souk_join_a_b.12"])
def test_enrol_malformed_token_is_a_usage_error(
    agent: AgentProcess, office: Office, token: str
) -> None:
    code, said = enrol(agent, office, token=token or " ")
    assert code == Exit.USAGE
    assert "souk_join_<id>_<secret>" in said


def test_enrol_server_that_does_not_answer(agent: AgentProcess, office: Office) -> None:
    done = agent.call("enrol", "--server", "https://127.0.0.1:9", "--token", office.token)
    assert done.returncode == Exit.NO_SERVER
    assert "127.0.0.1:9 does not answer" in done.stderr
    assert agent.call("enrol", "--server", "ftp://x", "--token", office.token).returncode == 2


def test_run_without_identity_says_what_to_do(agent: AgentProcess) -> None:
    done = agent.call("run")
    assert done.returncode == Exit.NOT_ENROLLED
    assert "souk-agent enrol" in done.stderr


def test_run_with_bad_configuration_names_the_setting(agent: AgentProcess) -> None:
    agent.config.write_text("[share]\ncpus = 1\n")
    done = agent.call("run")
    assert done.returncode == Exit.CONFIG
    assert "share.cpus is not a setting" in done.stderr


def test_renew_makes_a_new_key_proven_by_the_old(agent: AgentProcess, office: Office) -> None:
    enrol(agent, office)
    state = StateDir(agent.state)
    held = state.enrolment()
    assert held is not None
    before = state.credentials.read_text()
    renew(state, held)
    assert office.renewals == 1
    assert state.credentials.read_text() != before
    client_context(ca=state.ca, credentials=state.credentials)


def test_renew_refused_by_a_platform_that_revoked_the_node(
    agent: AgentProcess, office: Office
) -> None:
    enrol(agent, office)
    state = StateDir(agent.state)
    held = state.enrolment()
    assert held is not None
    office.problems = [(403, {"detail": "This node was revoked.", "code": "node_revoked"})]
    with pytest.raises(AgentError, match="revoked") as caught:
        renew(state, held)
    assert caught.value.exit_code is Exit.REVOKED


def test_expired_agent_renews_by_itself_and_connects(
    tmp_path: Path, office: Office, control: ControlPlane
) -> None:
    office.ttl = timedelta(seconds=1)
    agent = AgentProcess(tmp_path)
    agent.enrol(office)
    state = StateDir(agent.state)
    held = state.enrolment()
    assert held is not None
    _wait_until_past(held.expires_at_ms())
    office.ttl = timedelta(hours=1)
    agent.start()
    try:
        control.wait_for(State)
        assert office.renewals == 1
        fresh = state.enrolment()
        assert fresh is not None
        assert fresh.expires_at_ms() > held.expires_at_ms()
    finally:
        agent.kill()


def _wait_until_past(unix_ms: int) -> None:
    import time

    while time.time() * 1000 <= unix_ms:
        time.sleep(0.05)


def test_revoked_agent_ends_with_its_code(tmp_path: Path, office: Office) -> None:
    office.ttl = timedelta(seconds=1)
    agent = AgentProcess(tmp_path)
    agent.enrol(office)
    office.problems = [(403, {"detail": "This node was revoked.", "code": "node_revoked"})]
    agent.start()
    try:
        assert agent.wait() == Exit.REVOKED
    finally:
        agent.kill()


def test_server_with_another_ca_is_not_trusted_later(
    agent: AgentProcess, office: Office, tmp_path: Path
) -> None:
    from stack.mqtt_server import ephemeral_mqtt

    enrol(agent, office)
    state = StateDir(agent.state)
    with ephemeral_mqtt() as other:
        stranger = Office(pki=other.pki, mqtt_url=other.public_url)
        try:
            identity = json.loads(state.identity.read_text())
            state.identity.write_text(json.dumps(identity | {"server": stranger.url}))
            held = state.enrolment()
            assert held is not None
            with pytest.raises(AgentError) as caught:
                renew(state, held)
            assert caught.value.exit_code is Exit.CA_MISMATCH
            assert stranger.renewals == 0
        finally:
            stranger.close()


def test_doctor_of_a_healthy_node(
    tmp_path: Path, office: Office, control: ControlPlane, mqtt_server: MqttServer
) -> None:
    with agent_process(tmp_path, office) as agent:
        control.wait_for(State)
        done = agent.call("doctor", "-o", "json")
        checks = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
        assert {c["verdict"] for c in checks.values()} == {"ok"}, checks
        assert done.returncode == 0
        assert "connected and subscribed" in checks["MQTT"]["found"]
        control.send(Rebirth())  # the running agent's connection was not taken over
        control.wait_for(State, after=len(control.heard))


def test_doctor_says_what_is_wrong_and_skips_what_depends_on_it(
    agent: AgentProcess, office: Office
) -> None:
    done = agent.call("doctor", "-o", "json")
    checks = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
    assert done.returncode == Exit.DOCTOR
    assert checks["enrolment"]["verdict"] == "failed"
    assert "souk-agent enrol" in checks["enrolment"]["advice"]
    assert checks["MQTT"]["verdict"] == "skipped"
    enrol(agent, office)
    office.close()
    done = agent.call("doctor")
    assert done.returncode == Exit.DOCTOR
    assert "Connection refused" in done.stdout
