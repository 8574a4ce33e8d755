"""Versions of the operator's policy: rows are only added and activated, never changed."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from db.repositories.paging import Page, Place, cut, newest_first
from db.tables import PolicyRow, ShadowPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowFigure:
    """One figure of the rounds that a shadow policy has cleared as well: sums over them."""

    name: str
    live: float
    shadow: float
    rounds: int


def get(session: Session, policy_id: str) -> PolicyRow | None:
    """The policy."""
    return session.get(PolicyRow, policy_id)


def in_force(session: Session) -> PolicyRow | None:
    """The newest activated one that is no shadow."""
    return session.scalar(
        select(PolicyRow)
        .where(PolicyRow.activated_at.is_not(None), PolicyRow.shadow.is_(False))
        .order_by(PolicyRow.activated_at.desc(), PolicyRow.id.desc())
        .limit(1)
    )


def page(session: Session, *, after: Place | None = None, limit: int) -> Page[PolicyRow]:
    """All of them, newest first."""
    statement = newest_first(
        select(PolicyRow), at=PolicyRow.created_at, id=PolicyRow.id, after=after, limit=limit
    )
    rows = session.scalars(statement).all()
    return cut(rows, limit=limit, place=lambda each: Place(at=each.created_at, id=each.id))


def add(session: Session, policy: PolicyRow) -> None:
    """Insert a version."""
    session.add(policy)
    session.flush()


def activate(
    session: Session, policy_id: str, *, shadow: bool = False, now: dt.datetime
) -> PolicyRow | None:
    """Put it in force from ``now`` on, or beside the live one as a shadow; None: no such policy."""
    return session.scalar(
        update(PolicyRow)
        .where(PolicyRow.id == policy_id)
        .values(activated_at=now, shadow=shadow)
        .returning(PolicyRow),
        execution_options={"populate_existing": True},
    )


def end_shadows(session: Session) -> list[str]:
    """No policy runs as a shadow any more; the ids of those that did."""
    return list(
        session.scalars(
            update(PolicyRow)
            .where(PolicyRow.shadow)
            .values(shadow=False, activated_at=None)
            .returning(PolicyRow.id)
        )
    )


def shadow_of(session: Session, round_id: str) -> ShadowPlan | None:
    """What the newest shadow made of a round."""
    return session.scalar(
        select(ShadowPlan)
        .where(ShadowPlan.round_id == round_id)
        .order_by(ShadowPlan.created_at.desc(), ShadowPlan.policy_id)
        .limit(1)
    )


_FIGURES = text("""
    SELECT l.key AS name, sum(l.value::float8) AS live, sum((p.shadow->>l.key)::float8) AS shadow,
        count(*) AS rounds
    FROM shadow_plans p CROSS JOIN jsonb_each_text(p.live) l
    WHERE p.policy_id = :policy AND p.created_at >= :since AND p.shadow ? l.key
    GROUP BY 1 ORDER BY 1
""")


def shadow_figures(session: Session, policy_id: str, *, since: dt.datetime) -> list[ShadowFigure]:
    """Sums over the rounds since ``since`` that the policy cleared as a shadow."""
    rows = session.execute(_FIGURES, {"policy": policy_id, "since": since})
    return [
        ShadowFigure(name=row.name, live=row.live, shadow=row.shadow, rounds=row.rounds)
        for row in rows
    ]
