"""Who changed what: rows are only inserted, in the transaction of the change."""

import datetime as dt
from typing import Any

from sqlalchemy.orm import Session

from db.ids import new_id
from db.tables import AuditEntry


def record(
    session: Session,
    *,
    account_id: str,
    action: str,
    subject_id: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    address: str = "",
    now: dt.datetime,
) -> None:
    """Write that ``account_id`` did ``action`` (such as ``node.drain``) to ``subject_id``."""
    session.add(
        AuditEntry(
            id=new_id("audit", now),
            at=now,
            account_id=account_id,
            action=action,
            subject_id=subject_id,
            before=before,
            after=after,
            address=address[:64],
        )
    )
