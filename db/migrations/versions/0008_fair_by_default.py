"""Fairness weighs more in the policy that is in force until an operator chooses.

With 0.2 a tenant that was due little and bid much got more than its share (docs/market.md).
"""

from db.migrations.scripts import run

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_BEFORE = '{"weight_cost": 0.3, "weight_qos": 0.3, "weight_energy": 0.2, "weight_fairness": 0.2}'
_AFTER = '{"weight_cost": 0.25, "weight_qos": 0.25, "weight_energy": 0.1, "weight_fairness": 0.4}'


def _change(before: str, after: str) -> None:
    run(
        f"UPDATE policies SET body = body || '{after}'"  # noqa: S608
        f" WHERE id = 'policy_default' AND body @> '{before}'"
    )


def upgrade() -> None:
    """The new weights, where nobody changed the old ones."""
    _change(_BEFORE, _AFTER)


def downgrade() -> None:
    """The old weights again."""
    _change(_AFTER, _BEFORE)
