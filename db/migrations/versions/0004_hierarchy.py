"""Supply curves of the cells, rounds of regions and root, and where a demand stands with them."""

from db.migrations.scripts import run, run_scripts

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Columns with defaults and new tables: processes of the release before do not mind."""
    run_scripts("0004_*.sql")


def downgrade() -> None:
    """Drop them; demands stay in the cell that they stand in."""
    run(
        "DROP TABLE supply_curves, upper_rounds;"
        "ALTER TABLE demands DROP COLUMN tried_cells, DROP COLUMN reach;"
        "ALTER TABLE rounds DROP COLUMN slots_sent_up"
    )
