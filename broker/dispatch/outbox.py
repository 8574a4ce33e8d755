"""Sends the outbox: commands to nodes, until the MQTT server has them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from broker.services.sender import Sender
from db import outbox
from db.engine import SessionFactory
from db.errors import run_in_transaction
from db.outbox import Command
from edge_agent.wire import Cancel, Config, Drain, Message, Rebirth

RESEND_AFTER = timedelta(seconds=5)
CANCEL_CHUNK = 1_000  # attempts in one message
_TYPES: dict[str, type[Message]] = {cls.TYPE: cls for cls in (Cancel, Config, Drain, Rebirth)}
log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class OutboxSender:
    """Publishes what is due and notes what arrived at the MQTT server.

    The server keeps it for the node's session. Should both forget it, the node's next picture of
    itself shows what it still runs, and it is told what is stale.
    """

    sessions: SessionFactory
    sender: Sender
    clock: Callable[[], datetime]
    _under_way: dict[int, Any] = field(default_factory=dict)

    def drain(self) -> int:
        """Send what is due; how many commands that were."""
        self.settle()
        sent = 0
        while True:
            due = run_in_transaction(
                self.sessions,
                lambda s: outbox.take_due(s, now=self.clock(), resend_after=RESEND_AFTER),
            )
            for command in due:
                self._publish(command)
            sent += len(due)
            if len(due) < outbox.TAKE_MAX:
                return sent

    def settle(self) -> None:
        """Mark as done what the MQTT server has taken over."""
        done = [number for number, info in self._under_way.items() if _arrived(info)]
        if not done:
            return
        now = self.clock()
        run_in_transaction(self.sessions, lambda s: outbox.mark_done(s, done, now=now))
        for number in done:
            del self._under_way[number]

    def _publish(self, command: Command) -> None:
        try:
            messages = messages_of(command)
        except (KeyError, TypeError, ValueError) as error:
            log.error("a command cannot be sent", command=command.id, error=repr(error))
            self._under_way[command.id] = None
            return
        for message in messages:
            self._under_way[command.id] = self.sender.send(command.node_id, message)


def messages_of(command: Command) -> list[Message]:
    """The messages that carry ``command``; a long list of attempts takes several."""
    data = dict(command.data)
    if command.type == Cancel.TYPE:
        attempts = tuple(data.pop("attempts"))
        return [
            Cancel(attempts=attempts[start : start + CANCEL_CHUNK], **data)
            for start in range(0, len(attempts), CANCEL_CHUNK)
        ]
    return [_TYPES[command.type](**data)]


def _arrived(info: Any) -> bool:
    """Whether the server has acknowledged it; what could not be sent at all is done with, too."""
    if info is None:
        return True
    try:
        return bool(info.is_published())
    except (ValueError, RuntimeError):
        return False  # not queued: it is due again after a while
