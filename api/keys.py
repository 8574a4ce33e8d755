"""Remembers for a second who holds a key or cookie, so that a busy client costs no look-ups.

A revocation in this process acts at once; one made in another process within that second.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from broker.services import auth
from broker.services.principals import Principal
from db.engine import SessionFactory
from db.errors import run_in_transaction

TTL_S = 1.0
ENTRIES_MAX = 10_000


class KeyCache:
    """From what is presented to who it is; entries live for ``TTL_S``. Thread-safe."""

    def __init__(self, sessions: SessionFactory) -> None:
        self._sessions = sessions
        self._known: dict[bytes, tuple[float, Principal]] = {}
        self._lock = threading.Lock()

    def peek(self, presented: str) -> Principal | None:
        """Who it is, if that is remembered; never waits."""
        entry = self._known.get(_digest(presented))
        return entry[1] if entry is not None and time.monotonic() < entry[0] else None

    def by_key(self, presented: str) -> Principal:
        """Who holds this API key. Raises ``Unauthenticated``."""
        now = datetime.now(UTC)
        return self._find(presented, lambda session: auth.by_key(session, presented, now=now))

    def by_cookie(self, cookie: str) -> Principal:
        """Who signed in with this cookie. Raises ``Unauthenticated``."""
        now = datetime.now(UTC)
        return self._find(cookie, lambda session: auth.by_cookie(session, cookie, now=now))

    def forget(self) -> None:
        """Forget everybody: something was revoked."""
        with self._lock:
            self._known.clear()

    def _find(self, presented: str, look: Callable[[Session], Principal]) -> Principal:
        principal = run_in_transaction(self._sessions, look)
        with self._lock:
            if len(self._known) >= ENTRIES_MAX:
                self._known.clear()
            self._known[_digest(presented)] = (time.monotonic() + TTL_S, principal)
        return principal


def _digest(presented: str) -> bytes:
    """What is remembered is not the secret itself."""
    return hashlib.sha256(presented.encode(errors="surrogateescape")).digest()
