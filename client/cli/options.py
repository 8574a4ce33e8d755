"""Options that many commands share, and the connection that they ask for."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..client import Client

ROWS_DEFAULT = 50


class OutputFormat(StrEnum):
    """How a command prints what it found."""

    TABLE = "table"
    JSON = "json"


Output = Annotated[OutputFormat, typer.Option("-o", "--output", help="For people or for programs.")]
ContextName = Annotated[
    str, typer.Option("--context", help="Speak to this context instead of the current one.")
]
Watch = Annotated[bool, typer.Option("-w", "--watch", help="Show it again as it changes.")]
Limit = Annotated[int, typer.Option("-n", "--limit", min=1, help="The most rows to show.")]
State = Annotated[str, typer.Option("--state", help="Only those in this state.")]


def connect(context: str) -> "Client":
    """A client for the context named, or for what the environment says."""
    from ..client import Client  # with it comes the HTTP library: not for --help

    return Client(context=context)


def time_of(text: str, *, option: str) -> str:
    """An RFC 3339 time of one, or of how long ago: ``1h``."""
    from ..units import parse_duration_s

    try:
        ago = timedelta(seconds=parse_duration_s(text))
    except ValueError:
        try:
            return datetime.fromisoformat(text).astimezone(UTC).isoformat()
        except ValueError:
            why = f"{text!r} is neither a duration such as 1h nor an RFC 3339 time"
            raise typer.BadParameter(why, param_hint=option) from None
    return (datetime.now(UTC) - ago).isoformat()
