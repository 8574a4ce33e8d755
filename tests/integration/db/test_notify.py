"""Hints arrive at the commit, once each; a listener that was cut off says so."""

import asyncio
import time

import psycopg
from sqlalchemy import text

from db.engine import SessionFactory
from db.notify import DEMAND, LEASE, Listener, Notification, listen, notify, notify_all
from db.urls import libpq_url


def hear(listener: Listener, count: int) -> list[Notification]:
    """Wait until ``count`` have arrived, or 5 s."""
    heard: list[Notification] = []
    deadline = time.monotonic() + 5
    while len(heard) < count and time.monotonic() < deadline:
        heard += listener.wait(timeout_s=1)
    return heard


def test_hints_come_with_the_commit_and_once(sessions: SessionFactory, database_url: str) -> None:
    with Listener(database_url, [DEMAND, LEASE]) as listener, sessions() as session:
        notify_all(session, [(DEMAND, "cell_a"), (DEMAND, "cell_a"), (DEMAND, "cell_b")])
        notify(session, LEASE, "job_1")
        notify(session, "souk_other", "not for us")
        assert listener.wait(timeout_s=0.05) == []
        session.commit()
        heard = hear(listener, 3)
    assert [(hint.channel, hint.payload) for hint in heard] == [
        (DEMAND, "cell_a"),
        (DEMAND, "cell_b"),
        (LEASE, "job_1"),
    ]


def test_a_transaction_that_fails_says_nothing(sessions: SessionFactory, database_url: str) -> None:
    with Listener(database_url, [DEMAND]) as listener, sessions() as session:
        notify(session, DEMAND, "cell_a")
        session.rollback()
        assert listener.wait(timeout_s=0.05) == []


def test_a_listener_that_was_cut_off_says_so(sessions: SessionFactory, database_url: str) -> None:
    with Listener(database_url, [DEMAND], application_name="cut me") as listener:
        with psycopg.connect(libpq_url(database_url), autocommit=True) as killer:
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'cut me'"
            )
        assert [hint.missed for hint in hear(listener, 1)] == [True]
        with sessions() as session:
            notify(session, DEMAND, "cell_a")
            session.commit()
        assert [hint.payload for hint in hear(listener, 1)] == ["cell_a"]


def test_a_listener_waits_out_a_server_that_is_gone() -> None:
    listener = Listener("postgresql://nobody@127.0.0.1:1/none", [DEMAND])
    began = time.monotonic()
    assert listener.wait(timeout_s=0.3) == []
    assert time.monotonic() - began < 3


def test_the_asynchronous_one_begins_with_a_look(
    sessions: SessionFactory, database_url: str
) -> None:
    async def follow() -> list[Notification]:
        heard: list[Notification] = []
        stream = listen(database_url, [DEMAND])
        async for hint in stream:
            heard.append(hint)
            if hint.missed:
                await asyncio.to_thread(say)
            else:
                break
        await stream.aclose()
        return heard

    def say() -> None:
        with sessions() as session:
            notify(session, DEMAND, "cell_a")
            session.commit()

    heard = asyncio.run(asyncio.wait_for(follow(), timeout=10))
    assert [(hint.missed, hint.payload) for hint in heard] == [(True, None), (False, "cell_a")]


def test_the_session_still_works_after_a_notification(sessions: SessionFactory) -> None:
    with sessions() as session:
        notify_all(session, [])
        assert session.execute(text("SELECT 1")).scalar() == 1
