"""Brings a database to the newest schema: ``python -m db.migrate [upgrade|downgrade] [revision]``.

The URL is ``--url`` or the environment's ``DATABASE_URL``. Two that run at once take turns.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from db.engine import make_engine

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 0x736F756B  # "souk": the advisory lock that one migration holds


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration, on an open connection if one is given."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Apply every migration up to ``revision``; all of them or none."""
    _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Undo every migration after ``revision``; "base" leaves an empty database."""
    _run(url, lambda config: command.downgrade(config, revision))


def _run(url: str, action: Callable[[Config], None]) -> None:
    engine = make_engine(
        url, pool_max=1, application_name="souk migrate", statement_timeout=0, lock_timeout=0
    )
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            action(configuration(connection))
    finally:
        engine.dispose()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m db.migrate", description=__doc__)
    parser.add_argument("action", nargs="?", default="upgrade", choices=("upgrade", "downgrade"))
    parser.add_argument("revision", nargs="?", default="head")
    parser.add_argument("--url", default=os.environ.get("DATABASE_URL", ""))
    chosen = parser.parse_args(arguments)
    if not chosen.url:
        parser.error("give --url or set DATABASE_URL")
    if chosen.action == "downgrade" and chosen.revision == "head":
        parser.error("say which revision to go back to, or `base`")
    (upgrade if chosen.action == "upgrade" else downgrade)(chosen.url, chosen.revision)
    return 0


if __name__ == "__main__":
    sys.exit(main())
