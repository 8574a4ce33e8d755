"""``python -m broker.ingest``: the process that listens to devices."""

import contextlib
import os
import sys
import time

import structlog

from broker.ingest.gather import Gatherer
from broker.ingest.worker import Worker
from broker.logs import configure_logging
from broker.mqtt import Link
from broker.process import StopSignal, utc_now
from broker.readiness import mark_ready
from broker.services.artifacts import store_for
from broker.services.sender import Sender
from broker.settings import Settings, get_settings
from db.engine import BY_INDEX, make_engine, session_factory
from edge_agent.wire import CONTROL_STATE, ControlState, Envelope, encode, up_filter

READY_EVERY_S = 1.0
TAKE_S = 0.5
CONTROL_NODE = "control"  # the envelope's sender where it is no node

log = structlog.get_logger(__name__)


def main() -> int:
    """Run until told to stop; returns the exit code."""
    settings = get_settings()
    configure_logging(settings, "ingest")
    stop = StopSignal().listen()
    run(settings, stop)
    return 0


def run(settings: Settings, stop: StopSignal) -> None:
    """Listen and write until ``stop``."""
    epoch = int(time.time() * 1000)
    engine = make_engine(
        settings.database_url, pool_max=2, application_name="souk ingest", **BY_INDEX
    )
    gatherer = Gatherer()
    link = Link(
        settings.mqtt_url,
        settings.mqtt_tls,
        client_id="souk-ingest",
        subscriptions=(up_filter(),),
        on_message=gatherer.put,
        on_connect=lambda: _announce(link, epoch, online=True),
        will=(CONTROL_STATE, _control_state(epoch, online=False)),
    )
    worker = Worker(
        sessions=session_factory(engine),
        link=link,
        sender=Sender(publisher=link, epoch=epoch, clock=utc_now),
        gatherer=gatherer,
        store=store_for(settings.artifacts),
        clock=utc_now,
        fee_basis_points=settings.fee_basis_points,
        heartbeat_ms=lambda nodes: heartbeat_ms(settings, nodes),
        artifacts_url=settings.agent_url,
    )
    link.start()
    log.info("ingest listens", mqtt=settings.mqtt_url.rpartition("@")[2])
    touched = 0.0
    while not stop():
        worker.step(timeout_s=TAKE_S, stopping=stop)
        if link.connected.is_set() and time.monotonic() - touched > READY_EVERY_S:
            mark_ready(settings)
            touched = time.monotonic()
    while worker.step(timeout_s=0.0, stopping=stop):  # what has arrived is finished first
        pass
    _announce(link, epoch, online=False)
    link.stop()
    engine.dispose()
    log.info("ingest ended")


def heartbeat_ms(settings: Settings, nodes: int) -> int:
    """How often a device reports: the setting, or less often where the fleet is large."""
    bounded_s = nodes / settings.fleet_messages_per_s_max
    return int(max(settings.heartbeat_interval_s, bounded_s) * 1000)


def _announce(link: Link, epoch: int, *, online: bool) -> None:
    sent = link.publish(CONTROL_STATE, _control_state(epoch, online=online), retain=True)
    if not online:
        with contextlib.suppress(RuntimeError, ValueError):
            sent.wait_for_publish(1.0)


def _control_state(epoch: int, *, online: bool) -> bytes:
    message = ControlState(online=online, epoch=epoch)
    at = int(utc_now().timestamp() * 1000)
    return encode(Envelope(node=CONTROL_NODE, boot=epoch, seq=0, at=at, data=message))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # paho's thread may hang in a TLS shutdown; there is nothing left to lose
