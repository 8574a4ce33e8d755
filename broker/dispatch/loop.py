"""The main loop of dispatch: hints in, placings and rounds out."""

import queue
import threading
import time
from dataclasses import dataclass, field

from broker.dispatch.debounce import Debounce
from broker.dispatch.dispatcher import Dispatcher
from broker.process import utc_now
from broker.tasks.rounds import ROUND_CHANNEL
from db import notify
from db.control import placing
from db.engine import SessionFactory
from db.notify import Listener, Notification

LOOK_EVERY_S = 2.0  # for work whose hint was lost
WAIT_MAX_S = 0.25


@dataclass(slots=True, kw_only=True)
class Loop:
    """The main thread: hints in, placings and rounds out."""

    sessions: SessionFactory
    listener: Listener
    dispatcher: Dispatcher
    debounce: Debounce
    rounds: "queue.SimpleQueue[str | None]"
    outbox_hint: threading.Event
    jobs: set[str] = field(default_factory=set)
    looked: float = float("-inf")

    def step(self) -> None:
        """Wait for hints until something is due, then do all that is due."""
        for note in self.listener.wait(timeout_s=self._wait_s()):
            self._note(note)
        now_s = time.monotonic()
        if now_s - self.looked > LOOK_EVERY_S:
            self.looked = now_s
            self._look()
        if self.jobs:
            jobs = set(sorted(self.jobs)[: placing.JOBS_PER_STEP_MAX])
            again = self.dispatcher.place(jobs)
            self.jobs = (self.jobs - jobs) | again
        for cell in self.debounce.take_due(now_s=time.monotonic()):
            self.rounds.put(cell)

    def _wait_s(self) -> float:
        if self.jobs:
            return 0.0
        due = self.debounce.next_s()
        return WAIT_MAX_S if due is None else min(WAIT_MAX_S, max(0.0, due - time.monotonic()))

    def _note(self, note: Notification) -> None:
        if note.payload is None:
            self.looked = float("-inf")
            self.outbox_hint.set()
        elif note.channel == notify.DEMAND:
            self.debounce.want(note.payload)
        elif note.channel == notify.LEASE:
            self.jobs.add(note.payload)
        elif note.channel == notify.OUTBOX:
            self.outbox_hint.set()
        elif note.channel == ROUND_CHANNEL:
            self.debounce.ended(note.payload, now_s=time.monotonic())

    def _look(self) -> None:
        with self.sessions() as session:
            self.jobs.update(placing.jobs_to_place(session, now=utc_now()))
