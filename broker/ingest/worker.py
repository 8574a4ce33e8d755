"""The worker of ingest: takes batches, writes them, then answers; never gives up on the database.

A message is acknowledged to the MQTT server and to its node only after the commit. A batch that
the database refuses for what is in it is written message by message, so that only the offender is
dropped; a database that is away is waited for.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
import structlog
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from broker.ingest.apply import Effects, apply_batch
from broker.ingest.decode import Refused, decode_batch
from broker.ingest.gather import Gatherer
from broker.ingest.order import Order
from broker.logs import Seldom
from broker.mqtt import Arrived, Link
from broker.services import states
from broker.services.fleet import time_of
from broker.services.reports import ResultStore
from broker.services.sender import Sender
from db import telemetry
from db.engine import SessionFactory
from db.errors import StorageError, is_transient, run_in_transaction
from db.telemetry import NewReading, TelemetryWriter
from edge_agent.wire import Config, Envelope, Rebirth, Telemetry
from market.lifecycle import NodeState

RETRY_S = 0.5
TIMER_S = 1.0
DAYS_EVERY_S = 3600.0

log = structlog.get_logger(__name__)
MESSAGES = Counter("souk_ingest_messages", "Messages of devices, by type", ["type"])
REFUSED = Counter("souk_ingest_refused", "Payloads that are not of the protocol")
DROPPED = Counter("souk_ingest_dropped", "Messages that the database refused for their content")
STALE = Counter("souk_ingest_stale_reports", "Reports under a fence that is no longer current")
REPEATED = Counter("souk_ingest_repeated_reports", "Reports that told nothing new")
WAITING = Gauge("souk_ingest_waiting", "Messages that wait to be worked on")
BATCH = Histogram("souk_ingest_batch_seconds", "Time to write one batch")


@dataclass(slots=True, kw_only=True)
class Worker:
    """Writes what devices say."""

    sessions: SessionFactory
    link: Link
    sender: Sender
    gatherer: Gatherer
    store: ResultStore
    clock: Callable[[], datetime]
    fee_basis_points: int
    heartbeat_ms: Callable[[int], int]  # by the number of nodes seen
    artifacts_url: str
    readings: TelemetryWriter = field(default_factory=TelemetryWriter)
    order: Order = field(default_factory=Order)
    seldom: Seldom = field(default_factory=Seldom)
    _timer: float = float("-inf")
    _days_made: float = float("-inf")
    _nodes: set[str] = field(default_factory=set)

    def step(self, *, timeout_s: float, stopping: Callable[[], bool]) -> bool:
        """Work on one batch, if one comes within ``timeout_s``; whether one came."""
        messages = self.gatherer.take(timeout_s=timeout_s)
        WAITING.set(self.gatherer.waiting)
        if messages:
            began = self.gatherer.clock()
            self._work(messages, stopping)
            self.gatherer.done(began)
            BATCH.observe(self.gatherer.clock() - began)
        self._on_timer()
        return bool(messages)

    def _work(self, messages: Sequence[Arrived], stopping: Callable[[], bool]) -> None:
        decoded = decode_batch(messages)
        self._note_refused(decoded.refused)
        good = [envelope for envelope in decoded.good if self._in_order(envelope)]
        for envelope in good:
            MESSAGES.labels(envelope.type).inc()
            self._nodes.add(envelope.node)
        if good and not self._write(good, stopping):
            return  # stopping: what is not on record is not acknowledged
        self._keep_readings(good)
        for message in messages:
            self.link.ack(message)

    def _write(self, batch: Sequence[Envelope], stopping: Callable[[], bool]) -> bool:
        """Write ``batch``, however long the database is away; False if told to stop meanwhile."""
        while True:
            try:
                effects = run_in_transaction(self.sessions, lambda s: self._apply(s, batch))
            except (StorageError, DBAPIError) as error:
                if isinstance(error, DBAPIError) and not is_transient(error):
                    return self._write_each(batch, error, stopping)
                self._note("the database is away", error)
                if stopping():
                    return False
                time.sleep(RETRY_S)
            except Exception as error:
                return self._write_each(batch, error, stopping)
            else:
                self._answer(effects)
                return True

    def _apply(self, session: Session, batch: Sequence[Envelope]) -> Effects:
        return apply_batch(
            session,
            batch,
            store=self.store,
            fee_basis_points=self.fee_basis_points,
            now=self.clock(),
        )

    def _keep_readings(self, batch: Sequence[Envelope]) -> None:
        """Telemetry has a transaction of its own: it may be lost, and must not cost anything."""
        readings = _readings(batch)
        if not readings:
            return
        now = self.clock()
        try:
            with self.sessions.begin() as session:
                self.readings.write(session, readings, now=now)
        except (DBAPIError, psycopg.Error) as error:
            self._note("telemetry was lost", error)

    def _write_each(
        self, batch: Sequence[Envelope], error: Exception, stopping: Callable[[], bool]
    ) -> bool:
        """Halve a batch that cannot be written until the one message that is to blame is left."""
        if len(batch) > 1:
            half = len(batch) // 2
            return self._write(batch[:half], stopping) and self._write(batch[half:], stopping)
        DROPPED.inc()
        if (held := self.seldom.due(f"dropped {type(error).__name__}")) is not None:
            log.error(
                "dropped a message that cannot be written",
                node=batch[0].node,
                type=batch[0].type,
                error=str(error)[:500],
                held_back=held,
                exc_info=error,
            )
        return True

    def _answer(self, effects: Effects) -> None:
        for node, ack in effects.acks:
            self.sender.send(node, ack)
        for node in effects.fleet.born:
            self.sender.send(node, self._config())
        for node in effects.fleet.rebirth:
            if self.order.ask(node, now_s=time.monotonic()):
                self.sender.send(node, Rebirth(reason="its boot is new to the control plane"))
        STALE.inc(sum(len(attempts) for attempts in effects.reports.stale.values()))
        REPEATED.inc(effects.reports.repeated)
        for node in effects.fleet.unknown:
            self._note_node("message of a node that is not enrolled", node)

    def _config(self) -> Config:
        beat = self.heartbeat_ms(len(self._nodes))
        return Config(heartbeat_ms=beat, telemetry_ms=2 * beat, artifacts_url=self.artifacts_url)

    def _in_order(self, envelope: Envelope) -> bool:
        """False for what a copied identity sends, whose node is quarantined at once."""
        if self.order.see(envelope, now_s=time.monotonic()) == "fine":
            return True
        log.warning("two live boots of one identity", node=envelope.node, boot=envelope.boot)
        now = self.clock()
        run_in_transaction(
            self.sessions,
            lambda session: states.move_nodes(
                session,
                [envelope.node],
                NodeState.QUARANTINED,
                reason=f"two live boots of one identity ({envelope.boot} and a newer one)",
                now=now,
            ),
        )
        return False

    def _on_timer(self) -> None:
        now_s = time.monotonic()
        if now_s - self._timer < TIMER_S:
            return
        self._timer = now_s
        if now_s - self._days_made > DAYS_EVERY_S:
            self._days_made = now_s
            self._make_days()
        for node in self.order.gaps(now_s=now_s):
            self.sender.send(node, Rebirth(reason="messages are missing"))

    def _make_days(self) -> None:
        """Room for the readings of the next days; housekeeping sees to it too."""
        try:
            with self.sessions.begin() as session:
                telemetry.make_days(session, now=self.clock())
        except DBAPIError as error:
            self._note("no room could be made for telemetry", error)

    def _note_refused(self, refused: Sequence[Refused]) -> None:
        REFUSED.inc(len(refused))
        for each in refused:
            if (held := self.seldom.due("refused")) is not None:
                log.warning(
                    "refused a payload", topic=each.topic, reason=each.reason, held_back=held
                )

    def _note(self, text: str, error: Exception) -> None:
        if (held := self.seldom.due(text)) is not None:
            log.warning(text, error=str(error)[:300], held_back=held)

    def _note_node(self, text: str, node: str) -> None:
        if (held := self.seldom.due(text)) is not None:
            log.warning(text, node=node, held_back=held)


def _readings(batch: Sequence[Envelope]) -> list[NewReading]:
    return [
        NewReading(node_id=e.node, key=r.key, at=at, value=r.value)
        for e in batch
        if isinstance(e.data, Telemetry)
        for r in e.data.readings
        if (at := time_of(r.at)) is not None
    ]
