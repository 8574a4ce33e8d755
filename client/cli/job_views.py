"""How jobs, their plans and their explanations look to a person."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ..resources import Attempt, Explanation, Job, JobPlan, LogTail, Task
from ..units import format_ago, format_bytes, format_credits, format_seconds
from .output import Column, age_of, details, stack, table

if TYPE_CHECKING:
    from rich.console import RenderableType


def _term(term: str, row: Any) -> str:
    return f"{(row.get('terms') or {}).get(term) or 0:.2f}"


JOBS: tuple[Column[Job], ...] = (
    Column(title="ID", read=lambda job: job.id),
    Column(title="NAME", read=lambda job: job.name),
    Column(title="KIND", read=lambda job: job.kind),
    Column(title="STATE", read=lambda job: job.state),
    Column(title="TASKS", read=lambda job: f"{job.tasks.ended}/{job.task_count}", right=True),
    Column(title="COST", read=lambda job: format_credits(cost_of(job)), right=True),
    age_of(lambda job: job.created_at),
)
TASKS: tuple[Column[Task], ...] = (
    Column(title="TASK", read=lambda task: str(task.index), right=True),
    Column(title="STATE", read=lambda task: task.state),
    Column(title="ATTEMPTS", read=lambda task: str(task.attempts), right=True),
    Column(title="REASON", read=lambda task: task.end_reason or ""),
    Column(title="DETAIL", read=lambda task: (task.end_detail or "")[:80]),
)
ATTEMPTS: tuple[Column[Attempt], ...] = (
    Column(title="TASK", read=lambda attempt: str(attempt.task_index), right=True),
    Column(title="TRY", read=lambda attempt: str(attempt.number), right=True),
    Column(title="NODE", read=lambda attempt: attempt.node_name or attempt.node_id),
    Column(title="STATE", read=lambda attempt: attempt.state),
    Column(title="REASON", read=lambda attempt: attempt.reason or ""),
    Column(title="WALL", read=lambda attempt: _ms(attempt.wall_ms), right=True),
    Column(title="CPU", read=lambda attempt: _ms(attempt.cpu_ms), right=True),
    Column(
        title="MEMORY", read=lambda attempt: format_bytes(attempt.memory_peak_bytes), right=True
    ),
)
_COUNTS: tuple[Column[Any], ...] = (
    Column(title="CONSTRAINT", read=lambda row: str(row.get("constraint", ""))),
    Column(title="NODES", read=lambda row: str(row.get("count", "")), right=True),
    Column(title="WHY", read=lambda row: str(row.get("detail") or "")),
)
_CANDIDATES: tuple[Column[Any], ...] = (
    Column(title="CANDIDATE", read=lambda row: str(row.get("node_name") or row.get("node_id"))),
    *(
        Column(title=term.upper(), read=partial(_term, term), right=True)
        for term in ("cost", "qos", "energy", "fairness")
    ),
    Column(title="SCORE", read=lambda row: f"{row.get('score') or 0:.3f}", right=True),
    Column(
        title="ASKS/H", read=lambda row: format_credits(row.get("rate_micros_per_hour")), right=True
    ),
    Column(title="FREE", read=lambda row: str(row.get("slots_free", "")), right=True),
    Column(title="WON", read=lambda row: str(row.get("slots_won", "")), right=True),
)
_LEASES: tuple[Column[Any], ...] = (
    Column(title="LEASE", read=lambda row: str(row.get("id", ""))),
    Column(title="NODE", read=lambda row: str(row.get("node_name") or row.get("node_id"))),
    Column(title="SLOTS", read=lambda row: str(row.get("slots", "")), right=True),
    Column(
        title="PAYS/H", read=lambda row: format_credits(row.get("rate_micros_per_hour")), right=True
    ),
    Column(title="STATE", read=lambda row: str(row.get("state", ""))),
)
_ROUNDS: tuple[Column[Any], ...] = (
    Column(title="ROUND", read=lambda row: str(row.get("round_id", ""))),
    Column(title="MECHANISM", read=lambda row: str(row.get("mechanism", ""))),
    Column(title="ASKED", read=lambda row: str(row.get("slots_asked", "")), right=True),
    Column(title="WON", read=lambda row: str(row.get("slots_won", "")), right=True),
    Column(title="LOST BY", read=lambda row: str(row.get("loss") or "")),
    Column(title="DETAIL", read=lambda row: str(row.get("detail") or "")),
)


def cost_of(job: Job) -> int | None:
    """What the job has cost, or will have so far."""
    return job.cost_micros if job.ended else job.accrued_micros


def why_ended(job: Job) -> str:
    """Why a job did not succeed."""
    if job.succeeded:
        return ""
    return " – ".join(text for text in (job.end_reason, job.end_detail) if text)


def job_details(job: Job) -> "RenderableType":
    """One job, field by field."""
    counts = {
        "queued": job.tasks.queued,
        "placed": job.tasks.placed,
        "succeeded": job.tasks.succeeded,
        "failed": job.tasks.failed,
        "cancelled": job.tasks.cancelled,
    }
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return details(
        {
            "Job": job.id,
            "Name": job.name,
            "Kind": job.kind,
            "State": job.state,
            "Why": why_ended(job),
            "Tasks": f"{job.task_count}: {said}" if said else str(job.task_count),
            "Limit": _limit(job),
            "Held": f"{format_credits(job.hold_micros)} credits",
            "Cost": f"{format_credits(cost_of(job))} credits",
            "Cell": job.cell_id or "",
            "Waits": _waiting(job),
            "Submitted": _when(job),
        }
    )


def plan_details(plan: JobPlan) -> "RenderableType":
    """What would become of a job."""
    if not plan.serviceable:
        return stack("No node could ever serve this job:", table(plan.reasons, _COUNTS))
    start = plan.start_ms
    rows = details(
        {
            "Candidates": f"{plan.candidates} {'node' if plan.candidates == 1 else 'nodes'}",
            "Price": _range(plan.price_micros_per_hour, "credits per slot-hour") or plan.no_price,
            "Cost": _range(plan.cost_micros, "credits"),
            "Hold": f"{format_credits(plan.hold_micros)} credits",
            "Chance": "" if plan.chance is None else f"{plan.chance:.0%} in the next round",
            "Start": f"{_ms(start.get('p50'))} (half), {_ms(start.get('p90'))} (nine in ten)"
            if start.get("p50") is not None
            else "",
            "Cell": plan.cell_id or "",
        }
    )
    return stack(rows, "", table(plan.reasons, _COUNTS)) if plan.reasons else rows


def explanation(found: Explanation) -> "RenderableType":
    """Why a job is where it is."""
    parts: list[RenderableType] = [found.summary or f"The job is {found.state}."]
    if not found.summary and found.price_to_win_micros_per_hour is not None:
        price = format_credits(found.price_to_win_micros_per_hour)
        parts.append(f"A limit price of {price} credits per slot-hour would have won.")
    for rows, columns in (
        (found.ruled_out, _COUNTS),
        (found.candidates, _CANDIDATES),
        (_with_names(found), _LEASES),
        (found.rounds, _ROUNDS),
    ):
        if rows:
            parts += ["", table(rows, columns)]
    return stack(*parts)


def _with_names(found: Explanation) -> list[dict[str, Any]]:
    """The leases, with the names of nodes that are among the candidates."""
    names = {row.get("node_id"): row.get("node_name") for row in found.candidates}
    return [{**lease, "node_name": names.get(lease.get("node_id"))} for lease in found.leases]


def log_text(tails: list[LogTail]) -> str:
    """Log tails one after the other, each under a heading where there are several."""
    if len(tails) == 1:
        return tails[0].log_tail
    return "\n".join(
        f"── task {tail.task_index}, attempt {tail.attempt}, {tail.node_id} ──\n{tail.log_tail}"
        for tail in tails
    )


def progress_line(job: Job) -> str:
    """A job while it is waited for, in a line."""
    line = f"{job.id} {job.state} {job.tasks.ended}/{job.task_count}"
    waits = _waiting(job)
    return f"{line} – {waits}" if waits else line


def _limit(job: Job) -> str:
    """The tenant's limit, and what the job bids where that is less."""
    text = f"{format_credits(job.limit_price_micros_per_hour)} credits per slot-hour"
    bids = job.demand.limit_micros_per_hour if job.demand else 0
    if job.ended or not 0 < bids < job.limit_price_micros_per_hour:
        return text
    return f"{text}; bids {format_credits(bids)} since its work has moved"


def _waiting(job: Job) -> str:
    demand = job.demand
    if job.ended or demand is None or not demand.count_open or not demand.last_loss:
        return ""
    slots = "1 slot" if demand.count_open == 1 else f"{demand.count_open} slots"
    return f"{slots} ({demand.last_loss_detail or demand.last_loss})"


def _when(job: Job) -> str:
    if job.created_at is None:
        return ""
    text = f"{job.created_at:%Y-%m-%d %H:%M:%S} UTC, {format_ago(job.created_at)} ago"
    if job.started_at:
        text += f"; started after {_ms((job.started_at - job.created_at).total_seconds() * 1e3)}"
    if job.ended_at:
        text += f"; ended after {_ms((job.ended_at - job.created_at).total_seconds() * 1e3)}"
    return text


def _range(values: Mapping[str, int | None] | None, unit: str) -> str:
    """From low to high; "" where there is none."""
    known = values or {}
    shown = [format_credits(known[key]) for key in ("low", "likely", "high") if key in known]
    return f"{' … '.join(shown)} {unit}" if shown else ""


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 10_000 else format_seconds(value / 1000)
