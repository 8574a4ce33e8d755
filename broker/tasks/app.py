"""The Celery application: queues in our own PostgreSQL (pgmq), or a broker of the operator's.

Results are not kept: what a task does is in the database. A task is acknowledged when it is done,
so one whose worker died is done again; every task may be.
"""

import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from celery import Celery
from celery.beat import Service
from celery.signals import (
    beat_init,
    setup_logging,
    worker_init,
    worker_process_init,
    worker_ready,
    worker_shutdown,
)

from broker.logs import configure_logging
from broker.readiness import ReadyThread
from broker.settings import Settings, get_settings
from db.urls import libpq_url

QUEUE = "souk_rounds"
TASKS = ("broker.tasks.rounds", "broker.tasks.housekeeping")
VISIBILITY_S = 120  # well above the longest task: a task of a dead worker is seen again after it
TASK_TIME_MAX_S = 60
PREFETCH = 16
HOUSEKEEPING_EVERY = timedelta(minutes=1)
BEAT_LOOKS_EVERY_S = 1.0  # also how long beat may take to end

PGMQ_OPTIONS: dict[str, Any] = {
    "init_extension": False,
    "use_notify": True,
    "notify_throttle_interval_ms": 0,
    "visibility_timeout": VISIBILITY_S,
    "wait_time_seconds": 0,  # a long poll would sit in the server; NOTIFY wakes us instead
    "polling_interval": 0.25,  # should a NOTIFY be lost
    "pool_size": 2,
}


def queue_url(settings: Settings) -> str:
    """Where tasks are queued."""
    if settings.celery_broker_url:
        return settings.celery_broker_url
    return libpq_url(settings.database_url).replace("postgresql://", "pgmq://", 1)


def make_app(settings: Settings, *, tasks: Sequence[str] = TASKS) -> Celery:
    """The application for ``settings``, with the modules of ``tasks`` loaded where it runs."""
    url = queue_url(settings)
    made = Celery("souk", broker=url, include=list(tasks))
    made.conf.update(
        broker_transport_options=PGMQ_OPTIONS if url.startswith("pgmq") else {},
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_default_queue=QUEUE,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_time_limit=TASK_TIME_MAX_S,
        task_track_started=False,
        # The queue's reader sleeps until a NOTIFY and does not see that a child is free again, so
        # what arrives while all are busy must be at hand.
        worker_prefetch_multiplier=PREFETCH,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_concurrency=settings.worker_concurrency,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        result_backend=None,
        event_queue_expires=None,
        timezone="UTC",
        beat_max_loop_interval=BEAT_LOOKS_EVERY_S,
        beat_schedule={
            "clear-due-cells": {
                "task": "souk.clear_due_cells",
                "schedule": settings.round_interval_s,
                "options": {"expires": settings.round_interval_s},
            },
            "housekeeping": {
                "task": "souk.housekeeping",
                "schedule": HOUSEKEEPING_EVERY,
                "options": {"expires": HOUSEKEEPING_EVERY.total_seconds()},
            },
        },
    )
    return made


app = make_app(get_settings())
app.set_default()  # also for other threads of a process that only sends tasks
_ready: list[ReadyThread] = []


@setup_logging.connect  # type: ignore[untyped-decorator]
def _logging(**_: Any) -> None:
    configure_logging(get_settings(), "beat" if "beat" in sys.argv else "worker")


@worker_init.connect  # type: ignore[untyped-decorator]
def _compile(**_: Any) -> None:
    """Load and compile the market's kernels once, before the children are forked from here."""
    from market.snapshot import Policy
    from market.warming import warm
    from sim.generators import random_snapshot

    warm(Policy(mechanism=get_settings().mechanism), random_snapshot)


@worker_ready.connect  # type: ignore[untyped-decorator]
@beat_init.connect  # type: ignore[untyped-decorator]
def _show_ready(**_: Any) -> None:
    thread = ReadyThread()
    thread.start()
    _ready.append(thread)


@beat_init.connect  # type: ignore[untyped-decorator]
def _end_between_ticks(sender: Service, **_: Any) -> None:
    """Beat ends after the tick that it is in.

    Its own handler closes connections from within the signal, and waits for ever on a lock that
    the interrupted code holds.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sender.stop())


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _show_end(**_: Any) -> None:
    for thread in _ready:
        thread.stop()


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _warm_up(**_: Any) -> None:
    """A child opens its own connections before its first task, so that no job waits for them."""
    from broker.tasks.rounds import warm_up

    warm_up()
