"""An application with an account of every role, for the tests of the API."""

from asyncio import Runner
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import FastAPI

from api.app import make_app
from api.platform import Platform
from broker.services import accounts, cells, keys
from broker.services.principals import SCOPES_OF, Principal
from broker.settings import Settings
from db.tables import Role
from tests.integration.api.client import Client


@dataclass(frozen=True, slots=True)
class Party:
    """An account and a client that acts for it."""

    id: str
    name: str
    key: str
    client: Client

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@dataclass(frozen=True, slots=True)
class World:
    """A running application and its parties."""

    app: FastAPI
    platform: Platform
    anonymous: Client
    operator: Party
    viewer: Party
    owner: Party
    other_owner: Party
    tenant: Party
    other_tenant: Party
    cell_id: str

    def party(self, name: str) -> Party:
        found: Party = getattr(self, name)
        return found


def make_world(settings: Settings, platform: Platform, runner: Runner) -> World:
    """An application over ``platform``, whose database is empty but for the first rows."""
    app = make_app(settings, platform)
    now = datetime.now(UTC)

    def join(name: str, role: Role) -> Party:
        with platform.sessions.begin() as session:
            new = accounts.NewAccount(name=name, role=role)
            account_id = accounts.create(session, new, by="test", address="", now=now)
            scopes = SCOPES_OF[role]
            _, key = keys.issue(session, account_id, keys.NewKey(), scopes=scopes, by=None, now=now)
        client = Client(runner, app, {"Authorization": f"Bearer {key}"})
        return Party(account_id, name, key, client)

    operator = join("operator", Role.OPERATOR)
    with platform.sessions.begin() as session:
        principal = Principal(
            account_id=operator.id,
            account_name="operator",
            role=Role.OPERATOR,
            scopes=SCOPES_OF[Role.OPERATOR],
        )
        cells.create(
            session, cells.NewCell(name="root", level="root"), principal=principal, now=now
        )
        cell = cells.create(session, cells.NewCell(name="home"), principal=principal, now=now)
        cell_id = cell.cell.id
    return World(
        app=app,
        platform=platform,
        anonymous=Client(runner, app),
        operator=operator,
        viewer=join("viewer", Role.VIEWER),
        owner=join("owner", Role.OWNER),
        other_owner=join("other owner", Role.OWNER),
        tenant=join("tenant", Role.TENANT),
        other_tenant=join("other tenant", Role.TENANT),
        cell_id=cell_id,
    )
