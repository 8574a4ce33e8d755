"""Prometheus metrics of this process and of the platform's state."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime

from fastapi import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics import Counter, Histogram
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from broker.services import overview
from broker.services.ledger_checks import LedgerChecks
from db.engine import SessionFactory

BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
FIGURES_TTL_S = 5.0


class Metrics:
    """A registry of one application, so that tests may make several."""

    def __init__(self, sessions: SessionFactory, checks: LedgerChecks) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "souk_http_requests_total",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "souk_http_request_duration_seconds",
            "Time to answer.",
            ("method", "route"),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.registry.register(_Figures(sessions, checks))

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request ended."""
        known = method if method in _METHODS else "OTHER"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)

    def render(self) -> Response:
        """The exposition text."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Figures(Collector):
    """What the database says, read when asked and at most every few seconds."""

    def __init__(self, sessions: SessionFactory, checks: LedgerChecks) -> None:
        self._sessions = sessions
        self._checks = checks
        self._read_at = -FIGURES_TTL_S
        self._figures: overview.Figures | None = None

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterable[GaugeMetricFamily | HistogramMetricFamily]:
        found = self._read()
        up = GaugeMetricFamily("souk_database_up", "Whether the database answers.")
        up.add_metric([], 0 if found is None else 1)
        yield up
        if found is None:
            return
        yield _gauge("souk_jobs", "Jobs by state.", "state", found.jobs)
        yield _gauge("souk_nodes", "Nodes by state.", "state", found.nodes)
        yield _gauge("souk_ledger_invariant_ok", "Whether it holds.", "invariant", found.invariants)
        latency = HistogramMetricFamily(
            "souk_job_submit_to_start_seconds", "Submit to start, jobs started in the last hour."
        )
        latency.add_metric([], buckets=found.start_buckets, sum_value=found.start_sum_s)
        yield latency

    def _read(self) -> "overview.Figures | None":
        if time.monotonic() - self._read_at < FIGURES_TTL_S and self._figures is not None:
            return self._figures
        try:
            with self._sessions() as session:
                self._figures = overview.figures(session, self._checks, now=datetime.now(UTC))
        except SQLAlchemyError:
            return None
        self._read_at = time.monotonic()
        return self._figures


def _gauge(name: str, help_text: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, help_text, labels=[label])
    for key, value in values.items():
        gauge.add_metric([key], value)
    return gauge
