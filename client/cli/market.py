"""``souk market`` and ``souk ledger``: prices, rounds and the book; balances and transfers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from ..resources import (
    Balance,
    Book,
    BookLevel,
    Invariant,
    Invariants,
    Price,
    Round,
    Statistic,
    Transfer,
    UpperRound,
)
from ..units import format_bytes, format_credits, format_resource, parse_duration_s
from .exits import ExitCode
from .group import make_group
from .options import (
    ROWS_DEFAULT,
    ContextName,
    Limit,
    Output,
    OutputFormat,
    Watch,
    connect,
    time_of,
)
from .output import Column, age_of, present, show_list, show_one, stack, table

if TYPE_CHECKING:
    from rich.console import RenderableType

market = make_group("Prices, rounds and the book.")
ledger = make_group("Balances, transfers and the ledger's laws.")

InCell = Annotated[str, typer.Option("--cell", help="Only of this cell (id or name).")]

_PRICES: tuple[Column[Price], ...] = (
    Column(title="CELL", read=lambda price: price.cell_name or price.cell_id),
    Column(title="RESOURCE", read=lambda price: price.resource),
    Column(title="PRICE/H", read=lambda price: format_credits(price.price_micros), right=True),
    Column(title="IN USE", read=lambda price: f"{price.utilisation or 0:.0%}", right=True),
    age_of(lambda price: price.at),
)
_PARTS = ("snapshot", "read", "clear", "pack")  # one after the other
_OF_ROUND: tuple[Column[Round], ...] = (
    Column(title="MECHANISM", read=lambda found: found.mechanism),
    Column(title="BIDS", read=lambda found: str(found.bid_count), right=True),
    Column(title="ASKS", read=lambda found: str(found.ask_count), right=True),
    Column(
        title="SLOTS", read=lambda found: f"{found.slots_applied}/{found.slots_asked}", right=True
    ),
    Column(title="SENT UP", read=lambda found: str(found.slots_sent_up), right=True),
    Column(title="WELFARE", read=lambda found: f"{found.welfare:.4g}", right=True),
    Column(
        title="GAP", read=lambda found: "–" if found.gap is None else f"{found.gap:.1%}", right=True
    ),
    Column(title="MS", read=lambda found: _took(found.timings_ms), right=True),
    age_of(lambda found: found.created_at),
)
_UPPER_ROUNDS: tuple[Column[UpperRound], ...] = (
    Column(title="ID", read=lambda found: found.id),
    Column(title="PLACE", read=lambda found: found.place_name or found.place),
    Column(
        title="BIDS DOWN",
        read=lambda found: f"{found.bids_handed_down}/{found.bid_count}",
        right=True,
    ),
    Column(
        title="SLOTS DOWN",
        read=lambda found: f"{found.slots_handed_down}/{found.slots_asked}",
        right=True,
    ),
    Column(title="CELLS", read=lambda found: str(found.cell_count), right=True),
    Column(title="STEPS", read=lambda found: str(found.step_count), right=True),
    Column(title="CURVES", read=lambda found: format_bytes(found.bytes_up), right=True),
    Column(title="MS", read=lambda found: _took(found.timings_ms), right=True),
    age_of(lambda found: found.created_at),
)
_LEVELS: tuple[Column[BookLevel], ...] = (
    Column(title="RESOURCE", read=lambda level: level.resource),
    Column(title="PRICE/H", read=lambda level: format_credits(level.price_micros), right=True),
    Column(
        title="DEPTH", read=lambda level: format_resource(level.resource, level.units), right=True
    ),
    Column(title="ORDERS", read=lambda level: str(level.orders), right=True),
)
_STATISTICS: tuple[Column[Statistic], ...] = (
    Column(title="FROM", read=lambda each: f"{each.at:%m-%d %H:%M:%S}" if each.at else ""),
    Column(title="CELL", read=lambda each: each.cell_name or each.cell_id),
    Column(title="RESOURCE", read=lambda each: each.resource),
    Column(title="P10/H", read=lambda each: _price(each.price_p10_micros), right=True),
    Column(title="P50/H", read=lambda each: _price(each.price_p50_micros), right=True),
    Column(title="P90/H", read=lambda each: _price(each.price_p90_micros), right=True),
    Column(title="ROUNDS", read=lambda each: str(each.rounds), right=True),
    Column(title="FREE", read=lambda each: _depth(each, each.depth_free), right=True),
    Column(title="ASKED", read=lambda each: _depth(each, each.depth_asked), right=True),
    Column(title="FILLED", read=lambda each: _share(each.fill_rate), right=True),
    Column(title="SENT ON", read=lambda each: _share(each.share_forwarded), right=True),
)
_BALANCES: tuple[Column[Balance], ...] = (
    Column(title="ACCOUNT", read=lambda balance: balance.name or balance.account_id),
    Column(title="ROLE", read=lambda balance: balance.role),
    Column(title="POSTED", read=lambda balance: format_credits(balance.posted_micros), right=True),
    Column(title="HELD", read=lambda balance: format_credits(balance.held_micros), right=True),
)
_TRANSFERS: tuple[Column[Transfer], ...] = (
    Column(title="ID", read=lambda transfer: transfer.id),
    Column(title="KIND", read=lambda transfer: transfer.kind),
    Column(title="CREDITS", read=lambda found: format_credits(found.amount_micros), right=True),
    Column(title="FROM", read=lambda transfer: transfer.debit_id or ""),
    Column(title="TO", read=lambda transfer: transfer.credit_id or ""),
    Column(title="JOB", read=lambda transfer: transfer.job_id or ""),
    age_of(lambda transfer: transfer.created_at),
)
_LAWS: tuple[Column[Invariant], ...] = (
    Column(title="HOLDS", read=lambda law: "yes" if law.ok else "NO"),
    Column(title="LAW", read=lambda law: law.name),
    Column(title="DETAIL", read=lambda law: law.detail),
)


@market.command()
def prices(
    cell: InCell = "",
    watch: Watch = False,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Show standing prices: credits per core, GiB, accelerator or Mbit/s, and hour."""
    from .names import cell_id

    with connect(context) as souk:
        wanted = cell_id(souk, cell) if cell else None
        show_list(
            lambda: souk.market.prices(cell_id=wanted),
            _PRICES,
            output=output,
            watch=watch,
            empty="No prices yet: no round has been cleared.",
        )


@market.command()
def rounds(
    cell: InCell = "",
    bids: Annotated[
        bool, typer.Option("--bids", help="Only rounds in which somebody bid.")
    ] = False,
    limit: Limit = ROWS_DEFAULT,
    watch: Watch = False,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """List the rounds that were cleared."""
    from .names import cell_id

    with connect(context) as souk:
        wanted = cell_id(souk, cell) if cell else None
        names = {each.id: each.name for each in souk.cells.list()}
        show_list(
            lambda: souk.market.rounds(cell_id=wanted, with_bids=bids, limit=limit),
            (
                Column(title="ID", read=lambda found: found.id),
                Column(title="CELL", read=lambda found: names.get(found.cell_id, found.cell_id)),
                *_OF_ROUND,
            ),
            output=output,
            watch=watch,
            empty="No rounds yet.",
        )


@market.command("upper-rounds")
def list_upper_rounds(
    place: Annotated[
        str, typer.Option("--place", help="Only of this region (id or name), or of `root`.")
    ] = "",
    limit: Limit = ROWS_DEFAULT,
    watch: Watch = False,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """List rounds of the regions and the root: what cells sent up, what other cells took."""
    with connect(context) as souk:
        show_list(
            lambda: souk.market.upper_rounds(place=place or None, limit=limit),
            _UPPER_ROUNDS,
            output=output,
            watch=watch,
            empty="No rounds above the cells: none had to send anything up.",
        )


@market.command()
def book(
    cell: InCell = "",
    watch: Watch = False,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Show the depth of the book: what is asked and bid, per resource and price."""
    from .names import cell_id

    with connect(context) as souk:
        if cell:
            names = {cell_id(souk, cell): cell}
        else:
            names = {each.id: each.name for each in souk.cells.list()}
        present(
            lambda: {name: souk.market.book(cell_id=found) for found, name in names.items()},
            render=_books,
            document=lambda found: {name: book.raw for name, book in found.items()},
            output=output,
            watch=watch,
        )


@market.command()
def stats(
    cell: InCell = "",
    since: Annotated[
        str, typer.Option("--since", help="How far back, e.g. 1h, or an RFC 3339 time.")
    ] = "1h",
    step: Annotated[str, typer.Option("--step", help="Length of a step, e.g. 5m.")] = "5m",
    watch: Watch = False,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """Show prices, depth, fill rate and demand sent on to other cells over time."""
    from .names import cell_id

    try:
        step_s = max(1, round(parse_duration_s(step)))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--step") from error
    with connect(context) as souk:
        wanted = cell_id(souk, cell) if cell else None
        show_list(
            lambda: souk.market.statistics(
                cell_id=wanted, since=time_of(since, option="--since"), step_s=step_s
            ),
            _STATISTICS,
            output=output,
            watch=watch,
            empty="Nothing was cleared in this time.",
        )


@ledger.command()
def balances(
    watch: Watch = False, output: Output = OutputFormat.TABLE, context: ContextName = ""
) -> None:
    """Show what every account has."""
    with connect(context) as souk:
        show_list(souk.ledger.balances, _BALANCES, output=output, watch=watch)


@ledger.command()
def transfers(
    account: Annotated[str, typer.Option("--account", help="Only of this account.")] = "",
    job: Annotated[str, typer.Option("--job", help="Only of this job (id, name or last).")] = "",
    kind: Annotated[str, typer.Option("--kind", help="Only of this kind.")] = "",
    limit: Limit = ROWS_DEFAULT,
    output: Output = OutputFormat.TABLE,
    context: ContextName = "",
) -> None:
    """List movements of credits, newest first."""
    from .names import account_id, job_id

    with connect(context) as souk:
        of_account = account_id(souk, account) if account else None
        of_job = job_id(souk, job) if job else None
        show_list(
            lambda: souk.ledger.transfers(
                account_id=of_account, job_id=of_job, kind=kind or None, limit=limit
            ),
            _TRANSFERS,
            output=output,
            empty="No transfers.",
        )


@ledger.command()
def invariants(output: Output = OutputFormat.TABLE, context: ContextName = "") -> None:
    """Check the ledger's laws; exit 1 if one does not hold."""
    with connect(context) as souk:
        found = souk.ledger.invariants()
        show_one(found, _laws, output=output)
    if not found.ok:
        raise typer.Exit(ExitCode.FAILED)


def _took(timings_ms: Mapping[str, float]) -> str:
    """Milliseconds of a round; what its mechanism notes besides is within ``clear``."""
    return f"{sum(timings_ms.get(part, 0.0) for part in _PARTS):.0f}"


def _price(micros: float | None) -> str:
    return "–" if micros is None else format_credits(round(micros))


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _depth(each: Statistic, units: float | None) -> str:
    return "–" if units is None else format_resource(each.resource, round(units))


def _laws(found: Invariants) -> "RenderableType":
    return table(found.items, _LAWS)


def _books(found: Mapping[str, Book]) -> "RenderableType":
    """The two sides of each cell's book."""
    parts: list[RenderableType] = []
    for cell, book in found.items():
        for side, levels, unit in (("Asks", book.asks, "unit"), ("Bids", book.bids, "slot")):
            if levels:
                title = f"{side} in {cell}, credits for a {unit} and hour"
                parts += [title, table(levels, _LEVELS), ""]
    return stack(*parts[:-1]) if parts else "The book is empty: nothing is asked, nothing is bid."
