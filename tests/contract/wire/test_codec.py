"""decode(encode(x)) is x for every message; everything else is refused with a reason."""

import contextlib
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.wire import Envelope, Message, Rebirth, State, WireError, decode, encode
from edge_agent.wire.codec import MESSAGE_TYPES
from edge_agent.wire.messages import PAYLOAD_BYTES_MAX
from tests.contract.wire.strategies import ANY_ENVELOPE, envelopes

NODE = "node_" + "0" * 32


def raw(**changes: Any) -> dict[str, Any]:
    """A valid state message as plain JSON data, with changes."""
    data = {"cpu_free_millis": 1, "memory_free_bytes": 2, "disk_free_bytes": 3, "load_1m_milli": 4}
    base = {"v": 1, "node": NODE, "boot": 1, "seq": 2, "at": 3, "type": "state", "data": data}
    return base | changes


def state(**changes: Any) -> dict[str, Any]:
    """A valid state message with changes to its data."""
    return raw(data=raw()["data"] | changes)


@pytest.mark.parametrize("cls", MESSAGE_TYPES.values(), ids=MESSAGE_TYPES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_codec_round_trip(cls: type[Message], data: st.DataObject) -> None:
    envelope = data.draw(envelopes(cls))
    assert decode(encode(envelope)) == envelope


@given(ANY_ENVELOPE)
@settings(max_examples=50, deadline=None)
def test_encode_same_message_same_bytes(envelope: Envelope) -> None:
    assert encode(envelope) == encode(decode(encode(envelope)))


def test_encode_leaves_defaults_out() -> None:
    envelope = Envelope(node=NODE, boot=1, seq=1, at=1, data=Rebirth())
    assert json.loads(encode(envelope))["data"] == {}


def test_decode_ignores_unknown_fields() -> None:
    envelope = decode(json.dumps(raw(shade="blue") | {"data": state(new=1)["data"]}).encode())
    assert isinstance(envelope.data, State)
    assert envelope.data.load_1m_milli == 4


REFUSALS: list[tuple[Any, str]] = [
    (raw(v=2), "version 2 is not supported"),
    (raw(v=True), "version True is not supported"),
    (raw(type="nonsense"), "unknown type 'nonsense'"),
    (raw(type=["state"]), "unknown type"),
    (raw(boot=-1), "boot: -1 is negative"),
    (raw(seq="1"), "seq: expected an integer, got str"),
    (raw(at=1.5), "at: expected an integer, got float"),
    (raw(node=7), "node: expected text, got int"),
    (raw(data=[]), "data: expected an object, got list"),
    ({k: v for k, v in raw().items() if k != "seq"}, "seq is missing"),
    (raw(data={"cpu_free_millis": 1}), "data.memory_free_bytes is missing"),
    (state(cpu_free_millis=True), "data.cpu_free_millis: expected an integer, got bool"),
    (state(cpu_free_millis=2**63), "does not fit 64 bits"),
    (state(cpu_free_millis=-5), "data.cpu_free_millis: -5 is negative"),
    (state(on_battery=1), "data.on_battery: expected true or false, got int"),
    (state(running={}), "data.running: expected a list, got dict"),
    (state(running=[{"attempt": "a", "fence": 1, "state": "dead"}]), "'dead' is not one of"),
    (state(running=[{"attempt": "a\x00", "fence": 1, "state": "running"}]), "NUL character"),
    (state(running=[{"attempt": "\ud800", "fence": 1, "state": "running"}]), "lone surrogate"),
    ([], "not an object but list"),
    (None, "not an object but NoneType"),
]


@pytest.mark.parametrize(("value", "reason"), REFUSALS, ids=[r for _, r in REFUSALS])
def test_decode_refuses_with_reason(value: Any, reason: str) -> None:
    with pytest.raises(WireError, match=re.escape(reason)):
        decode(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"v":1,"at":' + b"9" * 5_000 + b"}", "not JSON"),
        (b" " * (PAYLOAD_BYTES_MAX + 1), "is over"),
    ],
    ids=["empty", "not UTF-8", "deep", "long number", "long"],
)
def test_decode_refuses_broken_payloads(payload: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        decode(payload)


def test_decode_refuses_not_finite_numbers() -> None:
    text = json.dumps(raw(type="telemetry", data={"readings": [{"key": "k", "at": 1, "value": 0}]}))
    for bad in ("NaN", "Infinity", "1e999"):
        with pytest.raises(WireError, match="not finite"):
            decode(text.replace('"value": 0', f'"value": {bad}').encode())


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_decode_garbage_is_a_wire_error(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode(payload)


@given(ANY_ENVELOPE, st.data())
@settings(max_examples=200, deadline=None)
def test_decode_damaged_message_never_crashes(envelope: Envelope, data: st.DataObject) -> None:
    payload = bytearray(encode(envelope))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        decode(bytes(payload))
