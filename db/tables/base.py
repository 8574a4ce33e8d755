"""Declarative base, naming convention and the column types that every table shares."""

import datetime as dt
import json
from typing import Annotated, Any

from sqlalchemy import BigInteger, DateTime, DefaultClause, MetaData, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

Json = dict[str, Any]
Id = Annotated[str, mapped_column(String(64))]
IdKey = Annotated[str, mapped_column(String(64), primary_key=True)]
Name = Annotated[str, mapped_column(String(200))]
Time = Annotated[dt.datetime, mapped_column(DateTime(timezone=True))]
Int64 = Annotated[int, mapped_column(BigInteger)]
Micros = Annotated[int, mapped_column(BigInteger)]
Document = Annotated[Json, mapped_column(JSONB(none_as_null=True))]


class Base(DeclarativeBase):
    """All tables; relationships are not mapped: what a use case needs it asks for."""

    metadata = MetaData(naming_convention=NAMING)


def one_of(column: str, values: type) -> str:
    """The text of a CHECK that a column holds a member of a ``StrEnum``."""
    listed = ", ".join(f"'{value}'" for value in values)  # type: ignore[attr-defined]
    return f"{column} IN ({listed})"


def add_server_defaults(metadata: MetaData) -> None:
    """Give every column with a default in Python the same one in the database.

    Bulk writers (COPY, ``INSERT … SELECT unnest``) may then leave such columns out.
    """
    for table in metadata.tables.values():
        for column in table.columns:
            default: Any = column.default  # typed as a generator; the scalar has ``arg``
            if default is not None and column.server_default is None:
                column.server_default = DefaultClause(text(_literal(default.arg)))


def _literal(value: Any) -> str:
    if callable(value):  # SQLAlchemy wraps ``dict`` and ``list`` in a function of the context
        return f"'{json.dumps(value(None))}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower()
