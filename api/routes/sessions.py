"""Sign in and out of a browser; the cookie is HttpOnly and SameSite=Strict."""

import time
from math import ceil
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response

from api.answers import reply
from api.caller import COOKIE, Call, Reader, address_of, allow, platform_of
from api.platform import Platform
from api.routing import JsonRoute
from api.schemas.accounts import AccountView, SessionCreate, SessionView
from broker.services import accounts, auth
from broker.services.auth import SignedIn
from broker.services.principals import READ
from broker.services.refusals import NotFound, TooMany
from db.repositories import accounts as rows
from db.repositories import keys

router = APIRouter(route_class=JsonRoute, prefix="/v1/sessions", tags=["sessions"])


@router.post("", status_code=201, response_model=SessionView)
def create_session(request: Request, body: SessionCreate) -> Response:
    """Sign a browser in; sets the cookie `souk_session`."""
    platform = platform_of(request)
    bucket = f"{address_of(request)} {(body.name or 'key').lower()}"
    _slow_down(platform, bucket)
    account_id = _account_id(platform, body)
    platform.sign_ins.forget(bucket)
    now = platform.now()
    signed_in = platform.transaction(
        lambda session: auth.open_session(
            session, account_id, now=now, ttl_s=platform.settings.session_ttl_s
        )
    )
    answer = _show(platform, signed_in, status=201)
    answer.set_cookie(
        COOKIE,
        signed_in.cookie,
        max_age=platform.settings.session_ttl_s,
        path="/",
        secure="https" in (request.url.scheme, urlsplit(platform.settings.api_url).scheme),
        httponly=True,
        samesite="strict",
    )
    return answer


@router.get("/current", response_model=SessionView)
def get_session(call: Reader) -> Response:
    """Who is signed in."""
    record = call.transaction(
        lambda session: accounts.show(session, "me", principal=call.principal)
    )
    view = SessionView(account=AccountView.of(record), csrf_token=call.principal.csrf_token)
    return reply(view)


@router.delete("/current", status_code=204, response_class=Response)
def delete_session(call: Annotated[Call, Depends(allow(READ))]) -> Response:
    """Sign out; the session ends everywhere at once."""
    session_id = call.principal.session_id
    if not session_id:
        raise NotFound("session", "current")
    call.transaction(lambda session: keys.end_session(session, session_id))
    call.platform.keys.forget()
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def _account_id(platform: Platform, body: SessionCreate) -> str:
    if body.api_key is not None:
        return platform.keys.by_key(body.api_key).account_id
    name, password = body.name or "", body.password or ""
    account = platform.transaction(lambda session: rows.by_name(session, name))
    return auth.check_sign_in(account, password).id


def _show(platform: Platform, signed_in: SignedIn, *, status: int) -> Response:
    principal = signed_in.principal
    record = platform.transaction(lambda session: accounts.show(session, "me", principal=principal))
    view = SessionView(account=AccountView.of(record), csrf_token=principal.csrf_token)
    return reply(view, status=status)


def _slow_down(platform: Platform, bucket: str) -> None:
    verdict = platform.sign_ins.take(bucket, now_s=time.monotonic())
    if not verdict.allowed:
        raise TooMany(
            "Too many attempts to sign in; wait a little.",
            retry_after_s=max(1, ceil(verdict.retry_after_s)),
        )
