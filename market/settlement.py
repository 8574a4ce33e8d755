"""What the end of a job costs: leases' usage in, the charge, the payouts and the fee out.

Σ payouts + fee = charge ≤ hold
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from market.lifecycle import TENANT_CAUSES, AttemptState, EndReason
from market.money import charge_micros, div_floor

BASIS_POINTS = 10_000
# Ends of a job by its tenant's own word: what runs then is paid up to that moment.
STOPPED_CAUSES: frozenset[EndReason] = frozenset({EndReason.CANCELLED_BY_USER, EndReason.MAX_TOTAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseUsage:
    """What one lease of a job delivered: slot time that the tenant owes, at its rate.

    ``sold_ms`` is all the slot time that the lease had, slots times the time that it lived:
    attempts that wait on their node may each claim to have run, but no slot is sold twice over.
    """

    lease_id: str
    owner_id: str
    rate_micros_per_hour: int
    chargeable_ms: int
    sold_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """``charges`` and ``payouts`` are micros by lease; ``payouts`` are what the fee leaves."""

    charges: Mapping[str, int]
    payouts: Mapping[str, int]
    fee_micros: int

    @property
    def charge_micros(self) -> int:
        return sum(self.charges.values())


def chargeable_ms(
    *, state: AttemptState, reason: EndReason, wall_ms: int, elapsed_ms: int, max_run_ms: int
) -> int:
    """Slot time of an ended attempt that its tenant owes.

    Owed are attempts that delivered, and those that the tenant's own work or limit ended; nothing
    is owed for what was lost or failed by node or platform, nor for what a node says it cancelled
    (work that a tenant stops is charged by the platform's own clock, ``STOPPED_CAUSES``, and so is
    work that leaves a place for its tenant's gain, ``owed_on_moving_ms``). The
    node meters ``wall_ms``; it is not believed beyond the time that the platform saw pass
    (``elapsed_ms``) or the job's limit.
    """
    owed = state is AttemptState.SUCCEEDED or (
        state is AttemptState.FAILED and reason in TENANT_CAUSES | {EndReason.MAX_TOTAL}
    )
    return max(0, min(wall_ms, elapsed_ms, max_run_ms)) if owed else 0


def owed_on_moving_ms(*, ran_ms: int, max_run_ms: int) -> int:
    """Slot time that is owed for an attempt which is given up for its tenant's gain.

    The owner kept its word and is paid for what the platform saw its node run, ``ran_ms``.
    """
    return max(0, min(ran_ms, max_run_ms))


def settle(
    usage: Sequence[LeaseUsage], *, tenant_id: str, hold_micros: int, fee_basis_points: int
) -> Settlement:
    """The charge of each lease, its owner's payout and the platform's fee.

    Who leases its own node is paid what it pays: there is no fee on that.

    A lease's charge is rounded up once (the owner gains less than a micro). If all of them come
    to more than the hold, each gets its share of the hold rounded down, and the micros left over
    go one each to the leases in the order given. The fee is rounded down (the owner gains).
    """
    charges = {
        used.lease_id: charge_micros(
            rate_micros_per_hour=used.rate_micros_per_hour,
            slot_ms=min(used.chargeable_ms, used.sold_ms),
        )
        for used in usage
    }
    if sum(charges.values()) > hold_micros:
        charges = _scaled(charges, hold_micros)
    own = {used.lease_id for used in usage if used.owner_id == tenant_id}
    fees = {
        lease: 0 if lease in own else div_floor(charge * fee_basis_points, BASIS_POINTS)
        for lease, charge in charges.items()
    }
    return Settlement(
        charges=charges,
        payouts={lease: charge - fees[lease] for lease, charge in charges.items()},
        fee_micros=sum(fees.values()),
    )


def _scaled(charges: Mapping[str, int], total: int) -> dict[str, int]:
    """``charges`` in proportion, so that they sum to ``total``, which is less than their sum."""
    whole = sum(charges.values())
    scaled = {lease: div_floor(charge * total, whole) for lease, charge in charges.items()}
    left = total - sum(scaled.values())
    for lease, charge in charges.items():
        if left and charge > scaled[lease]:
            scaled[lease] += 1
            left -= 1
    return scaled
