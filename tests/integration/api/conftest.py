"""An API over a database of its own, with an account of every role."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from api.app import make_app
from api.platform import Platform
from broker.services import accounts, cells, keys
from broker.services.pki_files import ensure_pki
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


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(home=tmp_path, database_url=database_url, mqtt_url="mqtts://localhost:8883")


@pytest.fixture
def platform(settings: Settings, engine: Engine) -> Iterator[Platform]:
    ensure_pki(settings.pki, now=datetime.now(UTC))
    opened = Platform.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened


@pytest.fixture
def world(platform: Platform, settings: Settings, runner: asyncio.Runner) -> World:
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


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)
