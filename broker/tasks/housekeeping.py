"""What is done once in a while: forget what is old, make room for what is new."""

from datetime import timedelta

import structlog
from celery import shared_task

from broker.process import utc_now
from broker.settings import get_settings
from broker.tasks.rounds import engine
from db import retention, telemetry
from db.engine import session_factory

BATCHES_MAX = 20  # of each kind in one call; the next call goes on

log = structlog.get_logger(__name__)


@shared_task(name="souk.housekeeping")  # type: ignore[untyped-decorator]
def housekeeping() -> None:
    """Make telemetry's partitions, delete what retention no longer keeps."""
    sessions = session_factory(engine())
    settings = get_settings()
    keep = retention.Retention(
        snapshots=timedelta(hours=settings.snapshots_keep_h),
        snapshots_max=settings.snapshots_keep_max,
    )
    with sessions.begin() as session:
        telemetry.make_days(session, now=utc_now())
    for _ in range(BATCHES_MAX):
        with sessions.begin() as session:
            gone = retention.forget(session, now=utc_now(), keep=keep)
        if any(gone.values()):
            log.info("forgot", **{kind: count for kind, count in gone.items() if count})
        if all(count < retention.BATCH_MAX for count in gone.values()):
            return
