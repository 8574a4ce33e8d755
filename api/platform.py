"""What every request may need, made once per process."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.keys import KeyCache
from api.metrics import Metrics
from api.seal import Seal
from api.stream import Hub
from broker.services.artifact_store import FileStore
from broker.services.enrol import Office
from broker.services.ledger_checks import LedgerChecks
from broker.services.pki_files import device_authority
from broker.services.ratelimit import RateLimiter
from broker.services.secret import load_secret
from broker.settings import Settings
from db.engine import SessionFactory, make_engine, session_factory
from db.errors import run_in_transaction

T = TypeVar("T")

SIGN_IN_TRIES = 10  # at once, then one every six seconds, for each name and address


@dataclass(slots=True, kw_only=True)
class Platform:
    """Settings, database, store, authority and the process's caches."""

    settings: Settings
    engine: Engine
    sessions: SessionFactory
    store: FileStore
    office: Office
    secret: bytes
    seal: Seal
    keys: KeyCache
    hub: Hub
    checks: LedgerChecks
    metrics: Metrics
    requests: RateLimiter
    sign_ins: RateLimiter = field(
        default_factory=lambda: RateLimiter(burst=SIGN_IN_TRIES, per_s=1 / 6)
    )

    @classmethod
    def open(cls, settings: Settings) -> "Platform":
        """Connect to what the settings name; needs the PKI and the database to be there."""
        engine = make_engine(
            settings.database_url,
            pool_max=settings.database_pool_max,
            application_name="souk api",
        )
        sessions = session_factory(engine)
        checks = LedgerChecks()
        per_minute = settings.requests_per_minute
        secret = load_secret(settings.secret_path)
        return cls(
            settings=settings,
            engine=engine,
            sessions=sessions,
            store=FileStore(settings.artifacts),
            office=Office.of(settings, device_authority(settings.pki)),
            secret=secret,
            seal=Seal(secret),
            keys=KeyCache(sessions),
            hub=Hub(settings.database_url, sessions),
            checks=checks,
            metrics=Metrics(sessions, checks),
            requests=RateLimiter(burst=per_minute, per_s=per_minute / 60),
        )

    def now(self) -> datetime:
        """The time of a request."""
        return datetime.now(UTC)

    def transaction(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` in one transaction and commit."""
        return run_in_transaction(self.sessions, work)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()
