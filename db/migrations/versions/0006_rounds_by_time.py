"""Rounds of regions and root are listed and thrown away by time, those of cells by who bid in them.

Most rounds that the timer asks for have no bids: whoever looks for the others must not read past
all of these.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An index for each list."""
    op.create_index("ix_upper_rounds_created", "upper_rounds", ["created_at", "id"])
    op.create_index(
        "ix_rounds_with_bids",
        "rounds",
        ["created_at", "id"],
        postgresql_where=sa.text("bid_count > 0"),
    )


def downgrade() -> None:
    """Back to those by place and by cell."""
    op.drop_index("ix_rounds_with_bids", table_name="rounds")
    op.drop_index("ix_upper_rounds_created", table_name="upper_rounds")
