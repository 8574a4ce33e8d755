"""Cells: places with a market of their own, in a tree."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from broker.services.principals import Principal
from broker.services.refusals import Conflict, Invalid, NotFound, Stale
from db import audit
from db.errors import constraint_of
from db.ids import new_id
from db.repositories import cells
from db.repositories.cells import CellRecord
from db.tables import Cell

PARENT_LEVEL = {"cell": ("region", "root"), "region": ("root",), "root": ()}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCell:
    """What an operator says of a place; ``parent`` is an id or a name."""

    name: str
    level: str = "cell"
    parent: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    carbon_g_per_kwh: int | None = None


def create(session: Session, new: NewCell, *, principal: Principal, now: datetime) -> CellRecord:
    """Add a cell; without a parent it hangs below the root."""
    parent = _parent(session, new)
    cell = Cell(
        id=new_id("cell", now),
        name=new.name,
        level=new.level,
        parent_id=None if parent is None else parent.id,
        latitude=new.latitude,
        longitude=new.longitude,
        carbon_g_per_kwh=new.carbon_g_per_kwh,
        created_at=now,
    )
    session.add(cell)
    _flush(session, new.name)
    _record(session, cell, "cell.create", principal, now, after=asdict(new))
    return CellRecord(cell=cell)


def show(session: Session, key: str) -> CellRecord:
    """A cell by id or name, with its figures."""
    cell = cells.get(session, key)
    if cell is None:
        raise NotFound("cell", key)
    return cells.with_figures(session, [cell])[0]


def change(
    session: Session,
    key: str,
    values: dict[str, Any],
    *,
    version: int | None,
    principal: Principal,
    now: datetime,
) -> CellRecord:
    """Set name, place or carbon intensity; ``values`` holds only what changes."""
    cell = cells.get(session, key)
    if cell is None:
        raise NotFound("cell", key)
    session.refresh(cell, with_for_update=True)
    if version is not None and version != cell.version:
        raise Stale("The cell was changed meanwhile; read it again.")
    before = {name: getattr(cell, name) for name in values}
    for name, value in values.items():
        setattr(cell, name, value)
    cell.version += 1
    _flush(session, cell.name)
    _record(session, cell, "cell.change", principal, now, before=before, after=values)
    return cells.with_figures(session, [cell])[0]


def _parent(session: Session, new: NewCell) -> Cell | None:
    if new.level == "root":
        if cells.root(session) is not None:
            raise Conflict("There is a root already.", code="root_exists")
        return None
    parent = cells.root(session) if new.parent is None else cells.get(session, new.parent)
    if parent is None:
        if new.parent is None:
            return None
        raise NotFound("cell", new.parent)
    if parent.level not in PARENT_LEVEL[new.level]:
        raise Invalid(f"A {new.level} cannot be below a {parent.level}.", pointer="/parent_id")
    return parent


def _flush(session: Session, name: str) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        if constraint_of(error) != "uq_cells_name":
            raise
        raise Conflict(f"There is a cell {name!r} already.", code="name_taken") from error


def _record(
    session: Session,
    cell: Cell,
    action: str,
    principal: Principal,
    now: datetime,
    *,
    after: dict[str, Any],
    before: dict[str, Any] | None = None,
) -> None:
    audit.record(
        session,
        account_id=principal.account_id,
        action=action,
        subject_id=cell.id,
        before=before,
        after=after,
        address=principal.address,
        now=now,
    )
