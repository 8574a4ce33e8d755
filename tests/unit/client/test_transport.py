"""Retries, errors, pages and idempotency over the platform in memory."""

import httpx
import pytest

from client.errors import (
    Conflict,
    Forbidden,
    InsufficientFunds,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    ProtocolError,
    RateLimited,
    ServerError,
    StaleVersion,
    Unreachable,
    Unserviceable,
    from_problem,
)
from client.mock import MockPlatform, problem
from client.transport import Retries

from .factories import make_client, make_request


def refuse(request):
    raise httpx.ConnectError("connection refused", request=request)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "malformed", InvalidRequest),
        (401, "no_key", NotAuthenticated),
        (402, "insufficient_funds", InsufficientFunds),
        (403, "forbidden", Forbidden),
        (404, "not_found", NotFound),
        (409, "conflict", Conflict),
        (412, "stale", StaleVersion),
        (422, "invalid", InvalidRequest),
        (422, "unserviceable", Unserviceable),
        (429, "rate_limited", RateLimited),
        (500, "internal", ServerError),
        (503, "unavailable", ServerError),
    ],
)
def test_problem_becomes_error_of_its_kind(status, code, kind):
    error = from_problem(status, {"code": code, "detail": "Because.", "trace_id": "t1"})
    assert type(error) is kind
    assert (error.status, error.code, error.trace_id) == (status, code, "t1")
    assert str(error) == "Because."


def test_problem_names_its_fields():
    errors = [{"pointer": "/resources/cpu_millis", "detail": "must be at least 1"}]
    error = from_problem(422, {"title": "Invalid", "errors": errors})
    assert str(error) == "Invalid (/resources/cpu_millis: must be at least 1)"


def test_answer_without_problem_is_still_an_error():
    assert str(from_problem(418, None)) == "the platform answered 418"


def test_send_tries_again_and_waits_as_told():
    platform, slept = MockPlatform(), []
    platform.add("cells", {"id": "cell_1", "name": "north"})
    busy = httpx.Response(429, headers={"Retry-After": "3"})
    platform.answer_next("GET", "/v1/cells/cell_1", busy, httpx.Response(503), refuse)
    with make_client(platform, slept=slept) as souk:
        assert souk.cells.get("cell_1").name == "north"
    assert len(slept) == 3
    assert 3.0 <= slept[0] <= 3.3


def test_send_gives_up_after_the_last_try():
    platform, slept = MockPlatform(), []
    platform.answer_next("GET", "/v1/cells/cell_1", refuse, refuse, refuse, refuse)
    souk = make_client(platform, slept=slept)
    with souk, pytest.raises(Unreachable, match="does not answer"):
        souk.cells.get("cell_1")
    assert len(slept) == 3


@pytest.mark.parametrize("status", [400, 401, 402, 404, 409, 412, 422, 500])
def test_send_does_not_repeat_a_refusal(status):
    platform, slept = MockPlatform(), []
    platform.answer_next(
        "GET", "/v1/cells/cell_1", problem(status, code="no", detail="No."), refuse
    )
    with make_client(platform, slept=slept) as souk, pytest.raises(Exception, match="No"):
        souk.cells.get("cell_1")
    assert slept == []


def test_send_repeats_what_the_platform_calls_retryable():
    platform, slept = MockPlatform(), []
    platform.add("cells", {"id": "cell_1", "name": "north"})
    platform.answer_next(
        "GET", "/v1/cells/cell_1", problem(409, code="in_flight", detail="Wait.", retryable=True)
    )
    with make_client(platform, slept=slept) as souk:
        souk.cells.get("cell_1")
    assert len(slept) == 1


def test_create_repeats_under_one_key_and_makes_one_job():
    platform = MockPlatform()

    platform.answer_next("POST", "/v1/jobs", refuse, httpx.Response(503))
    with make_client(platform) as souk:
        first = souk.jobs.submit(make_request())
        second = souk.jobs.submit(make_request())
    keys = [request.headers["Idempotency-Key"] for request in platform.requests]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert first.id != second.id
    assert len(platform.resources["jobs"]) == 2


def test_key_and_agent_are_sent():
    platform = MockPlatform()
    with make_client(platform) as souk:
        list(souk.cells.list())
    headers = platform.requests[0].headers
    assert headers["Authorization"] == "Bearer souk_test_key"
    assert headers["User-Agent"].startswith("souk-client/")


def test_list_walks_pages_and_stops_at_limit():
    platform = MockPlatform()
    for number in range(1203):
        platform.add("cells", {"id": f"cell_{number}", "name": str(number)})
    with make_client(platform) as souk:
        assert len({cell.id for cell in souk.cells.list()}) == 1203
        assert len(platform.requests) == 3
        assert len(list(souk.cells.list(limit=7))) == 7
        assert len(platform.requests) == 4


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b'{"things": []}'])
def test_another_server_is_told_apart(body):
    platform = MockPlatform()
    platform.answer_next("GET", "/v1/cells", httpx.Response(200, content=body))
    with make_client(platform) as souk, pytest.raises(ProtocolError):
        list(souk.cells.list())


def test_back_off_grows_and_is_bounded():
    retries = Retries(base_s=0.1, cap_s=5.0, retry_after_s_max=60.0)
    longest = [retries.wait_s(attempt, told_s=None, chance=0.0) for attempt in range(10)]
    assert longest == sorted(longest)
    assert longest[0] == 0.1
    assert longest[-1] == 5.0
    assert retries.wait_s(0, told_s=1e9, chance=0.0) == 60.0
