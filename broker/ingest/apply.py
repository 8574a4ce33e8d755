"""One batch of messages in one transaction: reports first, then what nodes say of themselves.

The order is that of the locks: jobs and their work before nodes, and balances last.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from broker.services import fleet
from broker.services.fleet import FleetOutcome
from broker.services.reports import NodeReport, Outcome, ResultStore, move_by_reports
from db.control.fleet import write_reliability
from db.ledger import post_transfers
from edge_agent.wire import (
    Ack,
    AttemptReport,
    AttemptReports,
    Birth,
    Death,
    Envelope,
    OfferTerms,
    State,
)
from edge_agent.wire.messages import AttemptRef


@dataclass(slots=True, kw_only=True)
class Effects:
    """What is to be told once the batch is on record."""

    acks: list[tuple[str, Ack]] = field(default_factory=list)  # by node
    reports: Outcome = field(default_factory=Outcome)
    fleet: FleetOutcome = field(default_factory=FleetOutcome)


def apply_batch(
    session: Session,
    batch: Sequence[Envelope],
    *,
    store: ResultStore,
    fee_basis_points: int,
    now: datetime,
) -> Effects:
    """Make a batch true; what it returns is sent after the commit."""
    effects = Effects()
    effects.reports = move_by_reports(
        session, _reports(batch), store=store, fee_basis_points=fee_basis_points, now=now
    )
    effects.fleet = fleet.apply_news(
        session,
        fleet.fold(e for e in batch if isinstance(e.data, Birth | Death | State | OfferTerms)),
        now=now,
    )
    write_reliability(session, effects.reports.good, effects.reports.bad, now=now)
    post_transfers(session, effects.reports.owed, now=now)
    effects.acks = _acks(batch, effects.reports)
    return effects


def _reports(batch: Sequence[Envelope]) -> Iterator[NodeReport]:
    """Every report, and the pictures of births and states as reports of what runs there."""
    for envelope in batch:
        message = envelope.data
        if isinstance(message, AttemptReports):
            for report in message.reports:
                yield NodeReport(node_id=envelope.node, report=report)
        elif isinstance(message, State | Birth):
            for ref in message.running:
                yield NodeReport(node_id=envelope.node, report=_as_report(ref, envelope.at))


def _as_report(ref: AttemptRef, at: int) -> AttemptReport:
    return AttemptReport(attempt=ref.attempt, fence=ref.fence, state=ref.state, at=at)


def _acks(batch: Sequence[Envelope], outcome: Outcome) -> list[tuple[str, Ack]]:
    """One ack for each node and boot; stale attempts ride on the node's last one."""
    seqs: dict[tuple[str, int], list[int]] = defaultdict(list)
    for envelope in batch:
        if isinstance(envelope.data, AttemptReports):
            seqs[envelope.node, envelope.boot].append(envelope.seq)
        elif envelope.node in outcome.stale:
            seqs.setdefault((envelope.node, envelope.boot), [])
    last = {node: boot for node, boot in seqs}  # noqa: C416 - the last boot wins
    return [
        (
            node,
            Ack(
                acked_boot=boot,
                seqs=tuple(sorted(set(numbers))),
                stale=tuple(sorted(outcome.stale.get(node, ()))) if last[node] == boot else (),
            ),
        )
        for (node, boot), numbers in seqs.items()
    ]
