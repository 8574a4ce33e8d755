"""A lease is held to its demand and node; its job is that of the demand, which holds the job.

Every check costs each lease some microseconds, and a large round writes tens of thousands. The
index of active leases by job is within that of all leases by job, of which a job has few.
"""

from db.migrations.scripts import run

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Less to check and to keep for each lease; processes of the release before do not mind."""
    run("ALTER TABLE leases DROP CONSTRAINT fk_leases_job_id_jobs;DROP INDEX ix_leases_active_job")


def downgrade() -> None:
    """Check and index again."""
    run(
        "ALTER TABLE leases ADD CONSTRAINT fk_leases_job_id_jobs"
        " FOREIGN KEY (job_id) REFERENCES jobs (id);"
        "CREATE INDEX ix_leases_active_job ON leases (job_id) WHERE state = 'active'"
    )
