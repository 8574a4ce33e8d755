"""Every pair of states: a move happens exactly where the lifecycle's table allows it."""

import datetime as dt
import itertools

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from broker.services.leases import end_leases
from broker.services.settlement import JobEnd, end_jobs
from broker.services.states import move_jobs, move_nodes
from db.engine import SessionFactory
from db.tables import Event, Job, Lease, Node
from market.lifecycle import (
    JOB,
    JOB_ENDS,
    LEASE,
    NODE,
    EndReason,
    IllegalTransition,
    JobState,
    LeaseState,
    NodeState,
)
from tests.factories import NOW, make_job, make_lease, make_node

LATER = NOW + dt.timedelta(seconds=5)
LIVE = [state for state in JobState if state not in JOB_ENDS]


def test_jobs_move_where_their_table_allows_it(session: Session) -> None:
    job = make_job(session)
    for before, to in itertools.product(JobState, LIVE):
        session.execute(update(Job).values(state=before))
        moved = move_jobs(session, [job.id], to, now=LATER)
        assert moved == ([job.id] if to in JOB[before] else []), (before, to)


def test_jobs_end_where_their_table_allows_it(sessions: SessionFactory) -> None:
    with sessions() as session:
        job = make_job(session).id
        session.commit()
        for before, to in itertools.product(LIVE, sorted(JOB_ENDS)):
            session.execute(update(Job).values(state=before))
            end = JobEnd(job_id=job, state=to, reason=EndReason.INTERNAL)
            if to in JOB[before]:
                assert end_jobs(session, [end], fee_basis_points=0, now=LATER) == [job]
            else:
                with pytest.raises(IllegalTransition):
                    end_jobs(session, [end], fee_basis_points=0, now=LATER)
            session.rollback()


def test_nodes_move_where_their_table_allows_it(session: Session) -> None:
    node = make_node(session)
    for before, to in itertools.product(NodeState, NodeState):
        session.execute(update(Node).values(state=before))
        moved = move_nodes(session, [node.id], to, reason="why", now=LATER)
        assert moved == ([node.id] if to in NODE[before] else []), (before, to)


def test_leases_end_where_their_table_allows_it(session: Session) -> None:
    lease = make_lease(session, job=make_job(session), node=make_node(session))
    for before, to in itertools.product(LeaseState, LeaseState):
        session.execute(update(Lease).values(state=before))
        moved = end_leases(session, [lease.id], to, reason="why", now=LATER)
        assert bool(moved) == (to in LEASE[before]), (before, to)


def test_a_move_is_dated_and_told(session: Session) -> None:
    job = make_job(session)
    move_jobs(session, [job.id], JobState.MATCHED, now=NOW)
    move_jobs(session, [job.id], JobState.RUNNING, now=LATER)
    session.expire_all()
    assert (job.matched_at, job.started_at, job.version) == (NOW, LATER, 3)
    kinds = session.scalars(
        select(Event.kind).where(Event.subject_id == job.id).order_by(Event.id)
    ).all()
    assert kinds == ["job.submitted", "job.matched", "job.running"]


def test_a_node_that_falls_silent_is_dated_until_it_is_back(session: Session) -> None:
    node = make_node(session)
    move_nodes(session, [node.id], NodeState.OFFLINE, reason="silent", now=LATER)
    session.expire_all()
    assert (node.silent_since, node.state_reason) == (LATER, "silent")
    move_nodes(session, [node.id], NodeState.ONLINE, reason="", now=LATER)
    session.expire_all()
    assert node.silent_since is None


def test_moves_of_nothing_ask_nothing(session: Session, statements: list[str]) -> None:
    assert move_jobs(session, [], JobState.MATCHED, now=NOW) == []
    assert move_nodes(session, [], NodeState.ONLINE, reason="", now=NOW) == []
    assert end_leases(session, [], LeaseState.EXPIRED, reason="", now=NOW) == []
    assert end_jobs(session, [], fee_basis_points=0, now=NOW) == []
    assert statements == []
