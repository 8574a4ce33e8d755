"""Nodes as people see them, and what owners and operators do to them: drain, move, revoke."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from broker.services.fleet import DRAINS
from broker.services.principals import Principal
from broker.services.refusals import Conflict, Invalid, NotFound, Stale
from broker.services.snapshots import REFERENCE_OPS_PER_S, RELIABILITY_PRIOR
from db import audit, events, notify, outbox, telemetry
from db.repositories import cells, nodes
from db.repositories.nodes import NodeFilter, NodeRecord
from db.repositories.paging import Page, Place
from db.tables import Node
from market.lifecycle import NODE, NodeState, check_transition

DRAINED_ON_REQUEST = f"{DRAINS} on request"
READINGS_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is derived of a node: amounts by resource in base units, reliability in [0, 1]."""

    capacity: dict[str, int]
    leased: dict[str, int]
    free: dict[str, int]
    reliability: float
    speed: float


def figures(record: NodeRecord) -> Figures:
    """Capacity is what is offered, leased what of it is promised, free what may still be sold."""
    node, offer = record.node, record.offer
    capacity = dict(offer.capacity if offer is not None else node.capacity)
    free = {name: max(0, have - record.leased.get(name, 0)) for name, have in capacity.items()}
    good, every = RELIABILITY_PRIOR
    return Figures(
        capacity=capacity,
        leased=record.leased,
        free=free,
        reliability=(node.reliability_good + good) / (node.reliability_all + every),
        speed=node.calibration_ops_per_s / REFERENCE_OPS_PER_S,
    )


def show(session: Session, node_id: str, *, principal: Principal) -> NodeRecord:
    """A node that the asker owns, or any for who sees all."""
    record = nodes.get(session, node_id, owner_id=principal.view)
    if record is None:
        raise NotFound("node", node_id)
    return record


def listing(
    session: Session,
    chosen: NodeFilter,
    *,
    principal: Principal,
    after: Place | None,
    limit: int,
) -> Page[NodeRecord]:
    """The nodes that the asker may see."""
    return nodes.page(session, owner_id=principal.view, chosen=chosen, after=after, limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChange:
    """What may change; None leaves it."""

    draining: bool | None = None
    cell_id: str | None = None


def change(
    session: Session,
    node_id: str,
    wanted: NodeChange,
    *,
    version: int | None,
    principal: Principal,
    now: datetime,
) -> NodeRecord:
    """Drain or undrain a node, or move it to another cell."""
    node = _locked(session, node_id, principal)
    if version is not None and version != node.version:
        raise Stale("The node was changed meanwhile; read it again.")
    before = {"state": node.state, "cell_id": node.cell_id}
    if wanted.cell_id is not None and wanted.cell_id != node.cell_id:
        _move(session, node, wanted.cell_id, now)
    if wanted.draining is not None and wanted.draining != _drains(node):
        _drain(session, node, on=wanted.draining, now=now)
    node.version += 1
    session.flush()
    _record(session, node, "node.change", principal, now, before=before)
    return show(session, node_id, principal=principal)


def revoke(session: Session, node_id: str, *, principal: Principal, now: datetime) -> NodeRecord:
    """Shut a node out for good: its certificate counts no more, its work goes elsewhere.

    Doing it again changes nothing. The control plane revokes leases and ends attempts when it sees
    the state, within its next look.
    """
    node = _locked(session, node_id, principal)
    if node.state != NodeState.REVOKED:
        before = {"state": node.state}
        node.state = check_transition(
            NODE, NodeState(node.state), NodeState.REVOKED, subject=node.id
        )
        node.state_reason = f"revoked by {principal.account_name}"
        node.silent_since = node.silent_since or now
        node.version += 1
        nodes.withdraw_offers(session, node.id, now)
        session.flush()
        _announce(session, node, now)
        _record(session, node, "node.revoke", principal, now, before=before)
    return show(session, node_id, principal=principal)


def readings(
    session: Session,
    node_id: str,
    *,
    key: str,
    starts_at: datetime | None,
    ends_at: datetime | None,
    principal: Principal,
    now: datetime,
) -> list[telemetry.Point]:
    """Telemetry in ``[starts_at, ends_at)``, the last hour if none is given; "" is every key."""
    show(session, node_id, principal=principal)
    until = ends_at or now
    since = starts_at or until - READINGS_WINDOW
    if since >= until:
        raise Invalid("The window is empty: 'from' must be before 'to'.", pointer="query:from")
    return telemetry.series(session, node_id, since=since, until=until, key=key)


def _locked(session: Session, node_id: str, principal: Principal) -> Node:
    whose = None if principal.is_operator else principal.account_id
    node = nodes.locked(session, node_id, owner_id=whose)
    if node is None:
        raise NotFound("node", node_id)
    return node


def _move(session: Session, node: Node, cell_id: str, now: datetime) -> None:
    cell = cells.get(session, cell_id)
    if cell is None:
        raise NotFound("cell", cell_id)
    if cell.level != "cell":
        raise Invalid(f"Nodes live in cells; {cell.name!r} is a {cell.level}.", pointer="/cell_id")
    node.cell_id = cell.id
    nodes.move_offers(session, node.id, cell_id=cell.id, now=now)


def _drains(node: Node) -> bool:
    """Whether it is draining, or will be when it is back."""
    away = node.state == NodeState.OFFLINE
    return node.state == NodeState.DRAINING or (away and node.state_reason.startswith(DRAINS))


def _drain(session: Session, node: Node, *, on: bool, now: datetime) -> None:
    """Set the wish; a node that is away keeps it in its reason until it is back."""
    state = NodeState(node.state)
    if state not in (NodeState.ONLINE, NodeState.OFFLINE, NodeState.DRAINING):
        raise Conflict(f"A node that is {state} cannot be drained.", code="node_state")
    node.state_reason = DRAINED_ON_REQUEST if on else ""
    if state is not NodeState.OFFLINE:
        to = NodeState.DRAINING if on else NodeState.ONLINE
        node.state = check_transition(NODE, state, to, subject=node.id)
    session.flush()
    command = outbox.NewCommand(node_id=node.id, type="drain", data={"on": on})
    outbox.add(session, [command], now=now)
    _announce(session, node, now)


def _announce(session: Session, node: Node, now: datetime) -> None:
    """Tell followers, and wake the control plane."""
    new = events.NewEvent(
        kind=f"node.{node.state}",
        subject_id=node.id,
        account_id=node.owner_id,
        data={"name": node.name, "cell_id": node.cell_id, "reason": node.state_reason},
    )
    events.append(session, [new], now=now)
    notify.notify(session, notify.OUTBOX, node.id)


def _record(
    session: Session,
    node: Node,
    action: str,
    principal: Principal,
    now: datetime,
    *,
    before: dict[str, Any],
) -> None:
    audit.record(
        session,
        account_id=principal.account_id,
        action=action,
        subject_id=node.id,
        before=before,
        after={"state": node.state, "cell_id": node.cell_id},
        address=principal.address,
        now=now,
    )
