"""The reference page of the command line, made from the commands: ``docs/cli.md``.

``python -m client.cli.reference`` prints it; a test holds the page to it.
"""

import sys
from collections.abc import Iterator
from typing import Any

import typer

from . import app
from .exits import MEANINGS

_HEAD = """\
# The `souk` command line

Made by `python -m client.cli.reference`; do not edit by hand. `./souk` in a checkout has these
commands and those that run the platform (`up`, `down`, `status`, `demo`, …; see `./souk --help`).

Where the platform is and as whom to speak to it: `SOUK_URL` with `SOUK_API_KEY` and `SOUK_CA`; else
the context that `SOUK_CONTEXT` names; else a platform that runs from `SOUK_HOME`; else the current
context of `~/.config/souk/client.toml`; else a platform that runs from the default data directory.
Tables are for people; `-o json` prints the API's own objects. Errors go to standard error.
"""


def reference() -> str:
    """The whole page, in Markdown."""
    root: Any = typer.main.get_command(app)
    parts = [_HEAD, _exit_codes()]
    for name, group in root.commands.items():
        commands = getattr(group, "commands", None)
        if commands is None:
            parts.append(_command(f"souk {name}", group, level=2))
            continue
        parts.append(f"## souk {name}\n\n{group.help}\n")
        parts += [_command(f"souk {name} {each}", commands[each], level=3) for each in commands]
    return "\n".join(parts)


def _exit_codes() -> str:
    rows = [f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items()]
    return "\n".join(["## Exit codes", "", "| code | means |", "|---|---|", *rows, ""])


def _command(path: str, command: Any, *, level: int) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    usage = " ".join([path, *(["[OPTIONS]"] if options else []), *map(_placeholder, arguments)])
    lines = [f"{'#' * level} {path}", "", command.help or "", "", "```", usage, "```", ""]
    rows = [*_argument_rows(arguments), *_option_rows(options)]
    if rows:
        lines += ["| | |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _placeholder(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return str(name) if argument.required else f"[{name}]"


def _argument_rows(arguments: list[Any]) -> Iterator[str]:
    for argument in arguments:
        yield f"| `{argument.metavar or argument.name.upper()}` | {_cell(argument.help)} |"


def _option_rows(options: list[Any]) -> Iterator[str]:
    for option in options:
        if option.name != "help":
            yield f"| `{'`, `'.join(option.opts)}` | {_cell(option.help)}{_default(option)} |"


def _default(option: Any) -> str:
    default = option.default
    shown = default not in (None, "", False, 0, [], ()) and not callable(default)
    return f" Default: `{default}`." if shown else ""


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())
