"""What the tests of the API put in place before a case."""

from typing import Any

from sqlalchemy import select

from db.tables import Account, Cell
from tests import factories
from tests.integration.api.world import Party, World

DIGEST = "sha256:" + "ab" * 32


def node_of(world: World, owner: Party, **fields: Any) -> str:
    """A node online that ``owner`` offers in the world's cell; its id."""
    with world.platform.sessions.begin() as session:
        cell = session.get_one(Cell, world.cell_id)
        account = session.get_one(Account, owner.id)
        return factories.make_node(session, cell=cell, owner=account, **fields).id


def funds(world: World, party: Party, micros: int = 100_000_000) -> None:
    """Credits for ``party``."""
    path = f"/v1/accounts/{party.id}/deposits"
    assert world.operator.client.post(path, json={"amount_micros": micros}).status_code == 201


def upload(party: Party, data: bytes = b"\0asm\1\0\0\0") -> str:
    """Upload ``data``; its digest."""
    answer = party.client.post("/v1/artifacts", content=data)
    assert answer.status_code == 201, answer.text
    digest: str = answer.json()["digest"]
    return digest


def job_body(digest: str, **fields: Any) -> dict[str, Any]:
    """The smallest job that is valid, with ``fields`` over it."""
    return {
        "kind": "wasm",
        "wasm": {"module": digest},
        "limit_price_micros_per_hour": 1_000_000,
    } | fields


def submit(world: World, party: Party, **fields: Any) -> str:
    """Submit a job for ``party``, with all that it needs; its id."""
    with world.platform.sessions() as session:
        known = session.scalar(select(Cell).where(Cell.id == world.cell_id))
        assert known is not None
    funds(world, party)
    answer = party.client.post("/v1/jobs", json=job_body(upload(party), **fields))
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["id"]
    return job_id
