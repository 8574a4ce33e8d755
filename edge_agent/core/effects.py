"""What the core asks its shell to do, in order."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.core.model import MessageKey, Work
from edge_agent.wire import AttemptReports, Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Publish now, or drop when there is no connection: the next full picture makes up for it."""

    envelope: Envelope
    retain: bool = False
    qos: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Journal these reports, then publish; they are resent until the control plane has them."""

    envelope: Envelope
    reports: AttemptReports


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """Publish these journaled messages again, as they were."""

    keys: Sequence[MessageKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Drop from the journal: acknowledged messages, and attempts that are no longer ours."""

    keys: Sequence[MessageKey] = ()
    attempts: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Run this attempt; answer with ``started`` and ``ended``."""

    work: Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End this attempt's process; answer with ``ended`` all the same."""

    attempt: str
    fence: int


Effect = Send | Deliver | Resend | Forget | Start | Stop
