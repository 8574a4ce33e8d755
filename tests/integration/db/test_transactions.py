"""The edge's transactions: tried again when that helps, and never when the outcome is unknown."""

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.engine import SessionFactory
from db.errors import Busy, OutcomeUnknown, constraint_of, run_in_transaction
from db.urls import libpq_url, sqlalchemy_url
from tests.factories import make_cell

DEADLOCK = "DO $$ BEGIN RAISE EXCEPTION 'no luck' USING ERRCODE = '40P01'; END $$"


def test_a_deadlock_is_tried_again(sessions: SessionFactory) -> None:
    tries = 0

    def work(session: Session) -> int:
        nonlocal tries
        tries += 1
        make_cell(session, name="once")
        if tries < 3:
            session.execute(text(DEADLOCK))
        return tries

    assert run_in_transaction(sessions, work) == 3
    with sessions() as session:
        assert session.execute(text("SELECT count(*) FROM cells")).scalar() == 1


def test_tries_end(sessions: SessionFactory) -> None:
    with pytest.raises(Busy):
        run_in_transaction(sessions, lambda s: s.execute(text(DEADLOCK)), tries_max=2)


def test_a_broken_constraint_is_not_tried_again(sessions: SessionFactory) -> None:
    tries = 0

    def work(session: Session) -> None:
        nonlocal tries
        tries += 1
        make_cell(session, level="galaxy")

    with pytest.raises(IntegrityError) as refused:
        run_in_transaction(sessions, work)
    assert (tries, constraint_of(refused.value)) == (1, "ck_cells_level")


def test_a_connection_lost_before_the_commit_is_tried_again(
    sessions: SessionFactory, database_url: str
) -> None:
    tries = 0

    def work(session: Session) -> None:
        nonlocal tries
        tries += 1
        make_cell(session, name="once")
        if tries == 1:
            cut(session, database_url)
        session.execute(text("SELECT 1"))

    run_in_transaction(sessions, work)
    assert tries == 2


def test_a_connection_lost_in_the_commit_is_said(
    sessions: SessionFactory, database_url: str
) -> None:
    def work(session: Session) -> None:
        make_cell(session)
        cut(session, database_url)

    with pytest.raises(OutcomeUnknown):
        run_in_transaction(sessions, work)


def cut(session: Session, database_url: str) -> None:
    """End the session's connection from outside, as a server that dies does."""
    pid = session.execute(text("SELECT pg_backend_pid()")).scalar()
    with psycopg.connect(libpq_url(database_url), autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_scheme_of_postgresql_is_taken(scheme: str) -> None:
    assert sqlalchemy_url(f"{scheme}://u:p@h:1/d") == "postgresql+psycopg://u:p@h:1/d"


def test_another_database_is_refused() -> None:
    with pytest.raises(ValueError, match="must begin with postgresql://"):
        sqlalchemy_url("sqlite:///x")


def test_statements_are_bounded(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "1min"
