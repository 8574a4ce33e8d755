"""``python -m broker.dispatch``: the process that sets rounds off and sends work out."""

import os
import queue
import sys
import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy.exc import DBAPIError

from allocator import LeastFinish
from broker.dispatch.debounce import Debounce
from broker.dispatch.dispatcher import Dispatcher
from broker.dispatch.hearing import Ingest
from broker.dispatch.loop import LOOK_EVERY_S, Loop
from broker.dispatch.outbox import OutboxSender
from broker.logs import Seldom, configure_logging
from broker.mqtt import Arrived, Link
from broker.process import StopSignal, utc_now
from broker.readiness import mark_ready
from broker.reconcile import Reconciler
from broker.revocations import RevokedList
from broker.rounds.supply import UP
from broker.services.secret import load_secret
from broker.services.sender import Sender
from broker.settings import Settings, get_settings
from broker.tasks.rounds import ROUND_CHANNEL, ask_for_level, clear_cell
from db import notify
from db.engine import BY_INDEX, make_engine, session_factory
from db.errors import StorageError
from db.notify import Listener
from edge_agent.wire import CONTROL_STATE

TIMER_EVERY_S = 0.5
RESEND_EVERY_S = 1.0
READY_EVERY_S = 1.0

log = structlog.get_logger(__name__)


def main() -> int:
    """Run until told to stop; returns the exit code."""
    settings = get_settings()
    configure_logging(settings, "dispatch")
    stop = StopSignal().listen()
    run(settings, stop)
    return 0


def run(settings: Settings, stop: StopSignal) -> None:
    """Dispatch until ``stop``."""
    engine = make_engine(
        settings.database_url, pool_max=6, application_name="souk dispatch", **BY_INDEX
    )
    sessions = session_factory(engine)
    ingest = Ingest()
    link = Link(
        settings.mqtt_url,
        settings.mqtt_tls,
        client_id="souk-dispatch",
        subscriptions=(CONTROL_STATE,),
        on_message=lambda message: _hear(ingest, link, message),
    )
    sender = Sender(publisher=link, epoch=int(time.time() * 1000), clock=utc_now)
    outbox_hint = threading.Event()
    rounds: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    dispatcher = Dispatcher(
        sessions=sessions,
        sender=sender,
        allocator=LeastFinish(),
        secret=load_secret(settings.secret_path),
        clock=utc_now,
        fee_basis_points=settings.fee_basis_points,
    )
    outbox = OutboxSender(sessions=sessions, sender=sender, clock=utc_now)
    reconciler = Reconciler(
        sessions=sessions,
        clock=utc_now,
        listening_s=lambda: ingest.listening_s() if link.connected.is_set() else 0.0,
        silent_after_s=settings.node_silent_after_s,
        lost_after_s=settings.lost_after_s,
        fee_basis_points=settings.fee_basis_points,
    )
    revoked = RevokedList(sessions=sessions, path=settings.mqtt_revoked_file, clock=utc_now)
    link.start()
    threads = [
        _thread("outbox", lambda: _each_hint(outbox_hint, stop, outbox.drain)),
        _thread("reconcile", lambda: _each_while(TIMER_EVERY_S, stop, reconciler.run)),
        _thread("resend", lambda: _each_while(RESEND_EVERY_S, stop, dispatcher.resend)),
        _thread("revoked", lambda: _each_while(RESEND_EVERY_S, stop, revoked.run)),
        _thread("rounds", lambda: _enqueue(rounds)),
    ]
    channels = (notify.DEMAND, notify.LEASE, notify.OUTBOX, ROUND_CHANNEL)
    with Listener(settings.database_url, channels, application_name="souk dispatch") as listener:
        loop = Loop(
            sessions=sessions,
            listener=listener,
            dispatcher=dispatcher,
            debounce=Debounce(pause_s=settings.round_debounce_ms / 1000),
            rounds=rounds,
            outbox_hint=outbox_hint,
        )
        log.info("dispatch listens", mqtt=settings.mqtt_url.rpartition("@")[2])
        _run_loop(loop, settings, link, stop)
    rounds.put(None)
    outbox_hint.set()
    for thread in threads:
        thread.join(timeout=5.0)
    link.stop()
    engine.dispose()
    log.info("dispatch ended")


def _hear(ingest: Ingest, link: Link, message: Arrived) -> None:
    ingest.message(message)
    link.ack(message)


def _run_loop(loop: Loop, settings: Settings, link: Link, stop: StopSignal) -> None:
    seldom = Seldom()
    touched = float("-inf")
    while not stop():
        _guarded("dispatch", loop.step, seldom, stop)
        if link.connected.is_set() and time.monotonic() - touched > READY_EVERY_S:
            mark_ready(settings)
            touched = time.monotonic()


def _thread(name: str, work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


def _each_hint(hint: threading.Event, stop: StopSignal, work: Callable[[], object]) -> None:
    """Do ``work`` at each hint, and at times without one."""
    seldom = Seldom()
    while not stop():
        hint.wait(LOOK_EVERY_S)
        hint.clear()
        _guarded("outbox", work, seldom, stop)


def _each_while(every_s: float, stop: StopSignal, work: Callable[[], object]) -> None:
    seldom = Seldom()
    while not stop.wait(every_s):
        _guarded(threading.current_thread().name, work, seldom, stop)


def _guarded(
    name: str, work: Callable[[], object], seldom: Seldom, stop: Callable[[], bool]
) -> None:
    """Do ``work``; what it cannot do now it is asked to do again soon."""
    try:
        work()
    except (StorageError, DBAPIError) as error:
        if (held := seldom.due(name)) is not None:
            log.warning("storage refused", part=name, error=str(error)[:300], held_back=held)
        if not stop():
            time.sleep(0.2)
    except Exception as error:
        if (held := seldom.due(name)) is not None:
            log.error("failed", part=name, error=repr(error), held_back=held, exc_info=error)
        if not stop():
            time.sleep(0.2)


def _enqueue(rounds: "queue.SimpleQueue[str | None]") -> None:
    """Hand cells to the workers; a queue that is away costs a round, which the timer makes up."""
    seldom = Seldom()
    while (cell := rounds.get()) is not None:
        try:
            if cell.startswith(UP):
                ask_for_level(cell.removeprefix(UP))
            else:
                clear_cell.apply_async((cell,), retry=False)
        except Exception as error:
            if (held := seldom.due("rounds")) is not None:
                log.warning("a round could not be queued", error=repr(error), held_back=held)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # paho's thread may hang in a TLS shutdown; there is nothing left to lose
