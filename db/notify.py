"""NOTIFY inside a transaction, and listeners that survive a lost connection.

A notification is a hint that something is to be seen, never the news itself: a listener that was
cut off yields ``MISSED`` for every channel once it is back, and its user looks at everything.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.arrays import texts
from db.urls import libpq_url

DEMAND = "souk_demand"  # payload: cell id
LEASE = "souk_lease"  # payload: job id
OUTBOX = "souk_outbox"  # payload: node id
EVENT = "souk_event"  # payload: ""
CHANNELS = (DEMAND, LEASE, OUTBOX, EVENT)

RECONNECT_S = 0.2
RECONNECT_MAX_S = 5.0
BATCH_MAX = 10_000

_NOTIFY = text(
    "SELECT pg_notify(channel, payload)"
    " FROM unnest(CAST(:channels AS text[]), CAST(:payloads AS text[])) AS n(channel, payload)"
)


@dataclass(frozen=True, slots=True)
class Notification:
    """One hint. ``payload`` None (``missed``): hints may have been lost, look at everything."""

    channel: str
    payload: str | None

    @property
    def missed(self) -> bool:
        return self.payload is None


def notify(session: Session, channel: str, payload: str = "") -> None:
    """Tell listeners of ``channel`` once this transaction commits; repeats count once."""
    notify_all(session, [(channel, payload)])


def notify_all(session: Session, hints: Iterable[tuple[str, str]]) -> None:
    """As ``notify`` for many, in one statement."""
    unique = sorted(set(hints))
    if unique:
        session.execute(
            _NOTIFY,
            {"channels": texts([c for c, _ in unique]), "payloads": texts([p for _, p in unique])},
        )


def _listen_statement(channels: Sequence[str]) -> sql.Composed:
    return sql.SQL("; ").join(sql.SQL("LISTEN {}").format(sql.Identifier(c)) for c in channels)


class Listener:
    """For a process that blocks: ``with Listener(url, channels) as l: l.wait(timeout_s=1)``."""

    def __init__(
        self, url: str, channels: Sequence[str], *, application_name: str = "souk listener"
    ) -> None:
        self._url = libpq_url(url)
        self._channels = tuple(channels)
        self._name = application_name
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._pause_s = RECONNECT_S

    def __enter__(self) -> Self:
        self._connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; ``wait`` would open another one."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
        self._connection = None

    def fileno(self) -> int:
        """For ``select``; -1 while there is no connection."""
        return -1 if self._connection is None else self._connection.fileno()

    def wait(self, *, timeout_s: float) -> list[Notification]:
        """What arrived, as soon as something has; [] after ``timeout_s``.

        A lost connection is opened again within the timeout, with growing pauses.
        """
        deadline = time.monotonic() + timeout_s
        if self._connection is None:
            return self._reconnect(deadline)
        try:
            return [
                Notification(n.channel, n.payload)
                for n in self._connection.notifies(timeout=timeout_s, stop_after=1)
            ]
        except psycopg.OperationalError:
            self.close()
            return self._reconnect(deadline)

    def _connect(self) -> None:
        connection = psycopg.connect(
            self._url, autocommit=True, connect_timeout=5, application_name=self._name
        )
        connection.execute(_listen_statement(self._channels))
        self._connection = connection
        self._pause_s = RECONNECT_S

    def _reconnect(self, deadline: float) -> list[Notification]:
        while True:
            try:
                self._connect()
            except psycopg.OperationalError:
                pause = min(self._pause_s, max(0.0, deadline - time.monotonic()))
                self._pause_s = min(self._pause_s * 2, RECONNECT_MAX_S)
                time.sleep(pause)
                if time.monotonic() >= deadline:
                    return []
            else:
                return [Notification(channel, None) for channel in self._channels]


async def listen(
    url: str, channels: Sequence[str], *, application_name: str = "souk listener"
) -> AsyncIterator[Notification]:
    """Every notification of ``channels``, without end; yields ``missed`` ones first.

    The first ones say that listening has begun, so nothing between a reader's first look and the
    LISTEN is lost; they come again after each lost connection.
    """
    pause_s = RECONNECT_S
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                libpq_url(url),
                autocommit=True,
                connect_timeout=5,
                application_name=application_name,
            ) as connection:
                await connection.execute(_listen_statement(channels))
                pause_s = RECONNECT_S
                for channel in channels:
                    yield Notification(channel, None)
                async for found in connection.notifies():
                    yield Notification(found.channel, found.payload)
        except psycopg.OperationalError:
            pass
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, RECONNECT_MAX_S)
