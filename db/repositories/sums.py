"""Sums over leases and JSON amounts that several queries share."""

from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, Subquery, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute

from db.tables import Lease
from market.lifecycle import LeaseState
from market.resources import RESOURCE_NAMES


def leased_by(column: Literal["node_id", "cell_id"]) -> Subquery:
    """What active leases take, one row a node or cell and one column a resource, base units."""
    key = getattr(Lease, column)
    sums = [func.sum(Lease.slots * getattr(Lease, name)).label(name) for name in RESOURCE_NAMES]
    return (
        select(key, *sums).where(Lease.state == LeaseState.ACTIVE).group_by(key).subquery("leased")
    )


def sum_of(document: InstrumentedAttribute[Any], name: str) -> ColumnElement[int]:
    """Sum of one amount of a JSON document of amounts; 0 for none."""
    return func.coalesce(func.sum(cast(document[name].astext, BigInteger)), 0)
