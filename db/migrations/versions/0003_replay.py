"""Rounds that can be repeated to the byte, their depth, and what shadow policies would do."""

from db.migrations.scripts import run, run_scripts

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Columns with defaults and a new table: processes of the release before do not mind."""
    run_scripts("0003_*.sql")


def downgrade() -> None:
    """Drop them; rounds stay."""
    run(
        "DROP TABLE shadow_plans;"
        "DROP INDEX ix_rounds_created, ix_rounds_with_snapshot;"
        "ALTER TABLE rounds DROP COLUMN budget_ms, DROP COLUMN effort, DROP COLUMN digest,"
        " DROP COLUMN depth"
    )
