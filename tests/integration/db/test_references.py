"""What is checked once for a statement in place of foreign keys: leases, outcomes, their owners."""

import pytest
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.errors import constraint_of
from db.tables import BidOutcome, Demand, Offer, RoundRow
from db.tables import Node as NodeRow
from tests.factories import make_cell, make_job, make_lease, make_node, make_round


def outcome(round_id: str, demand_id: str = "demand_1") -> BidOutcome:
    return BidOutcome(round_id=round_id, demand_id=demand_id, slots_asked=1, slots_won=0)


@pytest.mark.parametrize(
    ("column", "constraint"),
    [("demand_id", "fk_leases_demand_id_demands"), ("node_id", "fk_leases_node_id_nodes")],
)
def test_a_lease_of_what_is_not_there_is_refused(
    session: Session, column: str, constraint: str
) -> None:
    node = make_node(session)
    job = make_job(session)
    make_lease(session, job=job, node=node)
    with pytest.raises(IntegrityError) as refused:
        make_lease(session, job=job, node=node, **{column: "nowhere"})
    assert constraint_of(refused.value) == constraint


def test_a_demand_with_leases_stays(session: Session) -> None:
    make_job(session, leased=[(make_node(session), 1)])
    with pytest.raises(IntegrityError, match="has leases"):
        session.execute(delete(Demand))


def test_a_node_with_leases_stays(session: Session) -> None:
    node, idle = make_node(session), make_node(session)
    make_job(session, leased=[(node, 1)])
    session.execute(delete(Offer))
    session.execute(delete(NodeRow).where(NodeRow.id == idle.id))
    with pytest.raises(IntegrityError, match="has leases"):
        session.execute(delete(NodeRow).where(NodeRow.id == node.id))


def test_outcomes_of_no_round_are_refused(session: Session) -> None:
    session.add_all([outcome(make_round(session, cell=make_cell(session)).id), outcome("nowhere")])
    with pytest.raises(IntegrityError) as refused:
        session.flush()
    assert constraint_of(refused.value) == "fk_bid_outcomes_round_id_rounds"


def test_outcomes_go_with_their_round(session: Session) -> None:
    cell = make_cell(session)
    gone, kept = make_round(session, cell=cell), make_round(session, cell=cell)
    session.add_all([outcome(gone.id), outcome(gone.id, "demand_2"), outcome(kept.id)])
    session.flush()
    session.execute(delete(RoundRow).where(RoundRow.id == gone.id))
    left = session.scalars(select(BidOutcome.round_id)).all()
    assert left == [kept.id]
