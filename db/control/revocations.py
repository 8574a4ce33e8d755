"""Which nodes the MQTT server must refuse."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

_REVOKED = text("""
    SELECT id FROM nodes
    WHERE state = 'revoked' AND certificate_expires_at > :now
    ORDER BY id
""")


def revoked_nodes(session: Session, *, now: datetime) -> list[str]:
    """Revoked nodes whose certificate TLS itself would still accept."""
    return list(session.scalars(_REVOKED, {"now": now}))
