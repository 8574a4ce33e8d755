"""The agent without clock, disk or network: messages and events in, effects out.

``AgentCore`` decides everything that the protocol asks of a device. A shell feeds it messages,
the executors' events and the time, and carries out the effects that it returns. The real agent's
shell is ``edge_agent.runtime``; another shell may run thousands of cores in one process, with the
real wire and simulated work.
"""

from edge_agent.core.agent import AgentCore
from edge_agent.core.effects import Deliver, Effect, Forget, Resend, Send, Start, Stop
from edge_agent.core.model import (
    Identity,
    MessageKey,
    NoHistory,
    Outcome,
    OwnerTerms,
    Restored,
    Sample,
    Work,
)

__all__ = [
    "AgentCore",
    "Deliver",
    "Effect",
    "Forget",
    "Identity",
    "MessageKey",
    "NoHistory",
    "Outcome",
    "OwnerTerms",
    "Resend",
    "Restored",
    "Sample",
    "Send",
    "Start",
    "Stop",
    "Work",
]
