"""Every table, trigger and function of the first release, and its first rows."""

from db.migrations.scripts import run, run_scripts

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    "telemetry, audit_log, idempotency_keys, events, outbox, balances, transfers, "
    "standing_prices, prices, attempts, leases, bid_outcomes, rounds, demands, policies, "
    "tasks, jobs, models, artifact_grants, artifacts, telemetry_keys, offers, nodes, "
    "join_tokens, cells, browser_sessions, api_keys, accounts"
)


def upgrade() -> None:
    """Make everything, in the order of the files' numbers."""
    run_scripts("0001_*.sql")


def downgrade() -> None:
    """Drop everything: this is the way back to an empty database."""
    run(
        f"DROP TABLE {_TABLES} CASCADE;"
        "DROP FUNCTION new_id, accounts_open_balance, transfers_apply, refuse_change,"
        " telemetry_make_days, telemetry_drop_days;"
        "DROP SEQUENCE lease_epochs"
    )
