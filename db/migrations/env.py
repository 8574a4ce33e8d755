"""What Alembic runs for every command: on the connection that ``db.migrate`` opened."""

from typing import Any

from alembic import context

from db.tables import Base

# Made in SQL by the migrations and mapped by no class.
UNMAPPED_PREFIXES = ("telemetry_2", "telemetry_default")
UNMAPPED = frozenset({"telemetry", "alembic_version"})


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Whether a name found in the database is one that the metadata should know."""
    return kind != "table" or not (
        name is None or name in UNMAPPED or name.startswith(UNMAPPED_PREFIXES)
    )


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    include_name=include_name,
    compare_server_default=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
