"""Events, outbox, idempotency keys, audit: written with their cause, read as promised."""

import datetime as dt

import pytest
from sqlalchemy import select, text

from db import audit, events, idempotency, outbox, retention
from db.engine import SessionFactory
from db.events import EventCursor, NewEvent
from db.idempotency import IdempotencyInFlight, IdempotencyMismatch, StoredAnswer
from db.outbox import NewCommand
from db.tables import AuditEntry
from tests.factories import NOW, make_account, make_node

START = EventCursor(0, 0)
ANSWER = StoredAnswer(status=201, headers={"location": "/v1/x"}, body=b'{"id":"x"}')
SECOND = dt.timedelta(seconds=1)


def happen(sessions: SessionFactory, *kinds: str, account_id: str | None = None) -> None:
    with sessions() as session:
        told = [
            NewEvent(kind=kind, subject_id=f"job_{kind}", account_id=account_id) for kind in kinds
        ]
        events.append(session, told, now=NOW)
        session.commit()


def read(sessions: SessionFactory, cursor: EventCursor = START, **scope: str) -> list[str]:
    with sessions() as session:
        found = events.read_after(
            session,
            cursor,
            account_id=scope.get("account_id"),
            subject_id=scope.get("subject_id", ""),
        )
    return [event.kind for event in found]


def test_events_come_in_order_after_a_cursor(sessions: SessionFactory) -> None:
    happen(sessions, "a", "b")
    happen(sessions, "c")
    with sessions() as session:
        second = events.read_after(session, START, account_id=None)[1].cursor
    assert read(sessions) == ["a", "b", "c"]
    assert read(sessions, second) == ["c"]


def test_events_are_scoped(sessions: SessionFactory) -> None:
    happen(sessions, "mine", account_id="account_me")
    happen(sessions, "theirs", account_id="account_them")
    happen(sessions, "nobodys")
    assert read(sessions, account_id="account_me") == ["mine"]
    assert read(sessions, subject_id="job_theirs") == ["theirs"]
    assert read(sessions, account_id="account_me", subject_id="job_theirs") == []


def test_an_event_that_commits_late_is_not_skipped(sessions: SessionFactory) -> None:
    """The early writer commits last: until then the later one's event waits, too."""
    with sessions() as slow:
        events.append(slow, [NewEvent(kind="slow", subject_id="s")], now=NOW)
        happen(sessions, "quick")
        assert read(sessions) == []
        slow.commit()
    assert read(sessions) == ["slow", "quick"]


def test_a_new_follower_begins_at_the_present(sessions: SessionFactory) -> None:
    happen(sessions, "past")
    with sessions() as session:
        cursor = events.present(session)
    happen(sessions, "news")
    assert read(sessions, cursor) == ["news"]


def test_commands_are_sent_again_until_done(sessions: SessionFactory) -> None:
    with sessions() as session:
        node = make_node(session).id
        commands = [NewCommand(node_id=node, type="drain", data={"on": on}) for on in (True, False)]
        made = outbox.add(session, commands, now=NOW)

        def due(at: dt.datetime) -> list[tuple[int, int]]:
            return [
                (c.id, c.tries) for c in outbox.take_due(session, now=at, resend_after=2 * SECOND)
            ]

        assert due(NOW) == [(made[0], 1), (made[1], 1)]
        assert due(NOW + SECOND) == []
        assert due(NOW + 2 * SECOND) == [(made[0], 2), (made[1], 2)]
        outbox.mark_done(session, made[:1], now=NOW)
        assert due(NOW + 9 * SECOND) == [(made[1], 3)]


def test_two_senders_share_the_commands(sessions: SessionFactory) -> None:
    with sessions() as session:
        node = make_node(session).id
        outbox.add(session, [NewCommand(node_id=node, type="rebirth", data={})] * 3, now=NOW)
        session.commit()
    with sessions() as one, sessions() as other:
        first = outbox.take_due(one, now=NOW, resend_after=SECOND, limit=2)
        second = outbox.take_due(other, now=NOW, resend_after=SECOND, limit=2)
    assert (len(first), len(second)) == (2, 1)


def test_the_same_key_gets_the_stored_answer(sessions: SessionFactory) -> None:
    with sessions() as session:
        assert idempotency.claim(session, account_id="a", key="k", request_hash=b"1") is None
        idempotency.store(
            session, account_id="a", key="k", request_hash=b"1", answer=ANSWER, now=NOW
        )
        session.commit()
    with sessions() as session:
        assert idempotency.claim(session, account_id="a", key="k", request_hash=b"1") == ANSWER
        assert idempotency.claim(session, account_id="b", key="k", request_hash=b"1") is None
        with pytest.raises(IdempotencyMismatch):
            idempotency.claim(session, account_id="a", key="k", request_hash=b"2")


def test_a_key_under_way_is_refused(sessions: SessionFactory) -> None:
    with sessions() as first, sessions() as second:
        assert idempotency.claim(first, account_id="a", key="k", request_hash=b"1") is None
        with pytest.raises(IdempotencyInFlight):
            idempotency.claim(second, account_id="a", key="k", request_hash=b"1")


def test_a_key_whose_work_failed_is_free_again(sessions: SessionFactory) -> None:
    with sessions() as session:
        idempotency.claim(session, account_id="a", key="k", request_hash=b"1")
        session.rollback()
    with sessions() as session:
        assert idempotency.claim(session, account_id="a", key="k", request_hash=b"1") is None


def test_a_key_used_between_look_and_claim_is_refused(sessions: SessionFactory) -> None:
    """Two that both believe to have claimed: the database lets one of them store."""
    with sessions() as first, sessions() as second:
        idempotency.claim(first, account_id="a", key="k", request_hash=b"1")
        values = {"account_id": "a", "key": "k", "request_hash": b"1", "answer": ANSWER, "now": NOW}
        idempotency.store(first, **values)
        first.commit()
        with pytest.raises(IdempotencyInFlight):
            idempotency.store(second, **values)


def test_audit_keeps_before_and_after(sessions: SessionFactory) -> None:
    with sessions() as session:
        operator = make_account(session).id
        audit.record(
            session,
            account_id=operator,
            action="node.drain",
            subject_id="node_1",
            after={"draining": True},
            address="127.0.0.1",
            now=NOW,
        )
        session.commit()
        entry = session.scalars(select(AuditEntry)).one()
    assert (entry.action, entry.before, entry.after) == ("node.drain", None, {"draining": True})


def test_forgetting_takes_the_old_in_batches(sessions: SessionFactory) -> None:
    old = NOW - dt.timedelta(days=100)
    with sessions() as session:
        told = [NewEvent(kind="old", subject_id="s") for _ in range(5)]
        events.append(session, told, now=old)
        events.append(session, told[:1], now=NOW)
        idempotency.store(
            session, account_id="a", key="k", request_hash=b"1", answer=ANSWER, now=old
        )
        node = make_node(session).id
        drain = NewCommand(node_id=node, type="drain", data={})
        done, _lost_for_long = outbox.add(session, [drain] * 2, now=old)
        outbox.add(session, [drain], now=NOW - dt.timedelta(days=20))
        outbox.mark_done(session, [done], now=old)
        gone = retention.forget(session, now=NOW, most=3)
        assert (gone["events"], gone["idempotency_keys"], gone["outbox"]) == (3, 1, 2)
        assert retention.forget(session, now=NOW, most=3)["events"] == 2
        left = session.execute(text("SELECT count(*) FROM events WHERE at = :now"), {"now": NOW})
        assert left.scalar() == 1


def test_history_of_rounds_is_forgotten_by_age(sessions: SessionFactory) -> None:
    from tests.factories import make_cell, make_round

    with sessions() as session:
        cell = make_cell(session)
        rounds = [
            make_round(session, cell=cell, created_at=NOW - dt.timedelta(days=days), snapshot=b"s")
            for days in (0, 5, 50)
        ]
        gone = retention.forget(session, now=NOW)
        session.expire_all()
        assert (gone["snapshots"], gone["rounds"]) == (2, 1)
        assert [each.snapshot for each in rounds[:2]] == [b"s", None]


def test_snapshots_are_kept_up_to_a_number_the_newest_first(sessions: SessionFactory) -> None:
    from tests.factories import make_cell, make_round

    with sessions() as session:
        cell = make_cell(session)
        rounds = [
            make_round(session, cell=cell, created_at=NOW - dt.timedelta(hours=age), snapshot=b"s")
            for age in range(5)
        ]
        keep = retention.Retention(snapshots_max=2)
        assert retention.forget(session, now=NOW, keep=keep, most=2)["surplus_snapshots"] == 2
        assert retention.forget(session, now=NOW, keep=keep, most=2)["surplus_snapshots"] == 1
        session.expire_all()
        assert [each.snapshot for each in rounds] == [b"s", b"s", None, None, None]
