"""The ``souk`` command line for tenants, owners and operators: ``app`` and ``main``.

``add_commands`` puts the same commands into another Typer application: the platform's own ``souk``
does so.
"""

import typer

from . import accounts, artifacts, contexts, fleet, job, market, offline, policy
from .doctor import doctor
from .group import SoukGroup

GROUPS: tuple[tuple[str, typer.Typer], ...] = (
    ("job", job.app),
    ("node", fleet.nodes),
    ("cell", fleet.cells),
    ("offer", fleet.offers),
    ("market", market.market),
    ("policy", policy.app),
    ("ledger", market.ledger),
    ("account", accounts.accounts),
    ("key", accounts.keys),
    ("token", accounts.tokens),
    ("model", artifacts.models),
    ("artifact", artifacts.artifacts),
    ("context", contexts.app),
)

offline.add_to(market.market)


def add_commands(to: typer.Typer) -> None:
    """Add every command of the client to an application (whose class should be SoukGroup)."""
    for name, group in GROUPS:
        to.add_typer(group, name=name)
    to.command("doctor")(doctor)


app = typer.Typer(
    cls=SoukGroup,
    help="souk: an open marketplace for computing at the edge.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
add_commands(app)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if version:
        from ..version import VERSION

        typer.echo(f"souk {VERSION}")
        raise typer.Exit


def main() -> None:
    """The console script."""
    app(prog_name="souk")
