"""Market commands that need the platform's own code: here they say where they run.

The client's wheel has neither the mechanisms nor numpy. In a checkout of the platform `./souk`
puts the real commands in the place of these.
"""

from collections.abc import Callable

import typer

from .exits import ExitCode

COMMANDS = {
    "replay": "Clear recorded rounds again, under another mechanism, weights or payment rule.",
    "clear": "Clear an instance file and print the plan.",
    "compare": "Clear an instance file by several mechanisms.",
    "convert": "Turn trace files into an instance file.",
    "generate": "Write a synthetic instance file.",
}
_ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}


def add_to(group: typer.Typer) -> None:
    """Add the commands to ``souk market``."""
    for name, summary in COMMANDS.items():
        text = f"{summary} Only in a checkout of the platform: `./souk market {name} --help`."
        group.command(name, help=text, context_settings=_ANYTHING)(_absent(name))


def _absent(name: str) -> Callable[[], None]:
    def command() -> None:
        typer.echo(
            f"souk: `market {name}` runs the market's own code, which this client does not have. "
            f"Run it in a checkout of the platform: ./souk market {name}",
            err=True,
        )
        raise typer.Exit(ExitCode.FAILED)

    return command
