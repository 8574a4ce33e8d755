"""``souk market clear | convert | generate | replay``: the market's own code on files and records.

No database is needed; ``replay`` asks a platform for the rounds that it has recorded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.cli.group import make_group
from client.cli.options import ContextName, Output, OutputFormat, connect, time_of
from client.cli.output import Column, console, print_json, stack, table
from client.cli.policy import parse_weights
from client.errors import ConfigError, NotFound
from stack.plan_view import show_comparison, show_plan
from stack.replay_plot import plot

if TYPE_CHECKING:
    from client.client import Client
    from sim.replay import Recorded, Replayed

app = make_group("The market on files and recorded rounds.")
LAST_DEFAULT = 20

Mechanism = Annotated[
    str, typer.Option("--mechanism", help="Its name; the one of the policy if not given.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of everything random.")]
Out = Annotated[Path, typer.Option("--out", help="File to write: .json or .npz.")]
Budget = Annotated[int, typer.Option("--budget-ms", min=1, help="Time to search.")]
Payment = Annotated[str, typer.Option("--payment", help="pay_as_bid, uniform, critical or vcg.")]
Weights = Annotated[
    str,
    typer.Option(
        "--weights", help="For example cost=0.4,qos=0.3,energy=0.2; those not named are 0."
    ),
]


class Trace(StrEnum):
    """The traces that can be turned into instances."""

    JOB_EVENTS = "job_events"
    TASK_EVENTS = "task_events"
    OPENB = "openb"
    EUA = "eua"


@app.command()
def clear(
    instance: Annotated[Path, typer.Option("--instance", help="Instance file, .json or .npz.")],
    mechanism: Mechanism = "",
    budget_ms: Budget = 1_000,
    weights: Weights = "",
    payment: Payment = "",
    seed: Annotated[int, typer.Option("--seed", min=-1, help="-1: the instance's own.")] = -1,
    repeatable: Annotated[
        bool,
        typer.Option("--repeatable", help="Search for the budget's worth whatever the clock says."),
    ] = False,
    carry: Annotated[
        Path | None,
        typer.Option("--carry", help="A plan (--json) of these nodes whose prices are carried on."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Clear an instance file; prints matches, payments, prices, welfare, bound, gap and times."""
    from stack import market_files

    with refusals():
        options = market_files.Options(
            mechanism=mechanism or None,
            weights=_weights(weights),
            payment=_payment(payment),
            seed=None if seed < 0 else seed,
            budget_ms=budget_ms,
            repeatable=repeatable,
            carried=None if carry is None else market_files.read_plan(carry),
        )
        facts = market_files.clear(instance, options)
    if as_json:
        print_json(facts)
    else:
        show_plan(facts)


@app.command()
def compare(
    instance: Annotated[Path, typer.Option("--instance", help="Instance file, .json or .npz.")],
    only: Annotated[
        str,
        typer.Option(
            "--mechanisms",
            help="Names, separated by commas; else all with this payment rule but solvers.",
        ),
    ] = "",
    budget_ms: Budget = 1_000,
    weights: Weights = "",
    payment: Payment = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Clear an instance file by several mechanisms; one score, one table."""
    from stack import market_files

    options = market_files.Options(
        weights=_weights(weights), payment=_payment(payment), budget_ms=budget_ms
    )
    chosen = [name.strip() for name in only.split(",") if name.strip()]
    with refusals():
        rows = market_files.compare(instance, chosen, options)
    if as_json:
        print_json(rows)
    else:
        show_comparison(rows)


@app.command()
def generate(
    out: Out,
    bids: Annotated[int, typer.Option("--bids", min=0, help="How many bids.")] = 1_000,
    asks: Annotated[int, typer.Option("--asks", min=0, help="How many nodes.")] = 300,
    zones: Annotated[int, typer.Option("--zones", min=1, help="Places.")] = 32,
    cells: Annotated[int, typer.Option("--cells", min=1, help="Cells.")] = 8,
    load: Annotated[float, typer.Option("--load", min=0, help="Demand over capacity.")] = 1.2,
    seed: Seed = 0,
) -> None:
    """Write a synthetic instance file."""
    from sim.generators import random_snapshot
    from stack import market_files

    if not isfinite(load):
        raise typer.BadParameter("it must be finite", param_hint="--load")
    snapshot = random_snapshot(bids=bids, asks=asks, seed=seed, zones=zones, cells=cells, load=load)
    with refusals():
        market_files.write(snapshot, out)
    typer.echo(f"{out}: {bids} bids on {asks} nodes")


@app.command()
def convert(
    kind: Annotated[Trace, typer.Argument(help="Which trace.")],
    files: Annotated[list[Path], typer.Argument(help="Its files, see docs/instances.md.")],
    out: Out,
    bids: Annotated[int, typer.Option("--bids", min=1, help="The most bids.")] = 3_553,
    asks: Annotated[int, typer.Option("--asks", min=1, help="The most nodes.")] = 888,
    seed: Seed = 0,
) -> None:
    """Turn trace files into an instance file."""
    from stack import market_files

    with refusals():
        snapshot = market_files.convert(str(kind), files, bids=bids, asks=asks, seed=seed)
        market_files.write(snapshot, out)
    typer.echo(f"{out}: {len(snapshot.bids)} bids on {len(snapshot.asks)} nodes")


@app.command()
def replay(
    rounds: Annotated[str, typer.Option("--rounds", help="Ids, separated by commas.")] = "",
    last: Annotated[int, typer.Option("--last", min=0, help="The newest so many.")] = 0,
    cell: Annotated[str, typer.Option("--cell", help="Only of this cell (id or name).")] = "",
    since: Annotated[
        str, typer.Option("--since", help="Only since then: 1h, or an RFC 3339 time.")
    ] = "",
    mechanism: Mechanism = "",
    weights: Weights = "",
    payment: Payment = "",
    budget_ms: Annotated[
        int, typer.Option("--budget-ms", min=0, help="Time to search; 0: as recorded.")
    ] = 0,
    plot_to: Annotated[
        Path | None, typer.Option("--plot", help="Draw the differences to this file.")
    ] = None,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Clear recorded rounds again, as they were and as told; print and plot the differences."""
    from sim.replay import Other
    from sim.replay import replay as run

    other = Other(
        mechanism=mechanism or None,
        weights=_weights(weights),
        payment=_payment(payment),
        budget_ms=budget_ms or None,
    )
    with connect(context) as souk, refusals():
        chosen = _chosen(souk, rounds, last, cell, since)
        found = [run(each, other) for each in chosen]
    if not found:
        raise ConfigError("none of these rounds has a snapshot: nobody bid, or they are too old")
    if plot_to is not None:
        plot(found, plot_to)
    _print(found, output)


def _weights(text: str) -> dict[str, float] | None:
    """All weights, those not named at 0; None where none is named."""
    found = parse_weights(text)
    if found and not any(found.values()):
        raise typer.BadParameter("at least one must be above zero", param_hint="--weights")
    return found or None


def _payment(text: str) -> Any:
    from typing import get_args

    from market.snapshot import PaymentRule

    if text and text not in get_args(PaymentRule):
        known = ", ".join(get_args(PaymentRule))
        raise typer.BadParameter(f"{text!r} is none of {known}", param_hint="--payment")
    return text or None


def _chosen(souk: "Client", rounds: str, last: int, cell: str, since: str) -> Iterator["Recorded"]:
    """The rounds that the options name, oldest first, those without a snapshot left out."""
    from client.cli.names import cell_id
    from sim.instances import from_npz
    from sim.replay import Recorded

    if rounds:
        ids = [each for each in rounds.split(",") if each]
    else:
        place = cell_id(souk, cell) if cell else None
        start = time_of(since, option="--since") if since else ""
        most = last or (None if since else LAST_DEFAULT)
        ids = []
        for each in souk.market.rounds(cell_id=place, with_bids=True):
            if start and each.created_at and each.created_at.isoformat() < start:
                break
            ids.append(each.id)
            if most is not None and len(ids) >= most:
                break
        ids.reverse()
    for round_id in ids:
        noted = souk.market.round(round_id)
        try:
            snapshot = from_npz(souk.market.snapshot(round_id))
        except NotFound:
            if rounds:
                raise
            continue
        yield Recorded(
            snapshot=snapshot,
            budget_ms=int(noted.get("budget_ms") or 1_000),
            digest=str(noted.get("digest") or ""),
        )


def _print(found: "list[Replayed]", output: OutputFormat) -> None:
    from dataclasses import asdict

    from sim.replay import means

    if output is OutputFormat.JSON:
        print_json({"rounds": [asdict(each) for each in found], "means": means(found)})
        return
    same = sum(each.same_plan is True for each in found)
    differs = [each.round_id for each in found if each.same_plan is False]
    lines = [f"{len(found)} rounds, {same} of them repeated to the byte"]
    if differs:
        lines.append(f"Another plan than recorded: {', '.join(differs)}")
    columns: tuple[Column[dict[str, Any]], ...] = (
        Column(title="FIGURE", read=lambda row: str(row["figure"])),
        Column(title="RECORDED", read=lambda row: f"{row['recorded']:.6g}", right=True),
        Column(title="REPLAYED", read=lambda row: f"{row['replayed']:.6g}", right=True),
        Column(title="CHANGE", read=_change, right=True),
    )
    console().print(stack(*lines, "", table(means(found), columns)))


def _change(row: dict[str, Any]) -> str:
    return "–" if row["change"] is None else f"{row['change']:+.2%}"


@contextmanager
def refusals() -> Iterator[None]:
    """Turns what a file, a mechanism or a payment rule refuses into a sentence and exit code 1."""
    from market.mechanisms import InvalidDeclaration, UnknownMechanism
    from market.outcome import PaymentUnavailable
    from sim.instances import InvalidInstance

    try:
        yield
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise ConfigError(reason) from error
    except (UnknownMechanism, InvalidDeclaration, PaymentUnavailable, InvalidInstance) as error:
        raise ConfigError(str(error)) from error
