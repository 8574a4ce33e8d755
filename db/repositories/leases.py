"""Leases as their tenant and their owner see them."""

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from db.repositories.paging import Page, Place, cut, newest_first
from db.tables import Lease


def get(session: Session, lease_id: str, *, account_id: str | None) -> Lease | None:
    """The lease, if ``account_id`` is its tenant or owner (None: may see all)."""
    return session.scalars(_visible(account_id).where(Lease.id == lease_id)).first()


def page(
    session: Session,
    *,
    account_id: str | None,
    state: str = "",
    job_id: str = "",
    node_id: str = "",
    after: Place | None = None,
    limit: int,
) -> Page[Lease]:
    """Leases that ``account_id`` sells or buys (None: all), newest first."""
    statement = _visible(account_id)
    for column, value in ((Lease.state, state), (Lease.job_id, job_id), (Lease.node_id, node_id)):
        if value:
            statement = statement.where(column == value)
    rows = session.scalars(
        newest_first(statement, at=Lease.created_at, id=Lease.id, after=after, limit=limit)
    ).all()
    return cut(rows, limit=limit, place=lambda lease: Place(at=lease.created_at, id=lease.id))


def of_job(session: Session, job_id: str, *, limit: int = 500) -> list[Lease]:
    """The newest leases of a job."""
    statement = select(Lease).where(Lease.job_id == job_id)
    ordered = statement.order_by(Lease.created_at.desc(), Lease.id.desc())
    return list(session.scalars(ordered.limit(limit)))


def _visible(account_id: str | None) -> Select[Lease]:
    statement = select(Lease)
    if account_id is not None:
        statement = statement.where(
            or_(Lease.tenant_id == account_id, Lease.owner_id == account_id)
        )
    return statement
