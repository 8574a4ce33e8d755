"""``souk context``: the platforms that this user knows, and which one is meant."""

from dataclasses import dataclass, replace
from typing import Annotated

import typer

from ..config import Contexts, Target, contexts_path, load_contexts, save_contexts
from ..errors import NoSuchName
from .group import make_group
from .options import Output, OutputFormat

app = make_group("Platforms that you know, and the current one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    name: str
    url: str
    current: bool


@app.command("list")
def list_(output: Output = OutputFormat.TABLE) -> None:
    """List contexts; the current one is marked."""
    from .output import Column, console, print_json, table

    contexts = load_contexts()
    rows = [
        _Row(name=name, url=target.url, current=name == contexts.current)
        for name, target in sorted(contexts.targets.items())
    ]
    if output is OutputFormat.JSON:
        print_json([{"name": row.name, "url": row.url, "current": row.current} for row in rows])
    elif not rows:
        typer.echo("No contexts. Make one: souk context set NAME --url URL --key KEY")
    else:
        columns: list[Column[_Row]] = [
            Column(title="", read=lambda row: "*" if row.current else ""),
            Column(title="NAME", read=lambda row: row.name),
            Column(title="URL", read=lambda row: row.url),
        ]
        console().print(table(rows, columns))


@app.command()
def use(name: Annotated[str, typer.Argument(help="The context to make current.")]) -> None:
    """Make a context the current one."""
    contexts = load_contexts()
    if name not in contexts.targets:
        raise NoSuchName(f"there is no context {name!r}; see `souk context list`")
    save_contexts(replace(contexts, current=name))
    typer.echo(f"current context: {name}")


@app.command("set")
def set_(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    url: Annotated[str, typer.Option("--url", help="The platform's address.")] = "",
    key: Annotated[str, typer.Option("--key", help="An API key for it; `-` asks for it.")] = "",
    ca: Annotated[str, typer.Option("--ca", help="A PEM file with its authority.")] = "",
) -> None:
    """Make or change a context; the first one becomes current."""
    contexts = load_contexts()
    known = contexts.targets.get(name, Target(url=""))
    if not url and not known.url:
        raise typer.BadParameter("a new context needs an address", param_hint="--url")
    if key == "-":
        key = typer.prompt("API key", hide_input=True)
    moved = bool(url) and url != known.url  # the old key was for the old address
    target = Target(
        url=url or known.url,
        api_key=key or ("" if moved else known.api_key),
        ca=ca or known.ca,
    )
    save_contexts(
        Contexts(current=contexts.current or name, targets={**contexts.targets, name: target})
    )
    typer.echo(f"context {name}: {target.url} (in {contexts_path()})")
