"""The migrated schema is the one that the classes describe, and there is a way back."""

from collections.abc import Callable

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from db.engine import make_engine
from db.migrate import configuration, downgrade, upgrade
from db.tables import Base
from market.snapshot import Policy


def test_metadata_and_migrated_schema_agree(engine: Engine) -> None:
    with engine.begin() as connection:
        command.check(configuration(connection))  # raises where they differ


def test_check_constraints_agree(engine: Engine, new_database: Callable[[], str]) -> None:
    """Alembic compares no CHECKs: their texts, as PostgreSQL prints them, are compared here."""
    made = make_engine(new_database())
    with made.begin() as connection:
        connection.execute(text("CREATE SCHEMA described"))
        connection.execute(text("SET search_path = described"))
        Base.metadata.create_all(connection)
    try:
        assert checks(engine, "public") == checks(made, "described")
    finally:
        made.dispose()


def checks(engine: Engine, schema: str) -> dict[str, str]:
    query = text(
        "SELECT conname, pg_get_constraintdef(oid) AS body FROM pg_constraint"
        " WHERE contype = 'c' AND connamespace = CAST(:schema AS regnamespace)"
    )
    with engine.connect() as connection:
        return {row.conname: row.body for row in connection.execute(query, {"schema": schema})}


def test_every_default_is_one_of_the_database_too() -> None:
    missing = [
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if column.default is not None and column.server_default is None
    ]
    assert missing == []


def test_downgrade_leaves_nothing_and_upgrade_comes_back(database_url: str) -> None:
    downgrade(database_url, "base")
    engine = make_engine(database_url)
    try:
        assert set(inspect(engine).get_table_names()) == {"alembic_version"}
        upgrade(database_url)
        assert set(Base.metadata.tables) <= set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_one_line_of_revisions() -> None:
    assert len(ScriptDirectory.from_config(configuration()).get_heads()) == 1


def test_default_policy_is_the_one_of_the_market(engine: Engine) -> None:
    with engine.connect() as connection:
        row = connection.execute(text("SELECT id, body FROM policies")).one()
    assert Policy(id=row.id, **row.body) == Policy()


@pytest.mark.parametrize(
    ("name", "overdraws"),
    [("account_issuance", True), ("account_escrow", False), ("account_platform", False)],
)
def test_system_accounts_are_there(engine: Engine, name: str, overdraws: bool) -> None:
    with engine.connect() as connection:
        row = connection.execute(
            text("SELECT may_overdraw, posted_micros FROM balances WHERE account_id = :name"),
            {"name": name},
        ).one()
    assert (row.may_overdraw, row.posted_micros) == (overdraws, 0)


def test_ids_of_the_database_sort_with_ours(engine: Engine) -> None:
    import datetime as dt

    from db.ids import new_id

    early, late = (dt.datetime(2030, 1, 1, 0, 0, s, tzinfo=dt.UTC) for s in (0, 1))
    with engine.connect() as connection:
        made = connection.execute(text("SELECT new_id('job', :at)"), {"at": late}).scalar_one()
    assert new_id("job", early) < made
    assert made[:17] == new_id("job", late)[:17]  # the same prefix, milliseconds and version
    assert len(made) == len(new_id("job", late))
