"""The tasks of the market: clear one cell, or every cell that has waited long enough."""

from datetime import timedelta
from functools import lru_cache

import structlog
from celery import shared_task
from prometheus_client import Counter, Histogram
from sqlalchemy import Engine

from broker.process import utc_now
from broker.rounds import RoundReport, Rounds
from broker.rounds.single_flight import SingleFlight
from broker.settings import get_settings
from db import notify
from db.control import reconciling
from db.engine import make_engine, session_factory

ROUND_CHANNEL = "souk_round"  # payload: the cell whose round has ended
IDLE_PRICES_AFTER_S = 30.0  # without demand a price moves no more often than this

log = structlog.get_logger(__name__)
ROUNDS = Counter("souk_rounds", "Rounds cleared")
ROUND_SECONDS = Histogram("souk_round_seconds", "Time of a round", ["part"])


@lru_cache(maxsize=1)
def engine() -> Engine:
    """This worker child's connections."""
    return make_engine(get_settings().database_url, pool_max=2, application_name="souk worker")


@lru_cache(maxsize=1)
def rounds() -> Rounds:
    """This worker child's rounds."""
    settings = get_settings()
    return Rounds(
        sessions=session_factory(engine()),
        flight=SingleFlight(settings.database_url),
        clock=utc_now,
        mechanism=settings.mechanism,
        budget_ms=settings.round_budget_ms,
        interval_s=settings.round_interval_s,
    )


def warm_up() -> None:
    """Load and connect what a round needs."""
    rounds().warm_up()


@shared_task(name="souk.clear_cell")  # type: ignore[untyped-decorator]
def clear_cell(cell: str, timed: bool = False) -> None:
    """Clear one cell and say so; then what may wait: demands sent on, the shadow policy."""
    _note(rounds().clear_cell(cell, timed=timed, over=lambda: _tell(cell)))
    rounds().shadow()


def _tell(cell: str) -> None:
    """The cell's turn is over, whatever came of it."""
    with session_factory(engine()).begin() as session:
        notify.notify(session, ROUND_CHANNEL, cell)


@shared_task(name="souk.clear_due_cells")  # type: ignore[untyped-decorator]
def clear_due_cells() -> None:
    """Clear every cell with open demand; let prices settle where there is none."""
    with session_factory(engine())() as session:
        wanted = reconciling.cells_with_demand(session)
        before = utc_now() - timedelta(seconds=IDLE_PRICES_AFTER_S)
        quiet = reconciling.cells_with_old_prices(session, before=before)
    for cell in sorted({*wanted, *quiet}):
        clear_cell.delay(cell, timed=True)


def _note(report: RoundReport) -> None:
    if not report.ran:
        return
    ROUNDS.inc()
    for part, took_ms in report.timings_ms.items():
        ROUND_SECONDS.labels(part).observe(took_ms / 1000)
    if report.bids:
        log.info(
            "round",
            cell=report.cell,
            bids=report.bids,
            slots=report.slots_applied,
            refused=report.slots_refused,
            moved=report.moved,
            ms={part: round(took, 1) for part, took in report.timings_ms.items()},
        )
