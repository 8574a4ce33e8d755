"""The operator's policy: versions, which one is in force, which one runs as a shadow."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.orm import Session

from api.answers import Answer, Paging, once, page, paging, reply
from api.caller import Call, Reader, allow
from api.routing import JsonRoute
from api.schemas.base import Key, Moment
from api.schemas.policies import (
    ComparisonView,
    FigureView,
    PolicyCreate,
    PolicyPage,
    PolicyView,
)
from broker.services import policies
from broker.services.principals import ADMIN
from db.repositories import policies as rows
from db.tables import Role

COMPARED_SINCE = timedelta(hours=24)

router = APIRouter(route_class=JsonRoute, prefix="/v1/policies", tags=["policies"])
Operator = Annotated[Call, Depends(allow(ADMIN, Role.OPERATOR))]
Pages = Annotated[Paging, Depends(paging)]


@router.get("", response_model=PolicyPage)
def list_policies(call: Reader, at: Pages) -> Response:
    """Versions of the policy; the newest activated one is in force."""
    found = call.transaction(lambda session: rows.page(session, after=at.after, limit=at.limit))
    return page(PolicyPage, found, PolicyView.model_validate)


@router.post("", status_code=201, response_model=PolicyView)
def create_policy(call: Operator, body: PolicyCreate) -> Response:
    """Add a version of the policy."""

    def work(session: Session) -> Answer:
        policy = policies.create(
            session,
            name=body.name,
            body=body.body.model_dump(exclude_none=True),
            activate_now=body.activate,
            principal=call.principal,
            now=call.now,
        )
        return Answer(model=PolicyView.model_validate(policy))

    return once(call, work)


@router.post("/{policy_id}/activate", response_model=PolicyView)
def activate_policy(call: Operator, policy_id: Key) -> Response:
    """Put a version in force from the next round on."""
    policy = call.transaction(
        lambda session: policies.activate(
            session, policy_id, principal=call.principal, now=call.now
        )
    )
    return reply(PolicyView.model_validate(policy))


@router.get("/{policy_id}", response_model=PolicyView)
def get_policy(call: Reader, policy_id: Key) -> Response:
    """One version."""
    return reply(
        call.transaction(
            lambda session: PolicyView.model_validate(policies.show(session, policy_id))
        )
    )


@router.post("/{policy_id}/shadow", response_model=PolicyView)
def start_shadow(call: Operator, policy_id: Key) -> Response:
    """Let a version clear the rounds beside the one in force; nothing of it is applied."""
    policy = call.transaction(
        lambda session: policies.run_as_shadow(
            session, policy_id, principal=call.principal, now=call.now
        )
    )
    return reply(PolicyView.model_validate(policy))


@router.delete("/{policy_id}/shadow", status_code=204)
def end_shadow(call: Operator, policy_id: Key) -> Response:
    """Stop running a version as a shadow; what it has shown stays."""
    call.transaction(
        lambda session: policies.end_shadow(
            session, policy_id, principal=call.principal, now=call.now
        )
    )
    return Response(status_code=204)


@router.get("/{policy_id}/shadow", response_model=ComparisonView)
def compare_shadow(
    call: Reader,
    policy_id: Key,
    starts_at: Annotated[Moment | None, Query(alias="from")] = None,
) -> Response:
    """A shadow beside the live policy: means over the rounds both cleared since `from` (a day)."""
    since = starts_at or call.now - COMPARED_SINCE

    def work(session: Session) -> ComparisonView:
        policies.show(session, policy_id)
        figures = rows.shadow_figures(session, policy_id, since=since)
        return ComparisonView(
            policy_id=policy_id,
            since=since,
            rounds=max((figure.rounds for figure in figures), default=0),
            items=[FigureView.of(figure) for figure in figures],
        )

    return reply(call.transaction(work))
