"""What nodes say of themselves, folded to one piece of news a node and written set-based.

Births and states count only if they are newer, by (boot, seq), than what is on record; a death
counts only for its own boot. So neither repeats nor late messages can undo what is known.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from broker.services import claims
from db import events, notify
from db.control import fleet
from db.control.fleet import BirthRow, NodeRow, OfferRow, Presence, StateRow
from db.events import NewEvent
from db.ids import new_id
from edge_agent.wire import Birth, Death, Envelope, OfferTerms, State
from market.lifecycle import NODE, NODE_BARRED, NodeState, check_transition

INT32_MAX = 2**31 - 1
TEXT_CHARS_MAX = 32
# Why a node is draining, kept while it is offline, so that it is draining again when it is back.
DRAINS = "drained"  # what each such reason begins with
OWNER_DRAINS = f"{DRAINS} by its owner"


@dataclass(slots=True, kw_only=True)
class News:
    """The newest of each kind that one node said, and where that stands in its order."""

    boot: int
    seq: int
    birth: Birth | None = None
    state: State | None = None
    offer: OfferTerms | None = None
    died: bool = False
    clean: bool = False

    def add(self, envelope: Envelope) -> None:
        """Take in one more message, in the order of arrival."""
        if envelope.boot < self.boot:
            return
        if envelope.boot > self.boot:
            self.boot, self.seq = envelope.boot, 0
            self.birth = self.state = self.offer = None
        message = envelope.data
        if isinstance(message, Death):
            self.died, self.clean = True, message.clean
            return
        self.died = False
        newer, self.seq = envelope.seq > self.seq, max(self.seq, envelope.seq)
        if isinstance(message, Birth):
            self.birth = message
        elif isinstance(message, State) and newer:
            self.state = message
        elif isinstance(message, OfferTerms) and newer:
            self.offer = message


@dataclass(slots=True, kw_only=True)
class FleetOutcome:
    """What a batch of news did."""

    born: list[str] = field(default_factory=list)  # nodes with a boot that is new to us
    rebirth: list[str] = field(default_factory=list)  # nodes whose boot we know nothing of
    unknown: list[str] = field(default_factory=list)  # that were never enrolled
    barred: list[str] = field(default_factory=list)


def fold(envelopes: Iterable[Envelope]) -> dict[str, News]:
    """The news of each node, by id."""
    found: dict[str, News] = {}
    for envelope in envelopes:
        news = found.get(envelope.node)
        if news is None:
            news = found[envelope.node] = News(boot=envelope.boot, seq=-1)
        news.add(envelope)
    return found


def apply_news(session: Session, news: Mapping[str, News], *, now: datetime) -> FleetOutcome:
    """Write what is new of each node. Locks the nodes in id order."""
    outcome = FleetOutcome()
    if not news:
        return outcome
    rows = fleet.lock_nodes(session, news)
    outcome.unknown = sorted(set(news) - set(rows))
    presences: list[Presence] = []
    births: list[BirthRow] = []
    states: list[StateRow] = []
    offers: list[OfferRow] = []
    told: list[NewEvent] = []
    for node, row in rows.items():
        if NodeState(row.state) in NODE_BARRED:
            outcome.barred.append(node)
            continue
        one = news[node]
        presence = next_presence(row, one)
        if presence is None:
            continue
        presences.append(presence)
        newer = (one.boot, one.seq) > (row.boot, row.seq)
        if one.boot > row.boot:
            (outcome.born if one.birth else outcome.rebirth).append(node)
        if one.birth is not None and newer:
            births.append(birth_row(node, one.birth))
        if one.state is not None and newer:
            states.append(state_row(node, one.state))
        terms = one.offer or (one.birth.offer if one.birth else None)
        if terms is not None and newer:
            replaces = one.offer is not None or one.boot > row.boot
            offers.append(offer_row(node, terms, replaces=replaces, now=now))
        if presence.state != row.state:
            told.append(node_event(row, presence.state, presence.state_reason))
    fleet.write_births(session, births)
    fleet.write_states(session, states)
    fleet.write_presence(session, presences, now=now)
    events.append(session, told, now=now)
    changed = set(fleet.write_offers(session, offers, now=now))
    back = {event.subject_id for event in told if event.kind == f"node.{NodeState.ONLINE}"}
    _wake(session, rows, changed=changed, back=back)
    return outcome


def next_presence(row: NodeRow, news: News) -> Presence | None:
    """What the node is after ``news``; None if all of it is older than what is on record.

    A boot higher than the one on record without its birth is noted as heard, but the boot is not
    taken over: its birth is asked for.
    """
    if news.boot < row.boot:
        return None
    unborn = news.boot > row.boot and news.birth is None
    state, reason = _state_after(row, news)
    if state != row.state:
        check_transition(NODE, NodeState(row.state), state, subject=row.id)
    return Presence(
        id=row.id,
        state=state,
        state_reason=reason,
        boot=row.boot if unborn else news.boot,
        seq=row.seq if unborn else max(news.seq, row.seq if news.boot == row.boot else 0),
    )


def _state_after(row: NodeRow, news: News) -> tuple[NodeState, str]:
    """What a heard node is. The owner's wish to drain ends with the agent's word, an operator's
    with the operator's."""
    before, drains = NodeState(row.state), row.state_reason.startswith(DRAINS)
    if news.died:
        reason = "said farewell" if news.clean else "connection lost"
        return NodeState.OFFLINE, row.state_reason if drains else reason
    if drains and not (row.state_reason == OWNER_DRAINS and news.state and not news.state.draining):
        return _draining(before, row.state_reason)
    if news.state is not None and news.state.draining:
        return _draining(before, OWNER_DRAINS)
    return NodeState.ONLINE, ""


def _draining(before: NodeState, reason: str) -> tuple[NodeState, str]:
    """Draining, where the lifecycle allows it at once; a new node is online for a moment first."""
    if before is NodeState.DRAINING or NodeState.DRAINING in NODE[before]:
        return NodeState.DRAINING, reason
    return NodeState.ONLINE, ""


def birth_row(node: str, birth: Birth) -> BirthRow:
    """The columns of a birth; without an offer its capacity is all that the node has."""
    whole = {"cpu_millis": birth.cpu_count * 1_000, "memory_bytes": birth.memory_bytes}
    return BirthRow(
        id=node,
        agent_version=birth.agent_version[:TEXT_CHARS_MAX],
        arch=birth.arch[:TEXT_CHARS_MAX],
        cpu_count=min(birth.cpu_count, INT32_MAX),
        runtimes=fleet.json_text(claims.labels(birth.runtimes)),
        labels=fleet.json_text(claims.labels(birth.labels)),
        capacity=fleet.json_text(claims.quantities(birth.offer.capacity if birth.offer else whole)),
        calibration_ops_per_s=min(birth.calibration_ops_per_s, claims.QUANTITY_MAX),
        idle_milliwatts=min(birth.idle_milliwatts, INT32_MAX),
        max_milliwatts=min(birth.max_milliwatts, INT32_MAX),
        carbon_g_per_kwh=None
        if birth.carbon_g_per_kwh is None
        else min(birth.carbon_g_per_kwh, INT32_MAX),
        latitude=claims.degrees(birth.latitude, most=90.0),
        longitude=claims.degrees(birth.longitude, most=180.0),
    )


def state_row(node: str, state: State) -> StateRow:
    """The columns of a state."""
    battery = state.battery_percent
    return StateRow(
        id=node,
        cpu_free_millis=state.cpu_free_millis,
        memory_free_bytes=state.memory_free_bytes,
        disk_free_bytes=state.disk_free_bytes,
        load_1m_milli=state.load_1m_milli,
        battery_percent=None if battery is None else min(battery, 100),
        on_battery=state.on_battery,
        temperature_millicelsius=state.temperature_millicelsius,
    )


def offer_row(node: str, terms: OfferTerms, *, replaces: bool, now: datetime) -> OfferRow:
    """The columns of an offer."""
    return OfferRow(
        id=new_id("offer", now),
        node_id=node,
        capacity=fleet.json_text(claims.quantities(terms.capacity)),
        reserve=fleet.json_text(claims.prices(terms.reserve_micros_per_hour)),
        accepts=fleet.json_text(terms.accepts_tenants),
        refuses=fleet.json_text(terms.refuses_tenants),
        opens_at=time_of(terms.opens_at),
        closes_at=time_of(terms.closes_at),
        replaces=replaces,
    )


def time_of(unix_ms: int) -> datetime | None:
    """The time of Unix milliseconds; 0, and what no calendar has, is open ended."""
    try:
        return datetime.fromtimestamp(unix_ms / 1000, UTC) if unix_ms else None
    except (ValueError, OverflowError, OSError):
        return None


def node_event(row: NodeRow, state: str, reason: str) -> NewEvent:
    """That a node is something else now."""
    return NewEvent(
        kind=f"node.{state}",
        subject_id=row.id,
        account_id=row.owner_id,
        data={"state": state, "reason": reason, "cell_id": row.cell_id},
    )


def _wake(
    session: Session, rows: Mapping[str, NodeRow], *, changed: set[str], back: set[str]
) -> None:
    """New capacity may serve what waits: wake the cells' rounds and the jobs with leases there."""
    cells = changed | {rows[node].cell_id for node in back}
    hints = [(notify.DEMAND, cell) for cell in cells]
    hints += [(notify.LEASE, job) for job in fleet.jobs_leasing(session, back)]
    notify.notify_all(session, hints)
