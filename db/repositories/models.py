"""Registered models."""

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from db.repositories.paging import Page, Place, cut, newest_first
from db.tables import Model


def get(session: Session, key: str, *, account_id: str | None) -> Model | None:
    """The model with this id or name; names are an account's own, so of the newest without one."""
    statement = select(Model).where(or_(Model.id == key, Model.name == key))
    if account_id is not None:
        statement = statement.where(Model.account_id == account_id)
    return session.scalar(statement.order_by(Model.created_at.desc()).limit(1))


def page(
    session: Session, *, account_id: str | None, after: Place | None, limit: int
) -> Page[Model]:
    """Models of one account; of all with None."""
    statement = select(Model)
    if account_id is not None:
        statement = statement.where(Model.account_id == account_id)
    statement = newest_first(statement, at=Model.created_at, id=Model.id, after=after, limit=limit)
    models = session.scalars(statement).all()
    return cut(models, limit=limit, place=lambda m: Place(at=m.created_at, id=m.id))
