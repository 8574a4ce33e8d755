"""Writes docs/asyncapi.yaml from the dataclasses: ``python -m tests.contract.wire.asyncapi``."""

import inspect
import types
import typing
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from edge_agent.wire import Message
from edge_agent.wire.codec import INTEGER_MAX, MESSAGE_TYPES, SIGNED_FIELDS, VERSION

PAGE = Path(__file__).parents[3] / "docs" / "asyncapi.yaml"
UP = ("birth", "death", "state", "telemetry", "offer", "attempt")
DOWN = ("assign", "cancel", "ack", "config", "rebirth", "drain")
RETAINED = ("birth", "death", "control")
QOS = {"telemetry": 0}


def document() -> dict[str, Any]:
    """The whole description."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "souk device protocol",
            "version": f"{VERSION}.0.0",
            "description": "What devices and the control plane say to each other over MQTT. "
            "How the messages work together is said in protocol.md.",
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(name) for name in MESSAGE_TYPES},
        "operations": {name: _operation(name) for name in MESSAGE_TYPES},
        "components": {
            "messages": {name: _message(name) for name in MESSAGE_TYPES},
            "schemas": {"Envelope": _envelope()} | {c.__name__: _schema(c) for c in _classes()},
        },
    }


def render() -> str:
    """The page's text."""
    head = "# Made from edge_agent/wire by: python -m tests.contract.wire.asyncapi\n"
    return head + yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=100)


def _channel(name: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/messages/{name}"}
    if name == "control":
        return {"address": "souk/v1/control/state", "messages": {name: reference}}
    direction = "up" if name in UP else "down"
    node = {"description": "node_ and 32 hexadecimal digits, the CN of the node's certificate"}
    return {
        "address": f"souk/v1/n/{{node}}/{direction}/{name}",
        "parameters": {"node": node},
        "messages": {name: reference},
    }


def _operation(name: str) -> dict[str, Any]:
    """From the device's point of view."""
    binding = {"qos": QOS.get(name, 1), "retain": name in RETAINED}
    return {
        "action": "send" if name in UP else "receive",
        "channel": {"$ref": f"#/channels/{name}"},
        "bindings": {"mqtt": binding},
    }


def _message(name: str) -> dict[str, Any]:
    cls = MESSAGE_TYPES[name]
    data = {"$ref": f"#/components/schemas/{cls.__name__}"}
    return {
        "name": name,
        "summary": _first_line(cls),
        "payload": {
            "allOf": [
                {"$ref": "#/components/schemas/Envelope"},
                {"type": "object", "properties": {"type": {"const": name}, "data": data}},
            ]
        },
    }


def _envelope() -> dict[str, Any]:
    whole = {"type": "integer", "minimum": 0, "maximum": INTEGER_MAX}
    properties = {
        "v": {"const": VERSION, "description": "version of the protocol"},
        "node": {"type": "string"},
        "boot": whole | {"description": "grows with each start of the sender"},
        "seq": whole | {"description": "grows by one within a boot"},
        "at": whole | {"description": "Unix milliseconds on the sender's clock"},
        "type": {"type": "string"},
        "data": {"type": "object"},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _classes() -> list[type[Message]]:
    return sorted(Message.__subclasses__(), key=lambda cls: cls.__name__)


def _schema(cls: type[Message]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    found: dict[str, Any] = {"type": "object", "description": inspect.cleandoc(cls.__doc__ or "")}
    required = [
        f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING
    ]
    if required:
        found["required"] = required
    found["properties"] = {
        f.name: _type(hints[f.name], signed=f.name in SIGNED_FIELDS) for f in fields(cls)
    }
    return found


def _type(hint: Any, *, signed: bool = False) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is int:
        low = -INTEGER_MAX if signed else 0
        return {"type": "integer", "minimum": low, "maximum": INTEGER_MAX}
    if hint in (str, bool, float):
        return {"type": {str: "string", bool: "boolean", float: "number"}[hint]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (types.UnionType, typing.Union):
        inner = next(a for a in arguments if a is not type(None))
        return {"oneOf": [_type(inner, signed=signed), {"type": "null"}]}
    if origin is tuple:
        return {"type": "array", "items": _type(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(arguments[1])}
    return {"$ref": f"#/components/schemas/{hint.__name__}"}


def _first_line(cls: type[Message]) -> str:
    return inspect.cleandoc(cls.__doc__ or "").splitlines()[0]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
