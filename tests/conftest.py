"""Fixtures that every test may use: real, migrated PostgreSQL databases, each test its own."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from db.engine import SessionFactory, make_engine, session_factory

# The same examples in every run; `--hypothesis-profile=searching` looks for others.
settings.register_profile("same", derandomize=True, database=None)
settings.register_profile("searching", max_examples=1_000)
settings.load_profile("same")


@pytest.fixture(scope="session")
def migrated_url() -> Iterator[str]:
    """A migrated database that nobody connects to: the template of the others."""
    from db.migrate import upgrade
    from stack.postgres import ephemeral

    with ephemeral() as url:
        upgrade(url)
        yield url


@pytest.fixture(scope="session")
def new_database(migrated_url: str) -> Callable[[], str]:
    """Makes a fresh copy of the migrated database (40 ms); gone with the server at the end."""
    from stack.databases import clone_database

    made = 0

    def make() -> str:
        nonlocal made
        made += 1
        return clone_database(migrated_url, f"test_{made}")

    return make


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> Iterator[str]:
    """A database of this test alone."""
    from stack.databases import drop_database

    url = new_database()
    yield url
    drop_database(url)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = make_engine(database_url)
    yield made
    made.dispose()


@pytest.fixture
def sessions(engine: Engine) -> SessionFactory:
    return session_factory(engine)


@pytest.fixture
def session(sessions: SessionFactory) -> Iterator[Session]:
    """A session for arranging and looking; a test that needs others to see it commits."""
    with sessions() as opened:
        yield opened


@pytest.fixture
def statements(engine: Engine) -> Iterator[list[str]]:
    """The statements that the engine executes, as they come."""
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)
