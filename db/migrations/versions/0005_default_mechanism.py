"""The policy that is in force until an operator chooses clears by the hierarchical mechanism.

Only where it still stands as the first release wrote it; what an operator has made is left alone.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The same plan where nothing is scarce, a better one with a bound where something is."""
    _change("greedy", "hierarchical")


def downgrade() -> None:
    """Back to what every release knows."""
    _change("hierarchical", "greedy")


def _change(before: str, after: str) -> None:
    op.execute(
        "UPDATE policies SET body = jsonb_set(body, '{mechanism}', '\"" + after + "\"')"  # noqa: S608
        " WHERE id = 'policy_default' AND body->>'mechanism' = '" + before + "'"
    )
