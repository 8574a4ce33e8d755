"""The one place that knows HTTP and the refusals: every error leaves as ``problem+json``."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from api.problems import BY_STATUS, CATALOGUE, MEDIA_TYPE, type_of
from broker.services import refusals
from broker.services.feasibility import Unserviceable
from broker.services.pki import PkiError
from db.errors import StorageError, is_transient

RETRY_AFTER_S = 1
ERRORS_MAX = 50
log = structlog.get_logger(__name__)

_STATUS: Mapping[type[refusals.Refusal], int] = {
    refusals.Unauthenticated: 401,
    refusals.Forbidden: 403,
    refusals.NotFound: 404,
    refusals.Conflict: 409,
    refusals.Stale: 412,
    refusals.TooLarge: 413,
    refusals.Invalid: 422,
    refusals.TooMany: 429,
}
_ALIASES = {"busy": "unavailable"}  # codes of storage that mean the same to a client


def problem(
    request: Request,
    code: str,
    detail: str,
    *,
    status: int | None = None,
    errors: Iterable[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """The answer for ``code``; ``errors`` are ``{pointer, detail}``."""
    known = CATALOGUE.get(code) or CATALOGUE[BY_STATUS.get(status or 500, "internal")]
    chosen = status or known.status
    body = {
        "type": type_of(code if code in CATALOGUE else BY_STATUS.get(chosen, "internal")),
        "title": known.title,
        "status": chosen,
        "detail": detail,
        "code": code,
        "errors": list(errors),
        "trace_id": request.scope.get("trace_id", ""),
        "retryable": known.retryable,
        **(extra or {}),
    }
    sent = dict(headers or {})
    if chosen == 401:
        sent.setdefault("WWW-Authenticate", 'Bearer realm="souk"')
    if chosen in (429, 503):
        sent.setdefault("Retry-After", str(RETRY_AFTER_S))
    return Response(orjson.dumps(body), chosen, sent, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Register a handler for everything that a request may raise."""
    app.add_exception_handler(refusals.Refusal, _refused)
    app.add_exception_handler(Unserviceable, _unserviceable)
    app.add_exception_handler(StorageError, _storage)
    app.add_exception_handler(PkiError, _pki)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DBAPIError, _database)
    app.add_exception_handler(PoolTimeout, _no_connection)
    app.add_exception_handler(Exception, _broken)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, refusals.Refusal)
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 422)
    errors = [{"pointer": error.pointer, "detail": error.detail}] if error.pointer else []
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
        headers["RateLimit"] = f'"default";r=0;t={error.retry_after_s}'
    return problem(request, error.code, error.detail, status=status, errors=errors, headers=headers)


def _unserviceable(request: Request, error: Exception) -> Response:
    """Counts of nodes by what rules them out."""
    assert isinstance(error, Unserviceable)
    errors = [
        {"pointer": f"/constraints#{reason.constraint}", "detail": reason.detail}
        for reason in error.reasons
    ]
    ruled_out = [
        {"constraint": reason.constraint, "count": reason.count, "detail": reason.detail}
        for reason in error.reasons
    ]
    return problem(request, error.code, error.detail, errors=errors, extra={"ruled_out": ruled_out})


def _storage(request: Request, error: Exception) -> Response:
    assert isinstance(error, StorageError)
    code = _ALIASES.get(error.code, error.code)
    extra = {}
    if (missing := getattr(error, "missing_micros", None)) is not None:
        extra["missing_micros"] = missing
    return problem(request, code if code in CATALOGUE else "conflict", str(error), extra=extra)


def _pki(request: Request, error: Exception) -> Response:
    assert isinstance(error, PkiError)
    return problem(request, error.code, str(error), status=422)


def _not_valid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found: Sequence[Any] = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return problem(request, "malformed_request", "The body is not valid JSON.")
    errors = [
        {"pointer": _pointer(each["loc"]), "detail": str(each["msg"])[:500]}
        for each in found[:ERRORS_MAX]
    ]
    first = f"{errors[0]['pointer']}: {errors[0]['detail']}" if errors else "not valid"
    return problem(request, "validation", first, errors=errors)


def _pointer(location: Sequence[Any]) -> str:
    """A JSON pointer into the body; ``?name`` for a parameter of the query and its like."""
    where, *path = location
    if where == "body":
        return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
    return f"{where}:{'.'.join(str(part) for part in path)}"


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = BY_STATUS.get(error.status_code, "malformed_request")
    detail = str(error.detail)
    if error.status_code in (404, 405):
        detail = f"{request.method} {request.url.path[:200]} is not an address of this API."
    return problem(request, code, detail, status=error.status_code, headers=error.headers)


def _database(request: Request, error: Exception) -> Response:
    assert isinstance(error, DBAPIError)
    if is_transient(error):
        return _no_connection(request, error)
    if isinstance(error, DataError):  # what a schema let through: out of range, NUL, …
        return problem(request, "invalid", "A value cannot be stored: out of range or not text.")
    return _broken(request, error)


def _no_connection(request: Request, error: Exception) -> Response:
    log.warning("database unavailable", error=str(error)[:200], path=request.url.path)
    return problem(request, "unavailable", "The database cannot be reached just now.")


def _broken(request: Request, error: Exception) -> Response:
    trace_id = request.scope.get("trace_id", "")
    log.error("request failed", exc_info=error, path=request.url.path, trace_id=trace_id)
    return problem(request, "internal", f"Something broke; it is logged under {trace_id}.")
