"""Makes the first operator, its key and the first cell: ``python -m broker.services.bootstrap``.

Running it again changes nothing that is there. The key is written to
``$SOUK_HOME/credentials/operator.json`` (mode 0600) before it is committed, so a crash between the
two leaves a file with a key that does not work, which the next run replaces.
"""

import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from broker.services import accounts, auth, cells, keys
from broker.services.principals import SCOPES_OF, Principal
from broker.services.refusals import Unauthenticated
from broker.settings import Settings, get_settings
from db.engine import make_engine, session_factory
from db.errors import run_in_transaction
from db.repositories import accounts as account_rows
from db.repositories import cells as cell_rows
from db.tables import Role

OPERATOR_NAME = "operator"
ROOT_CELL = "root"
FIRST_CELL = "home"


def main() -> int:
    """Bootstrap the platform of the settings; prints what it did and nothing secret."""
    settings = get_settings()
    engine = make_engine(settings.database_url, pool_max=1, application_name="souk bootstrap")
    try:
        done = run_in_transaction(
            session_factory(engine),
            lambda session: bootstrap(session, settings, now=datetime.now(UTC)),
        )
    finally:
        engine.dispose()
    sys.stdout.write(f"{'; '.join(done) or 'nothing to do'}\n")
    return 0


def bootstrap(session: Session, settings: Settings, *, now: datetime) -> list[str]:
    """Make what is missing; returns a sentence for each thing made."""
    done: list[str] = []
    operator = account_rows.first_with_role(session, Role.OPERATOR)
    if operator is None:
        new = accounts.NewAccount(name=OPERATOR_NAME, role=Role.OPERATOR)
        operator_id = accounts.create(session, new, by="bootstrap", address="", now=now)
        done.append("made the account of the operator")
    else:
        operator_id = operator.id
    principal = _principal(operator_id)
    if not cell_rows.any_exists(session):
        cells.create(
            session, cells.NewCell(name=ROOT_CELL, level="root"), principal=principal, now=now
        )
        cells.create(session, cells.NewCell(name=FIRST_CELL), principal=principal, now=now)
        done.append(f"made the cells {ROOT_CELL!r} and {FIRST_CELL!r}")
    path = settings.credentials_dir / "operator.json"
    if not _works(session, path, now):
        new_key = keys.NewKey(name="first key of the platform")
        scopes = SCOPES_OF[Role.OPERATOR]
        _, presented = keys.issue(session, operator_id, new_key, scopes=scopes, by=None, now=now)
        name = OPERATOR_NAME if operator is None else operator.name
        _write(path, {"account_id": operator_id, "name": name, "api_key": presented})
        done.append("wrote the operator's key to the credentials")
    return done


def _principal(account_id: str) -> Principal:
    return Principal(
        account_id=account_id,
        account_name=OPERATOR_NAME,
        role=Role.OPERATOR,
        scopes=SCOPES_OF[Role.OPERATOR],
    )


def _works(session: Session, path: Path, now: datetime) -> bool:
    try:
        presented = str(json.loads(path.read_text())["api_key"])
        auth.by_key(session, presented, now=now)
    except (OSError, ValueError, KeyError, TypeError, Unauthenticated):
        return False
    return True


def _write(path: Path, document: dict[str, str]) -> None:
    """Replace the file in one step; nobody else may ever read it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".operator.")
    with os.fdopen(handle, "w") as file:
        os.fchmod(handle, 0o600)
        file.write(json.dumps(document, indent=2) + "\n")
        file.flush()
        os.fsync(handle)
    Path(temporary).replace(path)


if __name__ == "__main__":
    sys.exit(main())
