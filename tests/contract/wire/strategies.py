"""Hypothesis strategies for every message, read off the dataclasses themselves."""

import types
import typing
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from edge_agent.wire import Envelope, Message
from edge_agent.wire.codec import INTEGER_MAX, MESSAGE_TYPES, SIGNED_FIELDS

TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
COUNTS = st.integers(0, INTEGER_MAX)


def values_of(hint: Any, *, signed: bool = False) -> st.SearchStrategy[Any]:
    """Values of one field's type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is str:
        return TEXTS
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.integers(-INTEGER_MAX, INTEGER_MAX) if signed else COUNTS
    if hint is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (types.UnionType, typing.Union):
        inner = next(a for a in arguments if a is not type(None))
        return st.none() | values_of(inner, signed=signed)
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXTS, values_of(arguments[1]), max_size=3)
    return messages_of(hint)


def messages_of(cls: type[Message]) -> st.SearchStrategy[Message]:
    """Messages of one class with every field drawn."""
    hints = get_type_hints(cls)
    return st.builds(
        cls,
        **{f.name: values_of(hints[f.name], signed=f.name in SIGNED_FIELDS) for f in fields(cls)},
    )


def envelopes(cls: type[Message]) -> st.SearchStrategy[Envelope]:
    """Envelopes around messages of one class."""
    return st.builds(
        Envelope, node=TEXTS, boot=COUNTS, seq=COUNTS, at=COUNTS, data=messages_of(cls)
    )


ANY_ENVELOPE = st.sampled_from(sorted(MESSAGE_TYPES.values(), key=lambda c: c.TYPE)).flatmap(
    envelopes
)
