"""``souk policy``: versions of the operator's policy, the one in force and its shadow."""

import json
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from ..resources import Policy, ShadowComparison, ShadowFigure
from .group import make_group
from .options import ROWS_DEFAULT, ContextName, Limit, Output, OutputFormat, connect, time_of
from .output import Column, age_of, details, show_list, show_one, stack, table

if TYPE_CHECKING:
    from rich.console import RenderableType

app = make_group("The operator's policy: weights, mechanism, payment, price rule.")

PolicyName = Annotated[
    str, typer.Argument(metavar="POLICY", help="Its id, or its name (the newest of that name).")
]
_WEIGHTS = ("cost", "qos", "energy", "fairness")
_FIGURES: tuple[Column[ShadowFigure], ...] = (
    Column(title="FIGURE", read=lambda each: each.name),
    Column(title="LIVE", read=lambda each: f"{each.live:.6g}", right=True),
    Column(title="SHADOW", read=lambda each: f"{each.shadow:.6g}", right=True),
    Column(
        title="CHANGE",
        read=lambda each: "–" if each.change is None else f"{each.change:+.1%}",
        right=True,
    ),
)


@app.command("list")
def list_policies(
    limit: Limit = ROWS_DEFAULT, output: Output = OutputFormat.TABLE, context: ContextName = ""
) -> None:
    """List versions, newest first."""
    with connect(context) as souk:
        show_list(lambda: souk.policies.list(limit=limit), _versions, output=output)


@app.command()
def show(
    policy: PolicyName, output: Output = OutputFormat.TABLE, context: ContextName = ""
) -> None:
    """Show one version."""
    from .names import policy_id

    with connect(context) as souk:
        _present(souk.policies.get(policy_id(souk, policy)), output)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    mechanism: Annotated[str, typer.Option("--mechanism", help="Which one clears rounds.")] = "",
    weights: Annotated[
        str,
        typer.Option(
            "--weights",
            help="For example cost=0.4,qos=0.3,energy=0.2,fairness=0.1; those not named are 0.",
        ),
    ] = "",
    payment: Annotated[
        str, typer.Option("--payment", help="pay_as_bid, uniform, critical or vcg.")
    ] = "",
    set_: Annotated[
        list[str],
        typer.Option("--set", help="Another field, e.g. price_step=0.05; may be repeated."),
    ] = [],  # noqa: B006  typer copies it
    file: Annotated[
        Path | None, typer.Option("--file", help="A JSON object with the fields of the policy.")
    ] = None,
    activate_now: Annotated[
        bool, typer.Option("--activate", help="Put it in force from the next round on.")
    ] = False,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Make a version; what is not given has its default."""
    body = _from_file(file) if file else {}
    body |= {key: value for key, value in (("mechanism", mechanism), ("payment", payment)) if value}
    if given := parse_weights(weights):
        body |= {f"weight_{name}": given.get(name, 0.0) for name in _WEIGHTS}
    body |= _fields(set_)
    with connect(context) as souk:
        _present(souk.policies.create(name, body=body, activate=activate_now), output)


@app.command()
def activate(
    policy: PolicyName, output: Output = OutputFormat.TABLE, context: ContextName = ""
) -> None:
    """Put a version in force from the next round on; an older one rolls back."""
    from .names import policy_id

    with connect(context) as souk:
        _present(souk.policies.activate(policy_id(souk, policy)), output)


@app.command()
def shadow(
    policy: PolicyName,
    end: Annotated[bool, typer.Option("--end", help="Stop running it as a shadow.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Show what it has shown.")] = False,
    since: Annotated[
        str, typer.Option("--since", help="How far back, e.g. 6h, or an RFC 3339 time.")
    ] = "24h",
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Let a version clear the rounds beside the live one, unapplied; compare or end it."""
    from .names import policy_id

    with connect(context) as souk:
        found = policy_id(souk, policy)
        if end:
            souk.policies.end_shadow(found)
            typer.echo(f"{found} no longer runs as a shadow")
        elif compare:
            start = time_of(since, option="--since")
            show_one(souk.policies.compare(found, since=start), _comparison, output=output)
        else:
            _present(souk.policies.shadow(found), output)


def parse_weights(text: str) -> dict[str, float]:
    """Weights by name of ``cost=…,qos=…``; those not named are absent."""
    found: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name.strip() not in _WEIGHTS:
            why = f"there is no weight {name.strip()!r}: there are {', '.join(_WEIGHTS)}"
            raise typer.BadParameter(why, param_hint="--weights")
        try:
            weight = float(value)
        except ValueError:
            why = f"{part!r} does not end with a number"
            raise typer.BadParameter(why, param_hint="--weights") from None
        if not 0 <= weight < inf:
            why = f"{part!r}: a weight is a finite number of at least 0"
            raise typer.BadParameter(why, param_hint="--weights")
        found[name.strip()] = weight
    return found


def _fields(given: list[str]) -> dict[str, Any]:
    """Fields of ``name=value``, each value JSON, or text where it is none."""
    found: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise typer.BadParameter(f"{each!r} is not name=value", param_hint="--set")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _from_file(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} does not hold a JSON object")
    return found


def _state(policy: Policy, live: str) -> str:
    if policy.shadow:
        return "shadow"
    if policy.id == live:
        return "in force"
    return "was in force" if policy.activated_at else ""


def _versions(found: Sequence[Policy]) -> tuple[Column[Policy], ...]:
    """The newest activated one that is no shadow is in force."""
    chosen = [policy for policy in found if policy.activated_at and not policy.shadow]
    newest = max(chosen, key=lambda policy: (policy.activated_at, policy.id), default=None)
    live = newest.id if newest else ""
    return (
        Column(title="ID", read=lambda each: each.id),
        Column(title="NAME", read=lambda each: each.name),
        Column(title="MECHANISM", read=lambda each: str(each.body.get("mechanism", ""))),
        Column(title="PAYMENT", read=lambda each: str(each.body.get("payment", ""))),
        Column(title="WEIGHTS", read=_weights),
        Column(title="STATE", read=lambda each: _state(each, live)),
        age_of(lambda each: each.created_at),
    )


def _weights(policy: Policy) -> str:
    parts = [policy.body.get(f"weight_{name}") for name in _WEIGHTS]
    return "/".join("–" if part is None else f"{part:g}" for part in parts)


def _present(policy: Policy, output: OutputFormat) -> None:
    rows = {name: str(value) for name, value in sorted(policy.body.items())}
    since = f"{policy.activated_at:%Y-%m-%d %H:%M:%S}" if policy.activated_at else ""
    as_shadow = "yes" if policy.shadow else ""
    head = {"Policy": policy.id, "Name": policy.name, "Activated": since, "Shadow": as_shadow}
    show_one(
        policy,
        lambda _: details(head | rows),
        output=output,
    )


def _comparison(found: ShadowComparison) -> "RenderableType":
    if not found.rounds:
        return "No round was cleared by it in this time."
    return stack(f"Means over {found.rounds} rounds", table(found.items, _FIGURES))
