"""Who asks, and whether they may: resolved before a handler runs, the same way for each.

``allow(scope, *roles)`` makes the dependency; the handler gets a ``Call``, which carries all that
it may need. An API key is looked up at most once a second, so a busy client costs one dictionary
access a request.
"""

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api.platform import Platform
from broker.services.principals import READ, Principal
from broker.services.refusals import Forbidden, Invalid, Stale, TooMany, Unauthenticated
from db.tables import Role

T = TypeVar("T")

COOKIE = "souk_session"
CSRF_HEADER = "x-csrf-token"
IDEMPOTENCY_HEADER = "idempotency-key"
IDEMPOTENCY_CHARS_MAX = 255
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of a known asker."""

    request: Request
    platform: Platform
    principal: Principal
    now: datetime
    idempotency_key: str = ""
    request_hash: bytes = b""

    def transaction(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` in one transaction and commit."""
        return self.platform.transaction(work)

    def if_match(self) -> int | None:
        """The version that the change is based on; None if the asker does not say.

        Raises ``Stale`` for a tag that was never ours.
        """
        tag = self.request.headers.get("if-match", "*").strip()
        if tag == "*":
            return None
        text = tag.removeprefix("W/").strip('"')
        if not text.isdecimal() or len(text) > 9:
            raise Stale("If-Match does not name a version of this resource.")
        return int(text)


def platform_of(request: Request) -> Platform:
    """The platform that the application was made with."""
    platform: Platform = request.app.state.platform
    return platform


def allow(scope: str = READ, *roles: Role) -> Callable[[Request], Awaitable[Call]]:
    """A dependency that lets a known asker with ``scope``, and one of ``roles`` if any, through."""

    async def caller(request: Request) -> Call:
        platform = platform_of(request)
        principal = await identify(request, platform)
        limit_requests(platform, principal)
        principal.need_scope(scope)
        if roles:
            principal.need_role(*roles)
        key, request_hash = await _idempotency(request)
        return Call(
            request=request,
            platform=platform,
            principal=principal,
            now=platform.now(),
            idempotency_key=key,
            request_hash=request_hash,
        )

    return caller


async def identify(request: Request, platform: Platform) -> Principal:
    """Who asks, by API key or by cookie. Raises ``Unauthenticated``, ``Forbidden``."""
    presented = bearer(request)
    if presented is not None:
        principal = platform.keys.peek(presented)
        if principal is None:
            principal = await run_in_threadpool(platform.keys.by_key, presented)
    elif cookie := request.cookies.get(COOKIE):
        principal = platform.keys.peek(cookie)
        if principal is None:
            principal = await run_in_threadpool(platform.keys.by_cookie, cookie)
        if request.method not in SAFE_METHODS:
            _check_csrf(request, principal)
    else:
        raise Unauthenticated("Show an API key (Authorization: Bearer …) or sign in.")
    return replace(principal, address=address_of(request))


def bearer(request: Request) -> str | None:
    """What the header Authorization carries; None without one."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    kind, _, presented = header.partition(" ")
    if kind.lower() != "bearer":
        raise Unauthenticated("The header Authorization must be 'Bearer <API key>'.")
    return presented.strip()


def address_of(request: Request) -> str:
    """Where the request came from."""
    return request.client.host if request.client else ""


def _check_csrf(request: Request, principal: Principal) -> None:
    shown = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(shown.encode(), principal.csrf_token.encode()):
        raise Forbidden("The header X-CSRF-Token is missing or wrong.", code="csrf_failed")


def limit_requests(platform: Platform, principal: Principal) -> None:
    """Count a request of this key or session. Raises ``TooMany``."""
    key = principal.key_id or principal.session_id
    verdict = platform.requests.take(key, now_s=time.monotonic())
    if not verdict.allowed:
        raise TooMany(
            f"More than {platform.settings.requests_per_minute} requests in a minute.",
            retry_after_s=max(1, ceil(verdict.retry_after_s)),
        )


async def _idempotency(request: Request) -> tuple[str, bytes]:
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is None or request.method != "POST":
        return "", b""
    if not 0 < len(key) <= IDEMPOTENCY_CHARS_MAX or not key.isprintable():
        raise Invalid(
            f"Idempotency-Key has 1 to {IDEMPOTENCY_CHARS_MAX} printable characters.",
            pointer="header:idempotency-key",
        )
    body = await request.body()
    return key, hashlib.sha256(f"{request.url.path}\n".encode() + body).digest()


Reader = Annotated[Call, Depends(allow())]
