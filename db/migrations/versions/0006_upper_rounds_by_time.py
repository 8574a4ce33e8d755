"""Rounds of regions and root are listed newest first, and thrown away oldest first, of all."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An index by time beside that by place and time."""
    op.create_index("ix_upper_rounds_created", "upper_rounds", ["created_at", "id"])


def downgrade() -> None:
    """Back to the one by place."""
    op.drop_index("ix_upper_rounds_created", table_name="upper_rounds")
