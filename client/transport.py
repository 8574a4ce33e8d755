"""One HTTP request: authentication, retries with back-off, problem documents to errors.

What is tried again, within ``Retries``: connections that failed or broke, 429 and 503 (waiting as
``Retry-After`` says), 502 and 504, and problems that the platform itself calls retryable. That is
safe because GET, PUT, PATCH and DELETE repeat harmlessly here and every creating POST carries an
``Idempotency-Key`` made once per call: the platform answers a repeat with the first answer.
"""

import os
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from .config import Target
from .errors import ApiError, ConfigError, ProtocolError, SoukError, Unreachable, from_problem
from .version import VERSION

_ALWAYS_RETRIED = frozenset({429, 502, 503, 504})
Body = bytes | Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Full-jitter back-off: the n-th wait is uniform in (0, ``base_s`` · 2ⁿ], at most ``cap_s``."""

    attempts_max: int = 6
    base_s: float = 0.1
    cap_s: float = 5.0
    retry_after_s_max: float = 60.0

    def wait_s(self, attempt: int, *, told_s: float | None, chance: float) -> float:
        """Seconds before attempt number ``attempt`` + 1; ``chance`` in [0, 1) is the jitter."""
        if told_s is not None:
            return min(told_s, self.retry_after_s_max) * (1 + 0.1 * chance)
        return min(self.base_s * 2.0**attempt, self.cap_s) * (1 - chance)


class Transport:
    """Sends requests to one target. Not bound to a thread; close it when done."""

    def __init__(
        self,
        target: Target,
        *,
        retries: Retries | None = None,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.target = target
        self._retries = retries or Retries()
        self._sleep = sleep
        headers = {"User-Agent": f"souk-client/{VERSION}"}
        if target.api_key:
            headers["Authorization"] = f"Bearer {target.api_key}"
        self._http = httpx.Client(
            base_url=target.url.rstrip("/"),
            headers=headers,
            timeout=timeout_s,
            transport=transport,
            verify=_verification(target) if transport is None else True,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """GET as JSON; parameters that are None or empty are left out."""
        return self.json("GET", path, params=params)

    def create(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST that creates, under an idempotency key of its own."""
        return self.json("POST", path, body=body, headers={"Idempotency-Key": uuid.uuid4().hex})

    def json(self, method: str, path: str, **options: Any) -> Any:
        """Send and return the answer's JSON (None for 204)."""
        response = self.send(method, path, **options)
        if response.status_code == 204 or not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise ProtocolError(
                f"{self.target.url} did not answer with JSON; is it a souk platform?"
            ) from error

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        content: Body | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> httpx.Response:
        """Send with retries; the answer is a success (2xx) or an error is raised.

        A streamed ``content`` is a function, called anew for each try.
        """
        for attempt in range(self._retries.attempts_max):
            last = attempt + 1 == self._retries.attempts_max
            try:
                response = self._http.request(
                    method,
                    path,
                    params=_present(params),
                    json=body,
                    content=content() if callable(content) else content,
                    headers=dict(headers or {}),
                    timeout=httpx.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s,
                )
            except httpx.TransportError as error:
                if last:
                    raise _unreachable(self.target, error) from error
                self._wait(attempt, None)
                continue
            if response.is_success:
                return response
            problem = _problem(response)
            if last or not _may_retry(problem):
                raise problem
            self._wait(attempt, _retry_after_s(response))
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        read_timeout_s: float = 30.0,
    ) -> Iterator[httpx.Response]:
        """GET whose body is read as it comes; one try, the caller takes up again where it broke."""
        timeout = httpx.Timeout(self._http.timeout.connect, read=read_timeout_s)
        try:
            with self._http.stream(
                "GET", path, params=_present(params), headers=dict(headers or {}), timeout=timeout
            ) as response:
                if not response.is_success:
                    response.read()
                    raise _problem(response)
                yield response
        except httpx.TransportError as error:
            raise _unreachable(self.target, error) from error

    def pause(self, attempt: int) -> None:
        """Wait as before the next of a row of tries that the caller counts."""
        self._wait(attempt, None)

    def _wait(self, attempt: int, told_s: float | None) -> None:
        chance = random.random()  # noqa: S311  jitter, not a secret
        self._sleep(self._retries.wait_s(attempt, told_s=told_s, chance=chance))


def _verification(target: Target) -> Any:
    """What httpx checks the server's certificate by."""
    if not target.url.startswith(("http://", "https://")):
        raise ConfigError(f"{target.url!r} is no address; write for example https://souk.example")
    if not target.ca or target.url.startswith("http://"):
        return True
    import ssl  # slow to load and of no use for plain http

    if not os.path.exists(target.ca):
        raise ConfigError(
            f"the authority's file {target.ca} is not there; mend SOUK_CA or the context"
        )
    return ssl.create_default_context(cafile=target.ca)


def _present(params: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        key: value for key, value in (params or {}).items() if value is not None and value != ""
    }


def _problem(response: httpx.Response) -> ApiError:
    try:
        document = response.json()
    except ValueError:
        document = None
    return from_problem(response.status_code, document if isinstance(document, Mapping) else None)


def _may_retry(problem: ApiError) -> bool:
    return problem.status in _ALWAYS_RETRIED or problem.retryable


def _retry_after_s(response: httpx.Response) -> float | None:
    """``Retry-After`` in seconds, given as such or as a date."""
    told = response.headers.get("Retry-After")
    if told is None:
        return None
    try:
        return max(float(told), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(told).timestamp() - time.time(), 0.0)
    except ValueError:
        return None


def _unreachable(target: Target, error: Exception) -> SoukError:
    why = str(error) or type(error).__name__
    return Unreachable(
        f"{target.url} (from {target.source}) does not answer: {why}; "
        "check the address, or see `souk doctor` and `souk status`"
    )
