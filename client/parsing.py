"""From the API's JSON to typed values: unknown fields are ignored, absent ones take defaults.

A server newer than the client adds fields; nothing here breaks by that. A field without a default
that is absent is a ``ProtocolError``: then the server is not one of ours, or too old.
"""

import dataclasses
import types
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import ProtocolError

T = TypeVar("T")
Converter = Callable[[Any], Any]


def parse(cls: type[T], document: Any) -> T:
    """Make a ``cls`` (a dataclass) of a JSON object; its ``raw`` field keeps the object itself."""
    if not isinstance(document, Mapping):
        raise ProtocolError(f"the answer is not a {cls.__name__.lower()} but {document!r:.80}")
    values: dict[str, Any] = {}
    key: Any = cls
    for name, convert, required in _plan(key):
        if name == "raw":
            values[name] = document
        elif name in document:
            values[name] = _converted(cls, name, convert, document[name])
        elif required:
            raise ProtocolError(f"the answer lacks {name!r} of a {cls.__name__.lower()}")
    return cls(**values)


def parse_time(text: str) -> datetime:
    """RFC 3339 to an aware datetime in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _converted(cls: type, name: str, convert: Converter, value: Any) -> Any:
    try:
        return convert(value)
    except (TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(
            f"field {name!r} of a {cls.__name__.lower()} is {value!r:.80}: {error}"
        ) from error


@lru_cache(maxsize=256)
def _plan(cls: Any) -> tuple[tuple[str, Converter, bool], ...]:
    hints = get_type_hints(cls)
    return tuple(
        (
            field.name,
            _converter(hints[field.name]),
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(cls)
    )


def _converter(hint: Any) -> Converter:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = _converter(next(arg for arg in args if arg is not types.NoneType))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        item = _converter(args[0])
        return lambda value: tuple(item(each) for each in value or ())
    if isinstance(origin, type) and issubclass(origin, Mapping):
        item = _converter(args[1])
        return lambda value: {key: item(each) for key, each in (value or {}).items()}
    if hint is datetime:
        return parse_time
    if dataclasses.is_dataclass(hint):
        return lambda value: parse(hint, value)  # type: ignore[arg-type, unused-ignore]
    if hint in (int, float, str):
        return _scalar(hint)
    return lambda value: value


def _scalar(hint: type) -> Converter:
    def convert(value: Any) -> Any:
        if value is None or isinstance(value, dict | list):
            raise TypeError(f"is not of type {hint.__name__}")
        return hint(value)

    return convert
