"""API keys and join tokens."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session

from api.answers import Answer, Paging, once, page, paging
from api.caller import Call, Reader, allow
from api.routing import JsonRoute
from api.schemas.accounts import (
    KeyCreate,
    KeyCreated,
    KeyPage,
    KeyView,
    TokenCreate,
    TokenCreated,
    TokenPage,
    TokenView,
)
from api.schemas.base import Key
from broker.services import keys, tokens
from broker.services.principals import READ, WRITE
from db.repositories import keys as key_rows
from db.repositories import tokens as token_rows
from db.tables import Role

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["keys"])
Writer = Annotated[Call, Depends(allow(WRITE))]
Owner = Annotated[Call, Depends(allow(WRITE, Role.OPERATOR, Role.OWNER))]


@router.get("/keys", response_model=KeyPage)
def list_keys(call: Reader, at: Annotated[Paging, Depends(paging)]) -> Response:
    """One's own keys; all for operators and viewers. Secrets are never shown."""
    found = call.transaction(
        lambda session: key_rows.page(
            session, account_id=call.principal.view, after=at.after, limit=at.limit
        )
    )
    return page(KeyPage, found, KeyView.model_validate)


@router.post("/keys", status_code=201, response_model=KeyCreated)
def create_key(call: Writer, body: KeyCreate) -> Response:
    """A new key; its text is in this answer alone."""
    new = keys.NewKey(
        name=body.name,
        scopes=tuple(body.scopes),
        expires_at=body.expires_at,
        account_id=body.account_id,
    )

    def work(session: Session) -> Answer:
        key, presented = keys.create(session, new, principal=call.principal, now=call.now)
        return Answer(model=KeyCreated.made(key, presented), secret=True)

    return once(call, work)


@router.delete("/keys/{key_id}", status_code=204, response_class=Response)
def delete_key(call: Writer, key_id: Key) -> Response:
    """Revoke a key, at once."""
    call.transaction(
        lambda session: keys.revoke(session, key_id, principal=call.principal, now=call.now)
    )
    call.platform.keys.forget()
    return Response(status_code=204)


@router.get("/tokens", response_model=TokenPage, tags=["tokens"])
def list_tokens(
    call: Annotated[Call, Depends(allow(READ, Role.OPERATOR, Role.OWNER, Role.VIEWER))],
    at: Annotated[Paging, Depends(paging)],
) -> Response:
    """Join tokens for one's own devices; all for operators and viewers."""
    found = call.transaction(
        lambda session: token_rows.page(
            session, owner_id=call.principal.view, after=at.after, limit=at.limit
        )
    )
    return page(TokenPage, found, TokenView.model_validate)


@router.post("/tokens", status_code=201, response_model=TokenCreated, tags=["tokens"])
def create_token(call: Owner, body: TokenCreate) -> Response:
    """A join token; its text is in this answer alone."""
    new = tokens.NewToken(
        cell=body.cell or body.cell_id or "",
        owner_id=body.owner_id,
        uses=body.uses,
        ttl_s=body.ttl_s,
    )
    fingerprint = call.platform.office.authority.fingerprint

    def work(session: Session) -> Answer:
        token, presented = tokens.create(
            session, new, ca_fingerprint=fingerprint, principal=call.principal, now=call.now
        )
        return Answer(model=TokenCreated.made(token, presented), secret=True)

    return once(call, work)


@router.delete("/tokens/{token_id}", status_code=204, response_class=Response, tags=["tokens"])
def delete_token(call: Owner, token_id: Key) -> Response:
    """Revoke a join token; devices that enrolled with it stay."""
    call.transaction(
        lambda session: tokens.revoke(session, token_id, principal=call.principal, now=call.now)
    )
    return Response(status_code=204)
