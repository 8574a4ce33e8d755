"""Whether any known node could ever serve a job, and which cell it had best begin in."""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from broker.services.job_spec import JobSpec
from broker.services.places import latency_ms
from broker.services.refusals import Refusal
from broker.services.snapshots import REFERENCE_OPS_PER_S
from db.control.rounds import CellRow
from db.control.submitting import CellFit, Wish, read_fit
from market import sentences
from market.plan import Loss
from market.resources import RESOURCE_NAMES

LARGE_FLEET = 1_000  # nodes; judging so many takes longer than all else of a submission
KEPT_S = 0.5  # so it is done so often, or as often as takes a tenth of the time
KEPT_MAX_S = 5.0
KEPT_MAX = 256
LATENCY_IN_CELL_MS = 1

_SENTENCES: Mapping[str, str] = {
    Loss.CONSTRAINT: "lack what the job requires (runtime, labels, architecture, node or cell)",
    Loss.NOT_ADMITTED: "belong to owners who do not serve this account",
    Loss.TOO_LARGE: "could not hold one slot even when empty",
    Loss.LATENCY: "are too far from the job's cell",
    Loss.SPEED: "are slower than the job asks for",
    Loss.DEADLINE: "are too slow to meet the deadline",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuledOut:
    """Known nodes that can never serve the job, for one constraint."""

    constraint: str
    count: int
    detail: str


class Unserviceable(Refusal):
    """No known node, online or not, could ever serve the job; ``reasons`` say why, by count."""

    code = "unserviceable"

    def __init__(self, reasons: Sequence[RuledOut]) -> None:
        known = sum(reason.count for reason in reasons)
        said = "; ".join(reason.detail for reason in reasons)
        super().__init__(
            f"None of the {known} known nodes could ever serve this job: {said}."
            if known
            else "No node that offers capacity is known yet.",
            pointer="/constraints",
        )
        self.reasons = tuple(reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``home`` is the cell to begin in, "" if nothing fits; ``candidates`` counts fitting nodes."""

    home: str
    candidates: int
    ruled_out: tuple[RuledOut, ...]


class Fits:
    """How the present fleet stands to wishes; each is looked up once in a transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seen: dict[str, list[CellFit]] = {}

    def of(self, wish: Wish) -> list[CellFit]:
        """Of ``wish``, by cell."""
        key = repr(wish)
        if key not in self._seen:
            self._seen[key] = _read(self._session, wish, key)
        return self._seen[key]


def judge(fits: Fits, spec: JobSpec, *, tenant: str, salt: str) -> Verdict:
    """Judge ``spec`` for the account named ``tenant``, by the present fleet.

    Where the spec names no cell, one is drawn among those with fitting nodes in proportion to
    the room that they have; ``salt`` decides the draw, so that equal jobs spread.
    """
    known = fits.of(wish_of(spec, tenant=tenant))
    home = spec.cell or _draw([fit for fit in known if not fit.broken], salt)
    known = _near(known, home, spec.qos.latency_ms_max)
    fitting = [fit for fit in known if not fit.broken]
    return Verdict(
        home=home if fitting else "",
        candidates=sum(fit.nodes for fit in fitting),
        ruled_out=_ruled_out(known, spec.resources),
    )


def wish_of(spec: JobSpec, *, tenant: str) -> Wish:
    """The spec in the terms of the nodes' columns."""
    where, qos = spec.constraints, spec.qos
    deadline_speed = qos.work_ms / qos.deadline_ms if qos.deadline_ms else 0.0
    return Wish(
        kind=spec.kind,
        tenant=tenant,
        resources=dict(spec.resources),
        labels=dict(where.labels),
        not_labels=dict(where.not_labels),
        arch=where.arch,
        nodes=where.nodes,
        only_cell=spec.cell if where.cell_only else "",
        ops_per_s_min=ceil(qos.speed_min * REFERENCE_OPS_PER_S),
        ops_per_s_deadline=ceil(deadline_speed * REFERENCE_OPS_PER_S),
    )


def _draw(fits: Sequence[CellFit], salt: str) -> str:
    """A cell of ``fits``; by room, else by size, else by what is known of it."""
    for weights in (
        [max(0, fit.slots - fit.slots_leased) for fit in fits],
        [fit.slots for fit in fits],
        [fit.nodes for fit in fits],
    ):
        if total := sum(weights):
            place = int(salt[-8:], 16) % total
            for fit, weight in zip(fits, weights, strict=True):
                if place < weight:
                    return fit.cell_id
                place -= weight
    return ""


def _near(fits: Sequence[CellFit], home: str, latency_ms_max: int) -> list[CellFit]:
    """``fits``, with those cells ruled out that are too far from ``home``."""
    places = {fit.cell_id: CellRow(fit.cell_id, fit.latitude, fit.longitude) for fit in fits}
    if not latency_ms_max or home not in places:
        return list(fits)
    return [
        fit._replace(broken=Loss.LATENCY)
        if not fit.broken and _latency(places[home], places[fit.cell_id]) > latency_ms_max
        else fit
        for fit in fits
    ]


def _latency(home: CellRow, other: CellRow) -> float:
    return LATENCY_IN_CELL_MS if home.id == other.id else latency_ms(home, other)


def _ruled_out(fits: Sequence[CellFit], demand: Mapping[str, int]) -> tuple[RuledOut, ...]:
    counts: dict[str, int] = defaultdict(int)
    for fit in fits:
        if fit.broken:
            counts[fit.broken] += fit.nodes
    figures: dict[str, str] = {Loss.TOO_LARGE: _shortage(fits, demand)}
    return tuple(
        RuledOut(
            constraint=name,
            count=counts[name],
            detail=f"{counts[name]} {sentence}{figures.get(name, '')}",
        )
        for name, sentence in _SENTENCES.items()
        if counts[name]
    )


def _shortage(fits: Sequence[CellFit], demand: Mapping[str, int]) -> str:
    """Which resource nodes are too small for, and how much of it there is.

    One that no node has enough of; else the one that the node with most room for it all lacks.
    """
    small = [fit for fit in fits if fit.largest and fit.closest]
    if not small:
        return ""
    largest = [max(amounts) for amounts in zip(*(fit.largest or [] for fit in small), strict=True)]
    closest = max(fit.closest or [] for fit in small)[1:]
    for have, whose in ((largest, "the largest has"), (closest, "the one that comes closest has")):
        amounts = dict(zip(RESOURCE_NAMES, have, strict=True))
        name = min(
            (name for name, needed in demand.items() if needed),
            key=lambda name: amounts[name] / demand[name],
        )
        if amounts[name] < demand[name]:
            return f" ({sentences.shortage(name, demand[name], whose, int(amounts[name]))})"
    return ""


class _Kept:
    """Recent judgements of a large fleet, by wish; a few, and for moments."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[float, list[CellFit]]] = OrderedDict()

    def get(self, key: str, at: float) -> list[CellFit] | None:
        entry = self._entries.get(key)
        return entry[1] if entry is not None and at < entry[0] else None

    def put(self, key: str, until: float, fits: list[CellFit]) -> None:
        self._entries[key] = (until, fits)
        self._entries.move_to_end(key)
        while len(self._entries) > KEPT_MAX:
            self._entries.popitem(last=False)


_kept: "WeakKeyDictionary[Engine | Connection, _Kept]" = WeakKeyDictionary()


def _read(session: Session, wish: Wish, key: str) -> list[CellFit]:
    """As ``read_fit``; of a large fleet a "yes" of moments ago is good enough, a "no" never."""
    kept = _kept.setdefault(session.get_bind(), _Kept())
    began = time.monotonic()
    if (known := kept.get(key, began)) is not None:
        return known
    fits = read_fit(session, wish)
    ended = time.monotonic()
    large = sum(fit.nodes for fit in fits) >= LARGE_FLEET
    if large and any(not fit.broken for fit in fits):
        kept.put(key, ended + min(max(KEPT_S, 10 * (ended - began)), KEPT_MAX_S), fits)
    return fits
