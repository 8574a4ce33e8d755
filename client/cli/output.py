"""Printing: a table for people, the API's own JSON for programs, once or as it changes."""

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..resources.base import Resource
from ..units import format_ago
from .options import OutputFormat

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

T = TypeVar("T")
R = TypeVar("R", bound=Resource)
WATCH_INTERVAL_S = 1.0
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all control characters but tab and newline
_WIDTH_WITHOUT_TERMINAL = 400  # never wrap what a program may read
_COLOURS = {
    "succeeded": "green",
    "online": "green",
    "active": "green",
    "open": "green",
    "running": "cyan",
    "matched": "cyan",
    "placed": "cyan",
    "queued": "yellow",
    "draining": "yellow",
    "unknown": "yellow",
    "failed": "red",
    "expired": "red",
    "lost": "red",
    "quarantined": "red",
    "revoked": "red",
    "offline": "red",
    "cancelled": "bright_black",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[T]):
    """A column of a table: its heading and what it reads of a row."""

    title: str
    read: Callable[[T], str]
    right: bool = False


def age_of(read: Callable[[T], datetime | None]) -> Column[T]:
    """The column that says how long ago something was made."""
    return Column(title="AGE", read=lambda item: format_ago(read(item)), right=True)


def show_list(
    fetch: Callable[[], Iterable[R]],
    columns: Sequence[Column[R]] | Callable[[Sequence[R]], Sequence[Column[R]]],
    *,
    output: OutputFormat,
    watch: bool = False,
    empty: str = "Nothing to show.",
) -> None:
    """Print a list as a table, or as a JSON array of the API's objects.

    ``columns`` may depend on the list: what a row is called can follow from the others.
    """

    def render(items: list[R]) -> "RenderableType":
        if not items:
            return empty
        return table(items, columns(items) if callable(columns) else columns)

    present(
        lambda: list(fetch()),
        render=render,
        document=lambda items: [item.raw for item in items],
        output=output,
        watch=watch,
    )


def show_one(found: R, render: Callable[[R], "RenderableType"], *, output: OutputFormat) -> None:
    """Print one resource for people, or as the API's own object."""
    present(lambda: found, render=render, document=lambda each: each.raw, output=output)


def present(
    fetch: Callable[[], T],
    *,
    render: Callable[[T], "RenderableType"],
    document: Callable[[T], Any],
    output: OutputFormat,
    watch: bool = False,
    done: Callable[[T], bool] = lambda _: False,
) -> T:
    """Fetch and print; with ``watch`` again and again until ``done`` or Ctrl-C."""
    if output is OutputFormat.JSON:
        return _present_json(fetch, document, watch, done)
    value = fetch()
    if not watch:
        console().print(render(value))
        return value
    from rich.live import Live

    with Live(render(value), console=console(), auto_refresh=False) as live:
        while not done(value):
            time.sleep(WATCH_INTERVAL_S)
            value = fetch()
            live.update(render(value), refresh=True)
    return value


def print_json(document: Any) -> None:
    """One JSON value on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def table(items: Iterable[T], columns: Sequence[Column[T]]) -> "RenderableType":
    """Rows under headings, without lines."""
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        grid.add_column(
            column.title, justify="right" if column.right else "left", no_wrap=True, overflow="fold"
        )
    for item in items:
        grid.add_row(*(_text(column.read(item)) for column in columns))
    return grid


def details(rows: Mapping[str, str]) -> "RenderableType":
    """Names and values, one a line; those without a value are left out."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows.items():
        if value:
            grid.add_row(name, _text(value))
    return grid


def stack(*parts: "RenderableType") -> "RenderableType":
    """Several things, one under the other."""
    from rich.console import Group

    return Group(*parts)


def console(*, stderr: bool = False) -> "Console":
    """Where tables go; colours only on a terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def visible(value: str) -> str:
    """``value`` without what a terminal would obey: names, reasons and logs come from strangers."""
    return _OBEYED.sub("\ufffd", value)


def _text(value: str) -> Any:
    from rich.text import Text

    return Text(visible(value), style=_COLOURS.get(value, ""))


def _present_json(
    fetch: Callable[[], T],
    document: Callable[[T], Any],
    watch: bool,
    done: Callable[[T], bool],
) -> T:
    value = fetch()
    if not watch:
        print_json(document(value))
        return value
    shown = None
    while True:
        line = json.dumps(document(value), ensure_ascii=False)
        if line != shown:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            shown = line
        if done(value):
            return value
        time.sleep(WATCH_INTERVAL_S)
        value = fetch()
