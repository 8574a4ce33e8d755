"""What storage may refuse, and the one place that tries a transaction again.

StorageError
├── Conflict             another writer was first; read again and decide anew
├── Busy                 locks could not be had after several tries; try later
└── OutcomeUnknown       the connection broke during COMMIT; the effect may be on record
"""

import random
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db.engine import SessionFactory

T = TypeVar("T")

TRIES_MAX = 6
BACKOFF_S = 0.01
BACKOFF_MAX_S = 0.5
_TRY_AGAIN = (pg.SerializationFailure, pg.DeadlockDetected, pg.LockNotAvailable)


class StorageError(Exception):
    """Base of what storage refuses; ``code`` is stable, ``retryable`` says whether to try again."""

    code = "storage"
    retryable = False


class Conflict(StorageError):
    """Another writer was first: the version named is no longer the current one."""

    code = "conflict"

    def __init__(self, subject: str, *, detail: str = "") -> None:
        super().__init__(detail or f"{subject} was changed by another request; read it again")
        self.subject = subject


class Busy(StorageError):
    """The transaction lost every race for its locks."""

    code = "busy"
    retryable = True


class OutcomeUnknown(StorageError):
    """The connection broke while committing: the caller must look whether the effect is there."""

    code = "outcome_unknown"
    retryable = True


def run_in_transaction(
    factory: SessionFactory, work: Callable[[Session], T], *, tries_max: int = TRIES_MAX
) -> T:
    """Run ``work`` in one transaction and commit; for the edges, which own the transaction.

    Deadlocks, serialization failures and connections lost before the commit are tried again from
    the start, so ``work`` must touch nothing but the session. Raises ``Busy``, ``OutcomeUnknown``
    and whatever ``work`` raises.
    """
    for attempt in range(1, tries_max + 1):
        committing = False
        try:
            with factory() as session:
                result = work(session)
                committing = True
                session.commit()
                return result
        except DBAPIError as error:
            if error.connection_invalidated and committing:
                raise OutcomeUnknown("the connection broke during the commit") from error
            if not is_transient(error):
                raise
            if attempt == tries_max:
                raise Busy(f"gave up after {attempt} tries: {error.orig}") from error
        time.sleep(_backoff_s(attempt))
    raise AssertionError("unreachable: the last try returns or raises")


def is_transient(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed if it is run again."""
    if error.connection_invalidated or isinstance(error.orig, _TRY_AGAIN):
        return True
    # A server that is starting, stopping or gone: nothing of the transaction is on record.
    return isinstance(error.orig, psycopg.OperationalError) and (
        error.orig.sqlstate is None or error.orig.sqlstate[:2] in {"08", "57"}
    )


def constraint_of(error: BaseException) -> str:
    """Name of the constraint that a statement broke, "" where there is none."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return (cause.diag.constraint_name or "") if isinstance(cause, psycopg.Error) else ""


def _backoff_s(attempt: int) -> float:
    """Full jitter, so that two transactions that met once do not meet again."""
    return random.uniform(0, min(BACKOFF_MAX_S, BACKOFF_S * 2**attempt))  # noqa: S311
