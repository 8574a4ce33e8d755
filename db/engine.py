"""Engines and session factories for PostgreSQL over psycopg 3."""

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from db.urls import sqlalchemy_url

SessionFactory = sessionmaker[Session]

LOCK_TIMEOUT_MS = 10_000
STATEMENT_TIMEOUT_MS = 60_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000
_OPTIONS: Mapping[str, object] = {
    "timezone": "UTC",
    "jit": "off",
    "lock_timeout": LOCK_TIMEOUT_MS,
    "statement_timeout": STATEMENT_TIMEOUT_MS,
    "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_TIMEOUT_MS,
}
# For processes that look rows up by their ids alone. A connection keeps its plans, and one that was
# made while a table was small reads all of it when it is large.
BY_INDEX: Mapping[str, object] = {"enable_seqscan": "off"}
# A server that vanished without a word is noticed in about 20 s instead of the kernel's 15 minutes.
_KEEPALIVES: Mapping[str, object] = {
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "connect_timeout": 10,
}


def make_engine(
    url: str, *, pool_max: int = 10, application_name: str = "souk", **options: object
) -> Engine:
    """An engine with at most ``pool_max`` connections, opened as they are needed.

    ``options`` are server settings of each connection, over the defaults above. A lost server is
    noticed by the first statement, which fails and empties the pool: see
    ``db.errors.run_in_transaction`` for who tries again.
    """
    chosen = {**_OPTIONS, **options}
    return create_engine(
        sqlalchemy_url(url),
        pool_size=pool_max,
        max_overflow=0,
        pool_timeout=10,
        pool_use_lifo=True,
        json_serializer=dump_json,
        json_deserializer=orjson.loads,
        connect_args={
            **_KEEPALIVES,
            "application_name": application_name,
            "options": " ".join(f"-c {name}={value}" for name, value in chosen.items()),
        },
    )


def dump_json(value: Any) -> str:
    """Compact JSON text for a JSONB parameter."""
    return orjson.dumps(value).decode()


def session_factory(engine: Engine) -> SessionFactory:
    """Makes sessions; rows keep what they held at the commit."""
    return sessionmaker(engine, expire_on_commit=False)
