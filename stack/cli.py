"""The ``souk`` command of a checkout: runs the platform, and hands the rest to the client.

Nothing heavy is imported before a command needs it: ``souk --help`` is to answer at once.
"""

import importlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

PLATFORM = "Platform"
FAILED, UNREACHABLE = 1, 3  # as the client's exit codes
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


class WithClient(TyperGroup):
    """Our commands, then those of the client's command line, loaded only when one is meant."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *_client_group().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        own = super().get_command(ctx, cmd_name)
        found = own or _client_group().get_command(ctx, cmd_name)
        if cmd_name == "market":
            _add_market_tools(found)
        return found


app = typer.Typer(
    cls=WithClient,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="souk: an open marketplace and control plane for computing at the edge.",
)


@app.command(rich_help_panel=PLATFORM)
def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when it runs, and leave it running.")
    ] = False,
) -> None:
    """Start the platform on this machine; Ctrl-C stops it."""
    from stack import detached

    try:
        if detach:
            detached.start().wait(lambda line: print(line, flush=True), detached.is_running)
        else:
            from stack import up as starting
            from stack import view

            starting.up(view.say, view.announce)
    except detached.AlreadyRunning as running:
        typer.echo(str(running))
    except detached.UpFailed as failure:
        typer.echo(f"souk: {failure}", err=True)
        raise typer.Exit(FAILED) from failure


@app.command(rich_help_panel=PLATFORM)
def down() -> None:
    """Stop the platform; nothing is lost, the next `up` goes on where it stopped."""
    from stack import up as starting

    typer.echo("souk has stopped" if starting.down() else "souk was not running")


@app.command(rich_help_panel=PLATFORM)
def status(
    output: Annotated[
        str, typer.Option("--output", "-o", help="`table` for people, `json` for programs.")
    ] = "table",
) -> None:
    """Show what runs; ends with 3 if nothing does."""
    from broker.home import default_home
    from stack import view
    from stack.home import Home

    state = Home(default_home()).read_state()
    typer.echo(view.status_json(state) if output == "json" else view.status_text(state))
    if state.supervisor is None:
        raise typer.Exit(UNREACHABLE)


@app.command(rich_help_panel=PLATFORM)
def logs(
    process: Annotated[
        list[str] | None, typer.Argument(help="api, ingest, worker, …; all if none is named.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they grow.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many to show.")] = 100,
) -> None:
    """Show the logs of all processes as one, in the order of time."""
    from broker.home import default_home
    from stack import logs as reading
    from stack.home import Home

    home = Home(default_home())
    paths = sorted(home.logs.glob("*.log"))
    unknown = set(process or ()) - {path.stem for path in paths}
    if unknown:
        raise typer.BadParameter(f"no log of {', '.join(sorted(unknown))} in {home.logs}")
    chosen = [path for path in paths if not process or path.stem in process]
    show = (lambda line: line.text) if len(chosen) == 1 else _with_name
    for line in reading.merged(chosen, lines=lines):
        typer.echo(show(line))
    if follow:
        for line in reading.follow(chosen):
            typer.echo(show(line))


@app.command(rich_help_panel=PLATFORM, context_settings=PASS_ON)
def demo(ctx: typer.Context) -> None:
    """Start the platform with a fleet and tenants, and show a market at work."""
    raise typer.Exit(importlib.import_module("stack.demo").main(ctx.args))


@app.command(rich_help_panel=PLATFORM, context_settings=PASS_ON)
def test(ctx: typer.Context) -> None:
    """Run the tests; what follows is handed to pytest."""
    _become("-m", "pytest", *ctx.args)


@app.command(rich_help_panel=PLATFORM)
def check(
    only: Annotated[list[str] | None, typer.Argument(help="Names of checks; all if none.")] = None,
) -> None:
    """Run every static check and print a summary."""
    from stack import quality

    raise typer.Exit(quality.run(only or []))


@app.command(rich_help_panel=PLATFORM, context_settings=PASS_ON)
def bench(ctx: typer.Context) -> None:
    """Run a benchmark by its name; without one, list them."""
    _become("-m", "bench", *ctx.args)


def _with_name(line: Any) -> str:
    return f"{line.process:<10} {line.text}"


def _become(*arguments: str) -> None:
    """Go on as another Python command, in the checkout."""
    from stack.checkout import CHECKOUT

    sys.stdout.flush()
    os.chdir(CHECKOUT)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 our own interpreter


def _client_group() -> Any:
    return typer.main.get_command(importlib.import_module("client.cli").app)


def _add_market_tools(group: Any) -> None:
    """Put the commands that need the market's code in the place of the client's words on them."""
    tools: Any = typer.main.get_command(importlib.import_module("stack.market_tools").app)
    group.commands.update(tools.commands)


def main() -> None:
    """Run the command line; a closed pipe at the other end is no error."""
    try:
        app(prog_name="souk")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
