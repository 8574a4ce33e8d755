"""Checks of all that an agent needs, each with what to do when it fails.

The table ``CHECKS`` is the order: a check that needs an earlier one which failed is skipped.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from edge_agent.addresses import Address, parse_address
from edge_agent.config import AgentConfig
from edge_agent.https import verified_context
from edge_agent.identity import Enrolment, StateDir
from edge_agent.machine import disk_free_bytes
from edge_agent.runtimes import installed
from edge_agent.wire import CONTROL_STATE

TIMEOUT_S = 5.0
DISK_FREE_BYTES_MIN = 256 << 20
CLOCK_SKEW_S_MAX = 5.0
EXPIRES_SOON_S = 3_600

Verdict = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One check's verdict, what was found, and what to do about it."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


@dataclass(slots=True, kw_only=True)
class Patient:
    """What is examined; ``enrolment`` is filled in by the check that reads it."""

    config: AgentConfig
    state: StateDir
    enrolment: Enrolment | None = None
    failed: set[str] = field(default_factory=set)

    @property
    def api(self) -> Address:
        """The API's address."""
        assert self.enrolment is not None
        return parse_address(self.enrolment.server)

    @property
    def mqtt(self) -> Address:
        """The MQTT server's address."""
        assert self.enrolment is not None
        return parse_address(self.enrolment.mqtt_url, scheme="mqtts", port=8883)


class _Bad(Exception):
    def __init__(self, found: str, advice: str, *, verdict: Verdict = "failed") -> None:
        super().__init__(found)
        self.found, self.advice, self.verdict = found, advice, verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A named examination; ``run`` says what it found or raises ``_Bad``."""

    name: str
    run: Callable[[Patient], str]
    needs: tuple[str, ...] = ()


def examine(patient: Patient) -> list[Result]:
    """Run every check in order."""
    return [_examine_one(check, patient) for check in CHECKS]


def _examine_one(check: Check, patient: Patient) -> Result:
    if missing := [name for name in check.needs if name in patient.failed]:
        patient.failed.add(check.name)
        return Result(name=check.name, verdict="skipped", found=f"needs {', '.join(missing)}")
    try:
        return Result(name=check.name, verdict="ok", found=check.run(patient))
    except _Bad as bad:
        if bad.verdict == "failed":
            patient.failed.add(check.name)
        return Result(name=check.name, verdict=bad.verdict, found=bad.found, advice=bad.advice)
    except Exception as error:  # a check must not end the others
        patient.failed.add(check.name)
        return Result(
            name=check.name,
            verdict="failed",
            found=str(error) or type(error).__name__,
            advice="see the error",
        )


# ---------------------------------------------------------------- the checks


def _state_dir(patient: Patient) -> str:
    patient.state.make()
    return str(patient.state.path)


def _disk(patient: Patient) -> str:
    free = disk_free_bytes(patient.state.path)
    if free < DISK_FREE_BYTES_MIN:
        raise _Bad(f"{free >> 20} MiB free", "free some space, or move the state directory")
    return f"{free / 2**30:.1f} GiB free"


def _enrolment(patient: Patient) -> str:
    patient.enrolment = patient.state.enrolment()
    if patient.enrolment is None:
        raise _Bad(
            "this device is not enrolled", "souk-agent enrol --server URL --token JOIN_TOKEN"
        )
    return patient.enrolment.node_id


def _certificate(patient: Patient) -> str:
    assert patient.enrolment is not None
    left_s = patient.enrolment.expires_at_ms() / 1000 - time.time()
    if left_s < 0:
        raise _Bad(
            f"it ended at {patient.enrolment.expires_at}",
            "start the agent: it renews within the grace time; else enrol again with --force",
            verdict="warning",
        )
    if left_s < EXPIRES_SOON_S:
        raise _Bad(
            f"it ends at {patient.enrolment.expires_at}",
            "the agent renews it while it runs; is it running?",
            verdict="warning",
        )
    return f"good until {patient.enrolment.expires_at}"


def _dns(patient: Patient) -> str:
    found = []
    for address in (patient.api, patient.mqtt):
        try:
            answers = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise _Bad(f"{address.host}: {error}", "check the name and the resolver") from None
        found.append(f"{address.host} = {answers[0][4][0]}")
    return ", ".join(dict.fromkeys(found))


def _tcp(patient: Patient) -> str:
    for address in (patient.api, patient.mqtt):
        try:
            socket.create_connection((address.host, address.port), TIMEOUT_S).close()
        except OSError as error:
            raise _Bad(
                f"{address.host}:{address.port}: {error}",
                "is the platform up, and does a firewall let this port out?",
            ) from None
    return f"ports {patient.api.port} and {patient.mqtt.port} answer"


def _tls(patient: Patient) -> str:
    context = verified_context(patient.state.ca.read_text(encoding="utf-8"))
    for address in (patient.api, patient.mqtt):
        try:
            with (
                socket.create_connection((address.host, address.port), TIMEOUT_S) as plain,
                context.wrap_socket(plain, server_hostname=address.host) as secure,
            ):
                version = secure.version()
        except ssl.SSLCertVerificationError as error:
            raise _Bad(
                f"{address.host}:{address.port}: {error.verify_message}",
                "the server is not the one that this device enrolled with, or a clock is wrong",
            ) from None
    return f"{version}, both servers verified by the platform's CA"


def _clock(patient: Patient) -> str:
    context = verified_context(patient.state.ca.read_text(encoding="utf-8"))
    connection = http.client.HTTPSConnection(
        patient.api.host, patient.api.port, timeout=TIMEOUT_S, context=context
    )
    try:
        connection.request("GET", "/v1/ca")
        date = connection.getresponse().getheader("Date")
    finally:
        connection.close()
    if date is None:
        raise _Bad("the server tells no time", "nothing to do", verdict="warning")
    skew = time.time() - parsedate_to_datetime(date).timestamp()
    if abs(skew) > CLOCK_SKEW_S_MAX:
        raise _Bad(f"this clock is {skew:+.0f} s off the server's", "set it, best by NTP")
    return f"within {max(abs(skew), 1):.0f} s of the server's"


def _mqtt(patient: Patient) -> str:
    from edge_agent import mqtt
    from edge_agent.link import client_context

    assert patient.enrolment is not None
    # A name of its own: the running agent's connection must not be taken over.
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id=f"{patient.enrolment.node_id}-dr"
    )
    client.tls_set_context(
        client_context(ca=patient.state.ca, credentials=patient.state.credentials)
    )
    done, said = threading.Event(), []

    def on_connect(client: mqtt.Client, _d: Any, _f: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            said.append(str(reason))
            done.set()
        else:
            client.subscribe(CONTROL_STATE, qos=1)

    client.on_connect = on_connect
    client.on_subscribe = lambda *_: done.set()
    started = time.perf_counter()
    try:
        client.connect(patient.mqtt.host, patient.mqtt.port, keepalive=10)
        client.loop_start()
        if not done.wait(TIMEOUT_S):
            said.append("no answer: the certificate may be refused")
    finally:
        client.disconnect()
        client.loop_stop()
    if said:
        raise _Bad(said[0], "is the node revoked, or its certificate over? enrol again if so")
    return f"connected and subscribed in {(time.perf_counter() - started) * 1000:.0f} ms"


def _runtimes(patient: Patient) -> str:
    found = installed(patient.config.runtimes)
    missing = [name for name in patient.config.runtimes if name not in found]
    text = ", ".join(f"{name} {version}" for name, version in found.items()) or "none"
    if missing:
        extras = ",".join(missing)
        raise _Bad(
            f"{text}; not installed: {', '.join(missing)}",
            f"pip install 'souk-agent[{extras}]', or take it out of runtimes",
            verdict="warning" if found else "failed",
        )
    return text


CHECKS: tuple[Check, ...] = (
    Check(name="state directory", run=_state_dir),
    Check(name="disk", run=_disk, needs=("state directory",)),
    Check(name="runtimes", run=_runtimes),
    Check(name="enrolment", run=_enrolment, needs=("state directory",)),
    Check(name="certificate", run=_certificate, needs=("enrolment",)),
    Check(name="DNS", run=_dns, needs=("enrolment",)),
    Check(name="TCP", run=_tcp, needs=("DNS",)),
    Check(name="TLS", run=_tls, needs=("TCP",)),
    Check(name="clock", run=_clock, needs=("TLS",)),
    Check(name="MQTT", run=_mqtt, needs=("TLS",)),
)
