"""A plan of ``souk market clear`` for people: its worth, first matches, losses, prices, times."""

from collections import Counter
from typing import Any

from client.cli.output import Column, console, stack, table
from client.units import format_credits

ROWS_SHOWN = 20
CELLS_SHOWN = 16
Row = dict[str, Any]
_PLACES: tuple[Column[Row], ...] = (
    Column(title="BID", read=lambda row: str(row["bid"])),
    Column(title="ASK", read=lambda row: str(row["ask"])),
    Column(title="SLOTS", read=lambda row: str(row["count"]), right=True),
)
_MONEY: tuple[Column[Row], ...] = (
    Column(title="PAYS/H", read=lambda row: format_credits(row["rate_micros"]), right=True),
    Column(
        title="RESERVE/H", read=lambda row: format_credits(row["reserve_rate_micros"]), right=True
    ),
    Column(title="PAYS", read=lambda row: format_credits(row["payment_micros"]), right=True),
    Column(title="SCORE", read=lambda row: f"{row['score']:.4g}", right=True),
)
_VALUES: tuple[Column[Row], ...] = (
    Column(title="PAYS", read=lambda row: f"{row['payment']:.6g}", right=True),
    Column(title="COST", read=lambda row: f"{row['cost']:.6g}", right=True),
    Column(title="VALUE", read=lambda row: f"{row['value']:.6g}", right=True),
)


_FIGURES: tuple[Column[Row], ...] = (
    Column(title="MECHANISM", read=lambda row: str(row["mechanism"])),
    Column(title="WELFARE", read=lambda row: f"{row['welfare']:.6g}", right=True),
    Column(title="GAP", read=lambda row: f"{row['gap']:.2%}", right=True),
    Column(title="BIDS", read=lambda row: str(row["bids_served"]), right=True),
    Column(title="SLOTS", read=lambda row: str(row["slots"]), right=True),
    Column(title="DEMAND", read=lambda row: f"{row['demand_served']:.4g}", right=True),
    Column(
        title="REVENUE/H",
        read=lambda row: format_credits(row["revenue_micros_per_hour"]),
        right=True,
    ),
    Column(title="LATENCY", read=lambda row: f"{row['latency_ms']:.1f} ms", right=True),
    Column(title="JAIN", read=lambda row: f"{row['jain']:.3f}", right=True),
    Column(title="MS", read=lambda row: f"{row['round_ms']:.0f}", right=True),
)


def show_comparison(rows: list[Row]) -> None:
    """Print one line for each mechanism, the best first."""
    best_first = sorted(rows, key=lambda row: -row["welfare"])
    head = f"{rows[0]['bids']} bids, least certified bound {rows[0]['bound']:.6g}"
    console().print(stack(head, "", table(best_first, _FIGURES)))


def show_plan(facts: Row) -> None:
    """Print the plan that ``facts`` tell, of a round or of a separable instance."""
    matches: list[Row] = facts["matches"]
    separable = "standing_price_micros" not in facts
    parts: list[Any] = [*_head(facts), ""]
    if matches:
        columns = _PLACES + (_VALUES if separable else _MONEY)
        parts.append(table(matches[:ROWS_SHOWN], columns))
    if len(matches) > ROWS_SHOWN:
        parts.append(f"… and {len(matches) - ROWS_SHOWN} more: --json shows all")
    losses = Counter(loss["reason"] for loss in facts.get("losses", []))
    if losses:
        parts.append("Lost: " + ", ".join(f"{n} {why}" for why, n in sorted(losses.items())))
    if prices := facts.get("standing_price_micros"):
        parts.append("Prices after the round, micros for a priced unit and hour:")
        parts += [f"  {cell}: {_listed(row)}" for cell, row in list(prices.items())[:CELLS_SHOWN]]
        if len(prices) > CELLS_SHOWN:
            parts.append(f"  … and {len(prices) - CELLS_SHOWN} more cells: --json shows all")
    console().print(stack(*parts))


def _head(facts: Row) -> list[str]:
    slots = sum(row["count"] for row in facts["matches"])
    served = len({row["bid"] for row in facts["matches"]})
    times = facts["timings_ms"]
    spent = ", ".join(f"{name.removesuffix('_ms')} {value:.1f}" for name, value in times.items())
    lines = [
        f"{facts['mechanism']}: welfare {facts['welfare']:.6g}, bound {facts['bound']:.6g}, "
        f"gap {facts['gap']:.2%}",
        f"{served} of {facts['bids']} bids served, {slots} slots, {len(facts['matches'])} matches "
        f"on {facts['nodes']} nodes",
        f"Milliseconds: {spent}",
    ]
    if facts.get("search", {}).get("cut_short"):
        lines.append(
            "The clock cut the search short: this machine is slower or busier than planned."
        )
    return lines


def _listed(prices: dict[str, float]) -> str:
    return ", ".join(f"{name} {price:.6g}" for name, price in prices.items())
