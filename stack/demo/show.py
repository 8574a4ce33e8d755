"""What the demo prints: progress, the market live, and the summary."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from client.resources import Event, Job
from client.units import format_credits, format_resource
from stack.demo.summary import Summary

_STATES = ("queued", "matched", "running", "succeeded", "failed", "cancelled", "expired")
_STYLES = {"succeeded": "green", "running": "cyan", "matched": "cyan", "queued": "yellow"}
_BAR_WIDTH = 40


@dataclass(slots=True)
class Show:
    """Prints to ``console``; times are seconds since the demo began."""

    console: Console
    began: float = field(default_factory=time.monotonic)
    _live: Live | None = None

    def say(self, text: str) -> None:
        """One line of what happens, with the time."""
        line = Text(f"{time.monotonic() - self.began:7.2f} s  ", style="bright_black")
        self.console.print(line.append(text, style="default"), soft_wrap=True)

    @contextmanager
    def live(self) -> Iterator[None]:
        """A board under the lines, redrawn by ``board``; lines only where no terminal is."""
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, auto_refresh=False, transient=True) as self._live:
            yield
        self._live = None

    def board(self, jobs: Mapping[str, Job], nodes: Sequence[Any]) -> None:
        """Redraw the board."""
        if self._live is not None:
            self._live.update(Group(Text(), _progress(jobs), _nodes(nodes)), refresh=True)

    def summary(self, found: Summary, *, picture: str) -> None:
        """The figures as tables, the picture first."""
        show = self.console.print
        if picture:
            show(Text("\nThe observatory's array job, one task a row:\n", style="bold"))
            show(Text(picture, style="cyan"))
        show()
        show(_jobs_line(found), soft_wrap=True)
        show(_prices(found))
        show(_payments(found))
        show(_laws(found))
        show(_times(found), soft_wrap=True)
        for complaint in found.complaints:
            show(Text(f"  wrong: {complaint}", style="bold red"), soft_wrap=True)


def describe(event: Event, jobs: Mapping[str, str], nodes: Mapping[str, str]) -> str:
    """An event as a sentence, with names for ids; "" for what is not worth a line."""
    data = event.data
    subject = jobs.get(event.subject_id or "", nodes.get(event.subject_id or "", ""))
    if event.kind == "lease.created" and event.subject_id in jobs:
        node = nodes.get(str(data.get("node_id")), "a node")
        rate = format_credits(int(data.get("rate_micros_per_hour") or 0))
        slots = "1 slot" if data.get("slots") == 1 else f"{data.get('slots')} slots"
        return f"{subject}: lease of {slots} on {node} at {rate} credits per slot-hour"
    if event.kind in ("job.succeeded", "job.failed", "job.expired", "job.cancelled") and subject:
        cost = format_credits(int(data.get("cost_micros") or 0))
        why = f" ({data['reason']})" if event.kind != "job.succeeded" else ""
        return f"{subject}: {event.kind.removeprefix('job.')}{why}, cost {cost} credits"
    if event.kind.startswith("node.") and subject:
        return f"{subject} is {event.kind.removeprefix('node.')}"
    return ""


def _progress(jobs: Mapping[str, Job]) -> RenderableType:
    counts = Counter(job.state for job in jobs.values())
    ended = sum(job.tasks.ended for job in jobs.values())
    tasks = sum(job.task_count for job in jobs.values())
    filled = _BAR_WIDTH * ended // max(tasks, 1)
    line = Text("  tasks ")
    line.append("█" * filled, style="green").append("░" * (_BAR_WIDTH - filled), style="dim")
    line.append(f" {ended}/{tasks}   jobs")
    for state in _STATES:
        if counts[state]:
            line.append(f"  {counts[state]} {state}", style=_STYLES.get(state, "red"))
    return line


def _nodes(nodes: Sequence[Any]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 2), header_style="bold")
    for title in ("cell", "device", "owner", "leased", "free"):
        table.add_column(title)
    for node in sorted(nodes, key=lambda node: (node.cell_name or "", node.name)):
        leased, free = (node.leased.get("cpu_millis", 0), node.free.get("cpu_millis", 0))
        table.add_row(
            node.cell_name or "",
            node.name,
            node.owner_name,
            Text(format_resource("cpu_millis", leased), style="cyan" if leased else "dim"),
            format_resource("cpu_millis", free),
        )
    return table


def _jobs_line(found: Summary) -> RenderableType:
    line = Text("Jobs      ", style="bold")
    total = sum(found.jobs_by_state.values())
    for state in _STATES:
        if count := found.jobs_by_state.get(state):
            line.append(f"{count} {state}  ", style=_STYLES.get(state, "red"))
    right = f"{found.results_right} of {total} jobs brought the right results"
    return line.append(f"({found.tasks} tasks; {right})", style="not bold")


def _prices(found: Summary) -> RenderableType:
    table = _table(
        "Prices: credits for a unit during an hour", "cell", "core", "GiB", "cores in use"
    )
    cells = sorted({row.cell for row in found.prices})
    rows = {(row.cell, row.resource): row for row in found.prices}
    for cell in cells:
        cpu, memory = rows.get((cell, "cpu_millis")), rows.get((cell, "memory_bytes"))
        table.add_row(
            cell,
            format_credits(cpu.price_micros if cpu else None),
            format_credits(memory.price_micros if memory else None),
            f"{cpu.utilisation:.0%}" if cpu else "–",
        )
    return table


def _payments(found: Summary) -> RenderableType:
    table = _table("Who paid whom", "tenant", "paid", "credits", "for jobs")
    for payment in found.payments:
        table.add_row(
            payment.payer,
            payment.payee,
            format_credits(payment.amount_micros),
            str(payment.jobs),
        )
    return table


def _laws(found: Summary) -> RenderableType:
    table = _table("The ledger's laws", "holds", "law")
    for law in found.invariants:
        holds = Text("yes", style="green") if law["ok"] else Text("NO", style="bold red")
        table.add_row(holds, law["name"] if law["ok"] else f"{law['name']}: {law['detail']}")
    return table


def _times(found: Summary) -> RenderableType:
    line = Text("Times     ", style="bold")
    for title, figures in (
        ("submit to start", found.submit_to_start_ms),
        ("submit to end", found.submit_to_end_ms),
    ):
        if figures.get("count"):
            line.append(
                f"{title}: p50 {figures['p50']:.0f} ms, p99 {figures['p99']:.0f} ms   ",
                style="not bold",
            )
    return line.append(
        f"first job ended after {found.seconds_to_first_end:.1f} s", style="not bold"
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for column in columns:
        table.add_column(column)
    return table
