"""The first operator, key and cells, made once."""

import json
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from broker.services import auth
from broker.services.bootstrap import bootstrap
from broker.settings import Settings
from db.engine import SessionFactory
from db.tables import Account, ApiKey, Cell, Role

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_bootstrap_twice_makes_one_operator_whose_key_works(
    sessions: SessionFactory, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path)
    with sessions.begin() as session:
        assert len(bootstrap(session, settings, now=NOW)) == 3
    with sessions.begin() as session:
        assert bootstrap(session, settings, now=NOW) == []
    path = tmp_path / "credentials" / "operator.json"
    assert path.stat().st_mode & 0o777 == 0o600
    credentials = json.loads(path.read_text())
    with sessions() as session:
        principal = auth.by_key(session, credentials["api_key"], now=NOW)
        assert (principal.account_id, principal.role) == (credentials["account_id"], Role.OPERATOR)
        assert set(session.scalars(select(Cell.name))) == {"root", "home"}
        assert session.scalar(select(func.count()).select_from(ApiKey)) == 1


def test_bootstrap_replaces_a_lost_key(sessions: SessionFactory, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with sessions.begin() as session:
        bootstrap(session, settings, now=NOW)
    path = tmp_path / "credentials" / "operator.json"
    path.write_text("half a fi")
    with sessions.begin() as session:
        done = bootstrap(session, settings, now=NOW)
        assert done == ["wrote the operator's key to the credentials"]
        operators = select(func.count()).where(Account.role == Role.OPERATOR)
        assert session.scalar(operators) == 1
