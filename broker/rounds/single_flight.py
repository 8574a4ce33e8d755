"""At most one round of a cell at a time, and no demand forgotten.

The plain way is a lock that the second comer gives up on; a demand that arrived just after the
first one's snapshot would then wait for the timer. Here one second comer may wait its turn: it
takes its snapshot after its turn has come, so it sees all that was there when it was called. A
third one leaves at once, because the waiting one will see its demand too.

Advisory locks of a connection of its own: a process that dies lets go of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from db.urls import libpq_url

_TURN = 0x736F7501  # first halves of the two lock keys; the second is the cell's hash
_NEXT = 0x736F7502
WAIT_MAX_MS = 30_000


class SingleFlight:
    """Turns of cells, for one process; opens its connection when it is first needed."""

    def __init__(self, url: str) -> None:
        self._url = libpq_url(url)
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    @contextmanager
    def turn(self, cell: str, *, wait: bool = True) -> Iterator[bool]:
        """Holds the cell's turn and yields True, or False where somebody already waits for it.

        Without ``wait`` also where somebody has it: for turns that a timer asks for again.
        """
        connection = self._connect()
        taken = self._take(connection, cell, wait=wait)
        try:
            yield taken
        finally:
            if taken:
                self._ask(connection, "SELECT pg_advisory_unlock(%s, hashtext(%s))", _TURN, cell)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _take(
        self, connection: psycopg.Connection[tuple[object, ...]], cell: str, *, wait: bool
    ) -> bool:
        attempt = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
        if self._ask(connection, attempt, _TURN, cell):
            return True
        if not wait or not self._ask(connection, attempt, _NEXT, cell):
            return False
        try:
            self._ask(connection, "SELECT pg_advisory_lock(%s, hashtext(%s))", _TURN, cell)
        except psycopg.errors.LockNotAvailable:
            return False
        finally:
            self._ask(connection, "SELECT pg_advisory_unlock(%s, hashtext(%s))", _NEXT, cell)
        return True

    @staticmethod
    def _ask(
        connection: psycopg.Connection[tuple[object, ...]], query: str, lock: int, cell: str
    ) -> object:
        row = connection.execute(query, (lock, cell)).fetchone()
        return None if row is None else row[0]

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        if self._connection is not None and not self._alive(self._connection):
            self.close()
        if self._connection is None:
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                application_name="souk rounds",
                options=f"-c lock_timeout={WAIT_MAX_MS}",
            )
        return self._connection

    @staticmethod
    def _alive(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
        if connection.closed:
            return False
        try:
            connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True
