"""The wire between devices and the control plane: topics, envelope and messages.

Standard library only, so that the lightest side owns the format. ``decode(encode(x)) == x`` for
every message; garbage is refused with ``WireError``, whose text says what is wrong with it.
"""

from edge_agent.wire.codec import Envelope, WireError, decode, encode
from edge_agent.wire.messages import (
    Ack,
    Assign,
    AttemptReport,
    AttemptReports,
    Birth,
    Cancel,
    Config,
    ControlState,
    Death,
    Drain,
    Message,
    OfferTerms,
    OnnxSpec,
    Reading,
    Rebirth,
    State,
    TaskOrder,
    Telemetry,
    Usage,
    WasmSpec,
)
from edge_agent.wire.topics import (
    CONTROL_STATE,
    Direction,
    down_topic,
    parse_topic,
    up_filter,
    up_topic,
)

__all__ = [
    "CONTROL_STATE",
    "Ack",
    "Assign",
    "AttemptReport",
    "AttemptReports",
    "Birth",
    "Cancel",
    "Config",
    "ControlState",
    "Death",
    "Direction",
    "Drain",
    "Envelope",
    "Message",
    "OfferTerms",
    "OnnxSpec",
    "Reading",
    "Rebirth",
    "State",
    "TaskOrder",
    "Telemetry",
    "Usage",
    "WasmSpec",
    "WireError",
    "decode",
    "down_topic",
    "encode",
    "parse_topic",
    "up_filter",
    "up_topic",
]
