"""What jobs cost: the table of who owes what, and the sums that must always come out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.lifecycle import TENANT_CAUSES, AttemptState, EndReason
from market.settlement import LeaseUsage, chargeable_ms, settle

TENANT = "tenant"


def used(lease_id: str, *, ms: int, rate: int = 36_000, sold_ms: int | None = None) -> LeaseUsage:
    return LeaseUsage(
        lease_id=lease_id,
        owner_id="owner",
        rate_micros_per_hour=rate,
        chargeable_ms=ms,
        sold_ms=ms if sold_ms is None else sold_ms,
    )


OWED = [
    # state, reason, metered, passed, limit → owed
    (AttemptState.SUCCEEDED, EndReason.OK, 1_000, 1_200, 60_000, 1_000),
    (AttemptState.FAILED, EndReason.EXIT_CODE, 1_000, 1_200, 60_000, 1_000),
    (AttemptState.FAILED, EndReason.AGENT_LOST, 1_000, 1_200, 60_000, 0),
    (AttemptState.FAILED, EndReason.ARTIFACT, 1_000, 1_200, 60_000, 0),
    (AttemptState.LOST, EndReason.AGENT_LOST, 1_000, 1_200, 60_000, 0),
    (AttemptState.CANCELLED, EndReason.CANCELLED_BY_USER, 1_000, 1_200, 60_000, 0),
    (AttemptState.SUCCEEDED, EndReason.OK, 9_000, 1_200, 60_000, 1_200),  # meter runs ahead of us
    (AttemptState.FAILED, EndReason.TIMEOUT, 61_000, 62_000, 60_000, 60_000),
    (AttemptState.SUCCEEDED, EndReason.OK, -5, 1_200, 60_000, 0),
]


@pytest.mark.parametrize(("state", "reason", "wall", "elapsed", "limit", "owed"), OWED)
def test_chargeable(
    state: AttemptState, reason: EndReason, wall: int, elapsed: int, limit: int, owed: int
) -> None:
    found = chargeable_ms(
        state=state, reason=reason, wall_ms=wall, elapsed_ms=elapsed, max_run_ms=limit
    )
    assert found == owed


@pytest.mark.parametrize("reason", sorted(set(EndReason) - TENANT_CAUSES - {EndReason.MAX_TOTAL}))
def test_no_cause_of_the_platform_is_charged(reason: EndReason) -> None:
    found = chargeable_ms(
        state=AttemptState.FAILED, reason=reason, wall_ms=9, elapsed_ms=9, max_run_ms=9
    )
    assert found == 0


def test_milliseconds_are_summed_before_rounding() -> None:
    # 1 ms at 36,000 an hour is 0.01 micros: rounded up once it is 1, not once an attempt.
    assert (
        settle(
            [used("a", ms=100)], tenant_id=TENANT, hold_micros=10, fee_basis_points=0
        ).charge_micros
        == 1
    )


def test_fee_is_rounded_down_and_leaves_the_rest_to_the_owner() -> None:
    # 33 s are 330 micros; 2 % are 6.6: 6 to the platform, 324 to the owner.
    settled = settle(
        [used("a", ms=33_000)], tenant_id=TENANT, hold_micros=1_000, fee_basis_points=200
    )
    assert (settled.charges, settled.payouts, settled.fee_micros) == ({"a": 330}, {"a": 324}, 6)


def test_who_leases_its_own_node_gets_back_what_it_pays() -> None:
    # 330 micros to itself, whole; 330 to another, less 2 %.
    mine = replace(used("a", ms=33_000), owner_id=TENANT)
    settled = settle(
        [mine, used("b", ms=33_000)], tenant_id=TENANT, hold_micros=1_000, fee_basis_points=200
    )
    assert settled.payouts == {"a": 330, "b": 324}
    assert settled.fee_micros == 6


def test_a_lease_charges_no_more_slot_time_than_it_had() -> None:
    # 90 s are claimed of a lease that had 30 s: 300 micros.
    settled = settle(
        [used("a", ms=90_000, sold_ms=30_000)],
        tenant_id=TENANT,
        hold_micros=1_000,
        fee_basis_points=0,
    )
    assert settled.charges == {"a": 300}


def test_more_than_the_hold_is_shared_in_proportion() -> None:
    # 300 and 100 are owed, 101 are held: 75.75 and 25.25, rounded down, one left for the first.
    settled = settle(
        [used("a", ms=30_000), used("b", ms=10_000)],
        tenant_id=TENANT,
        hold_micros=101,
        fee_basis_points=0,
    )
    assert settled.charges == {"a": 76, "b": 25}


usages = st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**12)), min_size=0, max_size=20)


@given(usages, st.integers(0, 10**13), st.integers(0, 10_000))
def test_money_is_conserved(rows: list[tuple[int, int]], hold: int, fee: int) -> None:
    usage = [used(f"lease_{k}", ms=ms, rate=rate) for k, (ms, rate) in enumerate(rows)]
    settled = settle(usage, tenant_id=TENANT, hold_micros=hold, fee_basis_points=fee)
    full = settle(usage, tenant_id=TENANT, hold_micros=10**40, fee_basis_points=fee)
    assert sum(settled.payouts.values()) + settled.fee_micros == settled.charge_micros
    assert settled.charge_micros == min(full.charge_micros, hold)
    for lease, charge in settled.charges.items():
        assert 0 <= settled.payouts[lease] <= charge <= full.charges[lease]
