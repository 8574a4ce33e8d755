"""Envelope and codec: JSON in UTF-8, checked field by field against the dataclasses.

    {"v": 1, "node": "node_…", "boot": 3, "seq": 17, "at": 1700000000000,
     "type": "state", "data": {…}}

``boot`` grows with each start of the agent, ``seq`` by one within a boot; together they order all
that a node sends. For messages of the control plane ``boot`` is its epoch, ``seq`` its own count.
"""

import json
import math
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from edge_agent.wire import messages
from edge_agent.wire.messages import PAYLOAD_BYTES_MAX, Message

VERSION = 1
INTEGER_MAX = 2**63 - 1
STRING_CHARS_MAX = 12 * 1024 * 1024
# Every other integer of the protocol counts something and is never negative.
SIGNED_FIELDS = frozenset({"exit_code", "temperature_millicelsius"})

MESSAGE_TYPES: dict[str, type[Message]] = {
    cls.TYPE: cls
    for cls in vars(messages).values()
    if isinstance(cls, type) and issubclass(cls, Message) and cls.TYPE
}


class WireError(ValueError):
    """A payload is not a message of this protocol; the text says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One message with its origin and order."""

    node: str
    boot: int
    seq: int
    at: int  # Unix milliseconds on the sender's clock
    data: Message

    @property
    def type(self) -> str:
        """The message's type, as in the topic's last level."""
        return self.data.TYPE


def encode(envelope: Envelope) -> bytes:
    """The payload of one message. Fields that hold their default are left out."""
    return json.dumps(
        {
            "v": VERSION,
            "node": envelope.node,
            "boot": envelope.boot,
            "seq": envelope.seq,
            "at": envelope.at,
            "type": envelope.type,
            "data": _plain(envelope.data),
        },
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    ).encode()


def decode(payload: bytes) -> Envelope:
    """The message in ``payload``.

    Raises:
        WireError: too long, not JSON, another version, an unknown type, a field missing, of the
            wrong type or out of range. Unknown fields are ignored.
    """
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise WireError(f"payload of {len(payload)} bytes is over {PAYLOAD_BYTES_MAX}")
    try:
        raw = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise WireError(f"not an object but {type(raw).__name__}")
    version = raw.get("v")
    if version != VERSION or isinstance(version, bool):
        raise WireError(f"version {version!r} is not supported, this side speaks {VERSION}")
    cls = MESSAGE_TYPES.get(raw["type"]) if isinstance(raw.get("type"), str) else None
    if cls is None:
        raise WireError(f"unknown type {str(raw.get('type'))[:40]!r}")
    data: Message = _message_reader(cls)(raw.get("data"), "data")
    return Envelope(
        node=_text(_required(raw, "node"), "node"),
        boot=_count(_required(raw, "boot"), "boot"),
        seq=_count(_required(raw, "seq"), "seq"),
        at=_count(_required(raw, "at"), "at"),
        data=data,
    )


def _required(raw: dict[str, Any], name: str) -> Any:
    if name not in raw:
        raise WireError(f"{name} is missing")
    return raw[name]


# ---------------------------------------------------------------- writing


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return {
            name: _plain(held)
            for name, default in _defaults(type(value))
            if (held := getattr(value, name)) != default
        }
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


_DEFAULTS: dict[type[Message], list[tuple[str, Any]]] = {}


def _defaults(cls: type[Message]) -> list[tuple[str, Any]]:
    if cls not in _DEFAULTS:
        _DEFAULTS[cls] = [
            (f.name, f.default_factory() if f.default_factory is not MISSING else f.default)
            for f in fields(cls)
        ]
    return _DEFAULTS[cls]


# ---------------------------------------------------------------- reading

Reader = Callable[[Any, str], Any]


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise WireError(f"{path}: expected text, got {type(value).__name__}")
    if len(value) > STRING_CHARS_MAX:
        raise WireError(f"{path}: text of {len(value)} characters is over {STRING_CHARS_MAX}")
    if "\x00" in value:
        raise WireError(f"{path}: text holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise WireError(f"{path}: text holds a lone surrogate") from None
    return value


def _integer(value: Any, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise WireError(f"{path}: expected an integer, got {type(value).__name__}")
    if not -INTEGER_MAX <= value <= INTEGER_MAX:
        raise WireError(f"{path}: {str(value)[:40]} does not fit 64 bits")
    return value


def _count(value: Any, path: str) -> int:
    number = _integer(value, path)
    if number < 0:
        raise WireError(f"{path}: {number} is negative")
    return number


def _number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WireError(f"{path}: expected a number, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        raise WireError(f"{path}: number is out of range") from None
    if not math.isfinite(number):
        raise WireError(f"{path}: number is not finite")
    return number


def _truth(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise WireError(f"{path}: expected true or false, got {type(value).__name__}")
    return value


_SCALARS: dict[Any, Reader] = {str: _text, int: _count, float: _number, bool: _truth}


_READERS: dict[type[Message], Reader] = {}


def _message_reader(cls: type[Message]) -> Reader:
    if cls not in _READERS:
        _READERS[cls] = _make_message_reader(cls)
    return _READERS[cls]


def _make_message_reader(cls: type[Message]) -> Reader:
    hints = get_type_hints(cls)
    plan = [
        (
            f.name,
            _reader(hints[f.name], signed=f.name in SIGNED_FIELDS),
            f.default is MISSING and f.default_factory is MISSING,
        )
        for f in fields(cls)
    ]

    def read(value: Any, path: str) -> Message:
        if not isinstance(value, dict):
            raise WireError(f"{path}: expected an object, got {type(value).__name__}")
        found = {}
        for name, reader, required in plan:
            if name in value:
                found[name] = reader(value[name], f"{path}.{name}")
            elif required:
                raise WireError(f"{path}.{name} is missing")
        return cls(**found)

    return read


def _reader(hint: Any, *, signed: bool = False) -> Reader:
    if hint is int and signed:
        return _integer
    if hint in _SCALARS:
        return _SCALARS[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _choice_reader(arguments)
    if origin in (types.UnionType, typing.Union):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _optional_reader(_reader(inner, signed=signed))
    if origin is tuple:
        return _tuple_reader(_reader(arguments[0]))
    if origin is dict:
        return _mapping_reader(_reader(arguments[1]))
    assert isinstance(hint, type), hint
    assert issubclass(hint, Message), hint
    return _message_reader(hint)


def _choice_reader(choices: tuple[Any, ...]) -> Reader:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, str) or value not in choices:
            raise WireError(f"{path}: {str(value)[:40]!r} is not one of {', '.join(choices)}")
        return value

    return read


def _optional_reader(inner: Reader) -> Reader:
    return lambda value, path: None if value is None else inner(value, path)


def _tuple_reader(item: Reader) -> Reader:
    def read(value: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise WireError(f"{path}: expected a list, got {type(value).__name__}")
        return tuple(item(entry, f"{path}[{index}]") for index, entry in enumerate(value))

    return read


def _mapping_reader(item: Reader) -> Reader:
    def read(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise WireError(f"{path}: expected an object, got {type(value).__name__}")
        return {_text(key, path): item(entry, f"{path}.{key}") for key, entry in value.items()}

    return read
