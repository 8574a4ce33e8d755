"""Runs the SQL files of a migration: DDL that is easier to read as SQL than as Alembic calls."""

from pathlib import Path

from alembic import op

_FOLDER = Path(__file__).parent / "sql"


def run_scripts(pattern: str) -> None:
    """Execute the files of ``sql/`` that match, in the order of their names."""
    for path in sorted(_FOLDER.glob(pattern)):
        run(path.read_text())


def run(script: str) -> None:
    """Execute several statements in the migration's transaction.

    Past SQLAlchemy to psycopg, which sends a script without parameters as it stands.
    """
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(script)
