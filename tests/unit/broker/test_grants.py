"""Grants: good ones are read back, everything else is refused."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.services.grants import Grant, check_grant, make_grant
from broker.services.refusals import Unauthenticated

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(minutes=5)
SECRET = b"s" * 32


def token(secret=SECRET, expires_at=LATER):
    return make_grant(
        secret, node_id="node_1", job_id="job_1", account_id="account_1", expires_at=expires_at
    )


def test_check_grant_reads_what_was_granted():
    assert check_grant(SECRET, token(), now=NOW) == Grant(
        node_id="node_1", job_id="job_1", account_id="account_1", expires_at=LATER
    )


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "grant",
        "grant..",
        "grant.x.y",
        "grant.ä.b",
        token(b"other secret"),
        token(expires_at=NOW),
        token()[:-4],
        token().replace("grant.", "grants."),
        "grant." + "A" * 2_000 + ".AA",
    ],
)
def test_check_grant_refuses(bad):
    with pytest.raises(Unauthenticated):
        check_grant(SECRET, bad, now=NOW)


@given(st.text(max_size=60), st.text(max_size=60))
def test_check_grant_refuses_any_other_text(one, other):
    with pytest.raises(Unauthenticated):
        check_grant(SECRET, f"grant.{one}.{other}", now=NOW)
