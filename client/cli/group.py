"""A command group that turns this package's errors into a sentence and an exit code.

It does so wherever it is mounted, so that the platform's own command gets it by adding the groups.
"""

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from ..errors import SoukError
from .exits import ExitCode, describe, exit_code_of


class SoukGroup(TyperGroup):
    """Runs a command; an error of ours ends with its exit code and no traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SoukError as error:
            typer.echo(f"souk: {describe(error)}", err=True)
            raise typer.Exit(exit_code_of(error)) from error
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except BrokenPipeError:  # the reader of our output has gone, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(ExitCode.OK) from None


def make_group(summary: str) -> typer.Typer:
    """An empty group of commands."""
    return typer.Typer(cls=SoukGroup, help=summary, no_args_is_help=True, rich_markup_mode=None)
