"""An API over a database of its own, with an account of every role."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.platform import Platform
from broker.services.pki_files import ensure_pki
from broker.settings import Settings
from tests.integration.api.world import World, make_world


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(home=tmp_path, database_url=database_url, mqtt_url="mqtts://localhost:8883")


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
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
    return make_world(settings, platform, runner)


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)
