"""The SQL objects of pgmq, with which Celery has its queues in the same database.

The extension is in few packages of PostgreSQL; its objects are plain SQL, which the Python package
brings. Where an operator has installed the extension itself, that one is used.
"""

import sqlalchemy as sa
from alembic import op
from pgmq.install import get_embedded_install_sql

from db.migrations.scripts import run

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Install, unless the schema is there."""
    if op.get_bind().execute(sa.text("SELECT to_regnamespace('pgmq')")).scalar() is None:
        run(get_embedded_install_sql())


def downgrade() -> None:
    """Drop our own objects; an extension is left to whoever made it."""
    installed = op.get_bind().execute(sa.text("SELECT 1 FROM pg_extension WHERE extname = 'pgmq'"))
    if installed.scalar() is None:
        run("DROP SCHEMA pgmq CASCADE")
