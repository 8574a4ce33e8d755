"""A recorded round, set up so that its mechanism makes the very plan again that it made then."""

from collections.abc import Mapping
from dataclasses import replace

from market.snapshot import Snapshot


def repeated(snapshot: Snapshot, effort: Mapping[str, float]) -> Snapshot:
    """The same round, to be searched as far as a plan with this ``effort`` was (``Plan.effort``).

    With the budget of then the plan is the same to the byte; ``Plan.digest`` shows it.
    """
    parameters = {**snapshot.policy.parameters, **effort}
    return replace(snapshot, policy=replace(snapshot.policy, parameters=parameters))


def unhurried(snapshot: Snapshot) -> Snapshot:
    """The same round, to be searched for its budget's worth whatever the clock says."""
    known = ("threads", "price_looks", "phases")  # "tilted_" may stand before them
    kept = {name: v for name, v in snapshot.policy.parameters.items() if not name.endswith(known)}
    return replace(
        snapshot, policy=replace(snapshot.policy, parameters={**kept, "repeatable": 1.0})
    )
