"""``souk account``, ``souk key`` and ``souk token``: who takes part and who may join."""

from typing import Annotated

import typer

from ..errors import ConfigError
from ..resources import Account, ApiKey, JoinToken
from ..units import format_ago, format_credits, parse_credits, parse_duration_s
from .group import make_group
from .options import ROWS_DEFAULT, ContextName, Limit, Output, OutputFormat, connect
from .output import Column, details, show_list, show_one

accounts = make_group("Accounts and their purses (operators).")
keys = make_group("API keys.")
tokens = make_group("Join tokens, by which devices enrol.")

AccountName = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its id or name, or `me`.")]

_ACCOUNTS: tuple[Column[Account], ...] = (
    Column(title="ID", read=lambda account: account.id),
    Column(title="NAME", read=lambda account: account.name),
    Column(title="ROLE", read=lambda account: account.role),
    Column(
        title="AVAILABLE",
        read=lambda account: format_credits(account.balance.available_micros),
        right=True,
    ),
    Column(
        title="HELD", read=lambda account: format_credits(account.balance.held_micros), right=True
    ),
    Column(title="DISABLED", read=lambda account: "yes" if account.disabled else ""),
)
_KEYS: tuple[Column[ApiKey], ...] = (
    Column(title="ID", read=lambda key: key.id),
    Column(title="NAME", read=lambda key: key.name or ""),
    Column(title="PREFIX", read=lambda key: key.prefix),
    Column(title="SCOPES", read=lambda key: ", ".join(key.scopes)),
    Column(title="USED", read=lambda key: format_ago(key.last_used_at), right=True),
    Column(title="STATE", read=lambda key: "revoked" if key.revoked_at else "active"),
)
_TOKENS: tuple[Column[JoinToken], ...] = (
    Column(title="ID", read=lambda token: token.id),
    Column(title="PREFIX", read=lambda token: token.prefix),
    Column(title="CELL", read=lambda token: token.cell_id or ""),
    Column(title="OWNER", read=lambda token: token.owner_id),
    Column(title="USES LEFT", read=lambda token: str(token.uses_left), right=True),
    Column(
        title="EXPIRES",
        read=lambda token: f"{token.expires_at:%Y-%m-%d %H:%M}" if token.expires_at else "",
    ),
)


@accounts.command("list")
def list_accounts(
    limit: Limit = ROWS_DEFAULT, output: Output = OutputFormat.TABLE, context: ContextName = ""
) -> None:
    """List accounts with their balances."""
    with connect(context) as souk:
        show_list(lambda: souk.accounts.list(limit=limit), _ACCOUNTS, output=output)


@accounts.command("show")
def show_account(
    account: AccountName = "me", output: Output = OutputFormat.TABLE, context: ContextName = ""
) -> None:
    """Show one account; without a name, one's own."""
    from .names import account_id

    with connect(context) as souk:
        _present_account(souk.accounts.get(account_id(souk, account)), output)


@accounts.command("create")
def create_account(
    name: Annotated[str, typer.Argument(help="Its name, by which it signs in.")],
    role: Annotated[str, typer.Option("--role", help="operator, owner, tenant or viewer.")],
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a password, for the browser.")
    ] = False,
    weight: Annotated[
        float | None, typer.Option("--weight", help="Its share in fairness; 1 is usual.")
    ] = None,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Make an account."""
    secret = None
    if password:
        secret = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    with connect(context) as souk:
        account = souk.accounts.create(name, role=role, password=secret, fair_weight=weight)
        _present_account(account, output)


@accounts.command()
def deposit(
    account: AccountName,
    credits_: Annotated[str, typer.Argument(metavar="CREDITS", help="How many, e.g. 12.5.")],
    note: Annotated[str, typer.Option("--note", help="Why, for the books.")] = "",
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Put credits into an account's purse."""
    from .names import account_id

    try:
        amount = parse_credits(credits_)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="CREDITS") from error
    with connect(context) as souk:
        found_id = account_id(souk, account)
        souk.accounts.deposit(found_id, amount_micros=amount, note=note)
        _present_account(souk.accounts.get(found_id), output)


@keys.command("list")
def list_keys(
    limit: Limit = ROWS_DEFAULT, output: Output = OutputFormat.TABLE, context: ContextName = ""
) -> None:
    """List keys; their secrets are shown only once, when they are made."""
    with connect(context) as souk:
        show_list(lambda: souk.keys.list(limit=limit), _KEYS, output=output, empty="No keys.")


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Option("--name", help="What it is for.")] = "",
    scope: Annotated[
        list[str], typer.Option("--scope", help="read, write or admin; may be repeated.")
    ] = [],  # noqa: B006  typer copies it
    account: Annotated[
        str, typer.Option("--account", help="For this account (operators), by id or name.")
    ] = "",
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Make a key; its secret is printed once and kept nowhere."""
    from .names import account_id

    with connect(context) as souk:
        key = souk.keys.create(
            name=name,
            scopes=scope or None,
            account_id=account_id(souk, account) if account else None,
        )
        show_one(
            key,
            lambda found: details(
                {"Id": found.id, "Scopes": ", ".join(found.scopes), "Key": found.key}
            ),
            output=output,
        )


@keys.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id.")], context: ContextName = ""
) -> None:
    """Withdraw a key at once."""
    with connect(context) as souk:
        souk.keys.revoke(key)
    typer.echo(f"{key} is revoked")


@tokens.command("list")
def list_tokens(
    limit: Limit = ROWS_DEFAULT, output: Output = OutputFormat.TABLE, context: ContextName = ""
) -> None:
    """List join tokens."""
    with connect(context) as souk:
        show_list(lambda: souk.tokens.list(limit=limit), _TOKENS, output=output, empty="No tokens.")


@tokens.command("create")
def create_token(
    cell: Annotated[str, typer.Option("--cell", help="Where devices join (id or name).")],
    owner: Annotated[str, typer.Option("--owner", help="Whose they are (operators).")] = "",
    uses: Annotated[int, typer.Option("--uses", min=1, help="How many devices.")] = 1,
    ttl: Annotated[str, typer.Option("--ttl", help="How long it is good, e.g. 1h.")] = "1h",
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Make a join token; give it to `souk-agent enrol`."""
    from .names import account_id

    try:
        ttl_s = int(parse_duration_s(ttl))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--ttl") from error
    if ttl_s < 1:
        raise ConfigError("a token must be good for at least a second")
    with connect(context) as souk:
        owner_id = account_id(souk, owner) if owner else None
        token = souk.tokens.create(cell=cell, owner_id=owner_id, uses=uses, ttl_s=ttl_s)
        show_one(
            token,
            lambda found: details(
                {"Id": found.id, "Uses": str(found.uses_left), "Token": found.token}
            ),
            output=output,
        )


@tokens.command("revoke")
def revoke_token(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id.")],
    context: ContextName = "",
) -> None:
    """Withdraw a join token; devices that have used it stay."""
    with connect(context) as souk:
        souk.tokens.revoke(token)
    typer.echo(f"{token} is revoked")


def _present_account(account: Account, output: OutputFormat) -> None:
    balance = account.balance
    show_one(
        account,
        lambda found: details(
            {
                "Account": found.id,
                "Name": found.name,
                "Role": found.role,
                "Available": f"{format_credits(balance.available_micros)} credits",
                "Held": f"{format_credits(balance.held_micros)} credits",
                "Weight": f"{found.fair_weight:g}",
                "Disabled": "yes" if found.disabled else "",
            }
        ),
        output=output,
    )
