"""What all resources share: the JSON object that they were made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A value of the API; ``raw`` keeps every field, also those that this client does not know."""

    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
