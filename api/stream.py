"""Follows the log of events once per process and hands it to every follower (SSE).

While anybody follows, the hub keeps the newest events in a bounded ring. A follower remembers its
own cursor and takes from the ring what comes after it; if it has fallen off the ring's end (a slow
client, a resumption), it reads the database until it has caught up. So a slow follower costs no
memory, and events that nobody follows cost no reading.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from db import events
from db.engine import SessionFactory
from db.events import EventCursor, EventRecord
from db.notify import EVENT, listen

RING_MAX = 10_000
LOOK_AGAIN_S = 0.25  # an event becomes readable a moment after its NOTIFY: see db.events
GATHER_S = 0.01
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events a follower may and wants to see; None and "" mean all."""

    account_id: str | None
    subject_id: str = ""

    def takes(self, event: EventRecord) -> bool:
        return (self.account_id is None or event.account_id == self.account_id) and (
            not self.subject_id or event.subject_id == self.subject_id
        )


class Hub:
    """One reader of the log, any number of followers; ``run`` it as a task of the loop."""

    def __init__(self, url: str, sessions: SessionFactory) -> None:
        self._url = url
        self._sessions = sessions
        self._ring: deque[EventRecord] = deque(maxlen=RING_MAX)
        self._begins_after: EventCursor | None = None  # the ring holds all events after this
        self._ends_at: EventCursor | None = None
        self._news = asyncio.Event()
        self._hint = asyncio.Event()
        self._followers = 0
        self.closed = False

    async def run(self) -> None:
        """Read the log until cancelled; survives the database's absence."""
        listening = asyncio.create_task(self._listen())
        try:
            while not self.closed:
                await self._look()
                await self._wait()
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening

    def close(self) -> None:
        """End every follower, so that the server can stop."""
        self.closed = True
        self._hint.set()
        self._wake()

    async def follow(
        self, wanted: Wanted, cursor: EventCursor | None, *, idle_s: float
    ) -> AsyncIterator[Sequence[EventRecord]]:
        """Events after ``cursor`` (None: from now on); an empty list each ``idle_s`` of silence."""
        self._followers += 1
        self._hint.set()
        try:
            place = cursor if cursor is not None else await self._present()
            yield []
            while not self.closed:
                news = self._news
                found, place = await self._after(wanted, place)
                if found:
                    yield found
                    continue
                try:
                    await asyncio.wait_for(news.wait(), idle_s)
                except TimeoutError:
                    yield []
        finally:
            self._followers -= 1

    async def _after(
        self, wanted: Wanted, place: EventCursor
    ) -> tuple[list[EventRecord], EventCursor]:
        if self._begins_after is None or place < self._begins_after:
            return await self._from_database(wanted, place)
        if self._ends_at is None or place >= self._ends_at:
            return [], place
        found = []
        for event in reversed(self._ring):
            if event.cursor <= place:
                break
            if wanted.takes(event):
                found.append(event)
        return found[::-1], self._ends_at

    async def _from_database(
        self, wanted: Wanted, place: EventCursor
    ) -> tuple[list[EventRecord], EventCursor]:
        """What the ring no longer holds; once it is used up, the follower stands in the ring."""
        begins = self._begins_after

        def read() -> list[EventRecord]:
            with self._sessions() as session:
                return events.read_after(
                    session, place, account_id=wanted.account_id, subject_id=wanted.subject_id
                )

        found = await run_in_threadpool(read)
        if len(found) < events.READ_MAX:
            last = found[-1].cursor if found else place
            return found, max(last, begins) if begins is not None else last
        return found, found[-1].cursor

    async def _present(self) -> EventCursor:
        def read() -> EventCursor:
            with self._sessions() as session:
                return events.present(session)

        return await run_in_threadpool(read)

    async def _look(self) -> None:
        """Take what is new into the ring; while nobody follows, let it go."""
        if not self._followers:
            self._ring.clear()
            self._ends_at = self._begins_after = None
            return
        try:
            if self._ends_at is None:
                self._ends_at = self._begins_after = await self._present()
                self._wake()  # followers catch up to here from the database
            while found := await run_in_threadpool(self._read, self._ends_at):
                self._take(found)
        except SQLAlchemyError as error:
            log.warning("events cannot be read", error=str(error)[:200])

    def _read(self, after: EventCursor) -> list[EventRecord]:
        with self._sessions() as session:
            return events.read_after(session, after, account_id=None)

    def _take(self, found: Sequence[EventRecord]) -> None:
        for event in found:
            if len(self._ring) == RING_MAX:
                self._begins_after = self._ring[0].cursor
            self._ring.append(event)
        self._ends_at = found[-1].cursor
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _wait(self) -> None:
        """Until a hint came; with followers also for what becomes readable without one."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hint.wait(), LOOK_AGAIN_S if self._followers else None)
        self._hint.clear()
        await asyncio.sleep(GATHER_S)

    async def _listen(self) -> None:
        async for _ in listen(self._url, [EVENT], application_name="souk api events"):
            self._hint.set()
