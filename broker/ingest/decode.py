"""Payloads to messages: what is not of the protocol is refused with a reason, never worked on."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from broker.mqtt import Arrived
from edge_agent.wire import Death, Envelope, WireError, decode, parse_topic

UP_TYPES = frozenset({"birth", "death", "state", "telemetry", "offer", "attempt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A payload that is not worked on."""

    topic: str
    reason: str


@dataclass(slots=True, kw_only=True)
class Decoded:
    """A batch, sorted into what counts and what does not."""

    good: list[Envelope] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def decode_batch(messages: Iterable[Arrived]) -> Decoded:
    """Every message decoded, in its order.

    Empty payloads clear what is retained and say nothing. A retained death is old news: a node
    that is really gone was reported by the live message, or will be by its silence.
    """
    found = Decoded()
    for message in messages:
        if not message.payload:
            continue
        try:
            envelope = _decode_one(message)
        except WireError as error:
            found.refused.append(Refused(topic=message.topic[:200], reason=str(error)[:300]))
            continue
        if not (message.retained and isinstance(envelope.data, Death)):
            found.good.append(envelope)
    return found


def _decode_one(message: Arrived) -> Envelope:
    place = parse_topic(message.topic)
    if place is None:
        raise WireError("the topic is not one of a node")
    node, direction, kind = place
    if direction != "up" or kind not in UP_TYPES:
        raise WireError(f"nodes do not write {direction}/{kind}")
    envelope = decode(message.payload)
    if envelope.node != node:
        raise WireError(f"signed as {envelope.node[:60]!r} on the topic of {node}")
    if envelope.type != kind:
        raise WireError(f"a {envelope.type} on the topic of {kind}")
    return envelope
