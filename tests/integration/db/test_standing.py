"""What a start asks of the database agrees with what Alembic and bootstrap say."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from broker.services.bootstrap import bootstrap
from broker.services.bootstrap_check import is_bootstrapped
from broker.settings import Settings
from db.engine import SessionFactory
from db.migrate import configuration, downgrade
from db.standing import is_migrated, newest_revision

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOBODY = "postgresql://souk@127.0.0.1:1/souk"


def test_newest_revision_is_the_head_of_alembic() -> None:
    assert newest_revision() == ScriptDirectory.from_config(configuration()).get_current_head()


def test_migrated_database_has_the_newest_revision(new_database: Callable[[], str]) -> None:
    url = new_database()
    assert is_migrated(url)
    downgrade(url, "-1")
    assert not is_migrated(url)
    downgrade(url, "base")
    assert not is_migrated(url)


def test_server_that_is_away_is_not_migrated(tmp_path: Path) -> None:
    (tmp_path / "operator.json").write_text('{"api_key": "souk_a_b"}')
    assert not is_migrated(NOBODY)
    assert not is_bootstrapped(NOBODY, tmp_path)


@pytest.fixture
def credentials(sessions: SessionFactory, tmp_path: Path) -> Path:
    """Of a platform that has been bootstrapped."""
    with sessions.begin() as session:
        bootstrap(session, Settings(home=tmp_path), now=NOW)
    return tmp_path / "credentials"


def test_bootstrapped_platform_has_nothing_to_do(database_url: str, credentials: Path) -> None:
    assert is_bootstrapped(database_url, credentials)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE api_keys SET revoked_at = now()",
        "UPDATE api_keys SET expires_at = now() - interval '1 day'",
        "UPDATE api_keys SET secret_hash = '\\x00'",
        "UPDATE accounts SET disabled_at = now()",
        "UPDATE accounts SET role = 'tenant'",
        "DELETE FROM cells",
    ],
)
def test_what_bootstrap_would_mend_is_seen(
    database_url: str, sessions: SessionFactory, credentials: Path, change: str
) -> None:
    with sessions.begin() as session:
        session.execute(text(change))
    assert not is_bootstrapped(database_url, credentials)


@pytest.mark.parametrize("kept", ["", "half a fi", '{"api_key": "nonsense"}', '["souk_a_b"]'])
def test_lost_key_is_seen(database_url: str, credentials: Path, kept: str) -> None:
    assert json.loads((credentials / "operator.json").read_text())["api_key"]
    (credentials / "operator.json").write_text(kept)
    assert not is_bootstrapped(database_url, credentials)
