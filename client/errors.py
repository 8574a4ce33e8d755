"""Everything that the client raises, one tree.

::

    SoukError
    ├── ConfigError              no address or key is known, or a context is not there
    ├── NoSuchName               nothing has the name that was given
    ├── Unreachable              the platform does not answer
    ├── ProtocolError            the answer is not what the API promises
    ├── DigestMismatch           what arrived is not what its digest says
    ├── WaitTimeout              the job had not ended in time (it goes on)
    ├── JobNotSucceeded          the job ended otherwise than by success
    └── ApiError                 the platform refused (an RFC 9457 problem)
        ├── InvalidRequest       400, 405, 413, 415, 422
        │   └── Unserviceable    422 ``unserviceable``: no node could ever serve the job
        ├── NotAuthenticated     401
        ├── InsufficientFunds    402
        ├── Forbidden            403
        ├── NotFound             404, 410
        ├── Conflict             409
        ├── StaleVersion         412
        ├── RateLimited          429 (after the retries)
        └── ServerError          5xx (after the retries)

The text of each is a sentence that says what to do; the attributes carry the facts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class SoukError(Exception):
    """The base of all errors of this package."""


class ConfigError(SoukError):
    """The client does not know where to go or as whom."""


class NoSuchName(SoukError):
    """A name stands for nothing, or for several things."""


class Unreachable(SoukError):
    """No connection, or it broke and trying again did not help."""


class ProtocolError(SoukError):
    """The answer lacks what the API promises: another server, or another version."""


class DigestMismatch(SoukError):
    """Bytes arrived that do not have the digest that was asked for."""


class WaitTimeout(SoukError):
    """A job did not end in the time that the caller gave."""


class JobNotSucceeded(SoukError):
    """A job ended as failed, cancelled or expired."""

    def __init__(self, text: str, *, job_id: str, state: str) -> None:
        super().__init__(text)
        self.job_id = job_id
        self.state = state


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """What is wrong with one field of a request: a JSON pointer and a sentence."""

    pointer: str
    detail: str


class ApiError(SoukError):
    """The platform's answer was a problem document."""

    def __init__(
        self,
        *,
        status: int,
        code: str = "",
        title: str = "",
        detail: str = "",
        errors: Sequence[FieldError] = (),
        trace_id: str = "",
        retryable: bool = False,
    ) -> None:
        super().__init__(_sentence(status=status, title=title, detail=detail, errors=errors))
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.trace_id = trace_id
        self.retryable = retryable


class InvalidRequest(ApiError):
    """The request contradicts itself or the contract."""


class Unserviceable(InvalidRequest):
    """No node that the platform knows, online or not, could ever serve the job."""


class NotAuthenticated(ApiError):
    """The key is missing, wrong, expired or revoked."""


class InsufficientFunds(ApiError):
    """The purse does not cover the hold."""


class Forbidden(ApiError):
    """The key may not do this."""


class NotFound(ApiError):
    """There is no such thing, or not for this key."""


class Conflict(ApiError):
    """The thing is not in a state that allows this, or the same request is in flight."""


class StaleVersion(ApiError):
    """The thing has changed since it was read."""


class RateLimited(ApiError):
    """Too many requests, even after waiting as told."""


class ServerError(ApiError):
    """The platform failed; ``trace_id`` finds the reason in its logs."""


_BY_STATUS: dict[int, type[ApiError]] = {
    401: NotAuthenticated,
    402: InsufficientFunds,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    412: StaleVersion,
    429: RateLimited,
}


def from_problem(status: int, document: Mapping[str, Any] | None) -> ApiError:
    """The error for an answer of ``status``; ``document`` is None if it had no problem in it."""
    document = document or {}
    code = str(document.get("code") or "")
    return _class_of(status, code)(
        status=status,
        code=code,
        title=str(document.get("title") or ""),
        detail=str(document.get("detail") or ""),
        errors=tuple(_field_errors(document.get("errors"))),
        trace_id=str(document.get("trace_id") or ""),
        retryable=bool(document.get("retryable", False)),
    )


def _class_of(status: int, code: str) -> type[ApiError]:
    if status >= 500:
        return ServerError
    if status == 422 and code == "unserviceable":
        return Unserviceable
    return _BY_STATUS.get(status, InvalidRequest)


def _field_errors(items: Any) -> list[FieldError]:
    if not isinstance(items, list):
        return []
    return [
        FieldError(pointer=str(item.get("pointer", "")), detail=str(item.get("detail", "")))
        for item in items
        if isinstance(item, Mapping)
    ]


def _sentence(*, status: int, title: str, detail: str, errors: Sequence[FieldError]) -> str:
    text = detail or title or f"the platform answered {status}"
    fields = "; ".join(
        f"{error.pointer}: {error.detail}"
        for error in errors
        if error.detail and error.detail not in text
    )
    return f"{text} ({fields})" if fields else text
