"""Logging of every process: structlog to standard output, as JSON or as text for people."""

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from broker.settings import Settings

# Libraries that tell of each message or beat what is of no interest while it goes well.
NOISY = (
    "alembic",
    "kombu",
    "psycopg.pool",
    "fsspec",
    "celery.app.trace",
    "celery.beat",
    "celery.worker.strategy",
)


def configure_logging(settings: Settings, process: str) -> None:
    """Send our log and that of libraries to standard output, each line with ``process``."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    form: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, form],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.contextvars.bind_contextvars(process=process)


@dataclass(slots=True)
class Seldom:
    """Lets one in each ``every_s`` seconds through, by subject, and counts what it held back."""

    every_s: float = 10.0
    clock: Callable[[], float] = time.monotonic
    subjects_max: int = 1_000
    _last: dict[str, float] = field(default_factory=dict)
    _held: dict[str, int] = field(default_factory=dict)

    def due(self, subject: str) -> int | None:
        """How many were held back since the last one let through; None: hold this one back."""
        now = self.clock()
        if now - self._last.get(subject, -self.every_s) < self.every_s:
            self._held[subject] = self._held.get(subject, 0) + 1
            return None
        if len(self._last) >= self.subjects_max:
            self._last.clear()
        self._last[subject] = now
        return self._held.pop(subject, 0)
