"""The tasks of the market: clear a cell, a region or the root, or all that have waited long."""

from datetime import timedelta
from functools import lru_cache

import structlog
from celery import shared_task
from prometheus_client import Counter, Histogram
from sqlalchemy import Engine

from broker.process import utc_now
from broker.rounds import RoundReport, Rounds
from broker.rounds.single_flight import SingleFlight
from broker.rounds.supply import UP
from broker.rounds.upper import ROOT, UpperRounds
from broker.settings import get_settings
from db import notify
from db.control import hierarchy, reconciling
from db.engine import make_engine, session_factory

ROUND_CHANNEL = "souk_round"  # payload: the cell whose round has ended
LEVEL_TIME_MAX_S = 15  # of a region's or the root's round: it must not keep cells waiting
IDLE_PRICES_AFTER_S = 30.0  # without demand a price moves no more often than this

log = structlog.get_logger(__name__)
ROUNDS = Counter("souk_rounds", "Rounds cleared")
HANDED_DOWN = Counter("souk_demands_handed_down", "Demands that a region or the root moved")
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


@lru_cache(maxsize=1)
def upper_rounds() -> UpperRounds:
    """This worker child's rounds of regions and root."""
    settings = get_settings()
    return UpperRounds(
        sessions=session_factory(engine()),
        flight=SingleFlight(settings.database_url),
        clock=utc_now,
        mechanism=settings.mechanism,
        budget_ms=settings.round_budget_ms,
        fresh_s=settings.round_interval_s,
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
        above = hierarchy.places_with_work(session)
    for cell in sorted({*wanted, *quiet}):
        clear_cell.delay(cell, timed=True)
    for place in above:
        ask_for_level(place, timed=True)


@shared_task(name="souk.clear_region", time_limit=LEVEL_TIME_MAX_S)  # type: ignore[untyped-decorator]
def clear_region(region: str, timed: bool = False) -> None:
    """Decide which cell of a region takes what its others could not serve."""
    _clear_level(region, timed=timed)


@shared_task(name="souk.clear_root", time_limit=LEVEL_TIME_MAX_S)  # type: ignore[untyped-decorator]
def clear_root(timed: bool = False) -> None:
    """Decide which cell of all takes what its region could not place."""
    _clear_level(ROOT, timed=timed)


def ask_for_level(place: str, *, timed: bool = False) -> None:
    """Queue the round of a region (its id) or of the root."""
    if place == ROOT:
        clear_root.apply_async((timed,), retry=False)
    else:
        clear_region.apply_async((place, timed), retry=False)


def _clear_level(place: str, *, timed: bool) -> None:
    try:
        report = upper_rounds().clear(place, timed=timed)
    finally:
        _tell(f"{UP}{place}")
    if report.bids:
        log.info(
            "level",
            place=report.place,
            bids=report.bids,
            handed_down=report.handed_down,
            slots=report.slots,
            ms={part: round(took, 1) for part, took in report.timings_ms.items()},
        )
        HANDED_DOWN.inc(report.handed_down)


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
            sent_up=report.sent_up,
            ms={part: round(took, 1) for part, took in report.timings_ms.items()},
        )
