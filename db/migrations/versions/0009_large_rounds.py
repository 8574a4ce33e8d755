"""Rows that a round changes by ten thousands are cheaper to write, with all that holds them kept.

- A job that is matched stays within its page: the index of those that have not ended no longer
  names their state, and pages leave room for as many versions as rows. Indexes of demands have room
  for the second entry of a demand that is filled.
- The order of events is their primary key: one index instead of two.
- That a lease has its demand and node, and an outcome its round, is checked once for a statement
  and not row by row.
"""

from db.migrations.scripts import run, run_scripts

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Pages that are there stay as they are; new ones have the room."""
    run_scripts("0009_*.sql")


def downgrade() -> None:
    """Back to keys for each row."""
    run(
        "DROP TRIGGER leases_hold ON leases;"
        "DROP TRIGGER outcomes_hold ON bid_outcomes;"
        "DROP TRIGGER rounds_with_outcomes ON rounds;"
        "DROP TRIGGER demands_with_leases ON demands;"
        "DROP TRIGGER nodes_with_leases ON nodes;"
        "DROP FUNCTION leases_hold, outcomes_hold, rounds_with_outcomes, demands_with_leases,"
        " nodes_with_leases;"
        "ALTER TABLE leases"
        " ADD CONSTRAINT fk_leases_demand_id_demands"
        " FOREIGN KEY (demand_id) REFERENCES demands (id),"
        " ADD CONSTRAINT fk_leases_node_id_nodes FOREIGN KEY (node_id) REFERENCES nodes (id);"
        "ALTER TABLE bid_outcomes ADD CONSTRAINT fk_bid_outcomes_round_id_rounds"
        " FOREIGN KEY (round_id) REFERENCES rounds (id) ON DELETE CASCADE;"
        "ALTER TABLE events DROP CONSTRAINT pk_events;"
        "ALTER TABLE events ADD CONSTRAINT pk_events PRIMARY KEY (id);"
        "CREATE INDEX ix_events_order ON events (txid, id);"
        "DROP INDEX ix_jobs_open;"
        "CREATE INDEX ix_jobs_open ON jobs (state)"
        " WHERE state IN ('queued', 'matched', 'running');"
        "ALTER TABLE jobs SET (fillfactor = 80);"
        "ALTER INDEX pk_demands RESET (fillfactor);"
        "ALTER INDEX uq_demands_job_id RESET (fillfactor)"
    )
