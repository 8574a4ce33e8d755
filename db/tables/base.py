"""Declarative base, naming convention and the column types that every table shares."""

import datetime as dt
from typing import Annotated, Any

from sqlalchemy import BigInteger, DateTime, MetaData, String
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
Document = Annotated[Json, mapped_column(JSONB)]


class Base(DeclarativeBase):
    """All tables; relationships are not mapped: what a use case needs it asks for."""

    metadata = MetaData(naming_convention=NAMING)


def one_of(column: str, values: type) -> str:
    """The text of a CHECK that a column holds a member of a ``StrEnum``."""
    listed = ", ".join(f"'{value}'" for value in values)  # type: ignore[attr-defined]
    return f"{column} IN ({listed})"
