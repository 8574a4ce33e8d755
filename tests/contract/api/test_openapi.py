"""The API does what its OpenAPI document says: generated requests, hostile ones among them."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import (
    content_type_conformance,
    ignored_auth,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.checks import negative_data_rejection

from api.app import make_app
from api.platform import Platform
from broker.services.pki_files import ensure_pki
from broker.settings import Settings
from stack.databases import drop_database
from tests.integration.api.arrange import funds, node_of, submit
from tests.integration.api.live import served
from tests.integration.api.world import World, make_world

EXAMPLES = 6
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    ignored_auth,
]
REFUSED_OTHERWISE = (412, 413)  # refusals that the check below does not know


@pytest.fixture(scope="module")
def world(
    new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    url, home = new_database(), Path(tmp_path_factory.mktemp("home"))
    chosen = Settings(
        home=home, database_url=url, mqtt_url="mqtts://localhost:8883", requests_per_minute=10**6
    )
    ensure_pki(chosen.pki, now=datetime.now(UTC))
    platform = Platform.open(chosen)
    platform.sign_ins.burst = 10**6
    with asyncio.Runner() as runner:
        made = make_world(chosen, platform, runner)
        node_of(made, made.owner)
        funds(made, made.operator)
        submit(made, made.tenant)
        yield made
    platform.close()
    drop_database(url)


@pytest.fixture(scope="module")
def base(world: World) -> Iterator[str]:
    with served(world.app, world.platform) as url:
        yield url


# Following events has no end: its stream is tested by hand.
schema = schemathesis.openapi.from_dict(make_app(Settings()).openapi()).exclude(path="/v1/events")


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_operation_conforms(case: schemathesis.Case, world: World, base: str) -> None:
    answer = case.call(base_url=base, headers=world.operator.headers)
    also = [] if answer.status_code in REFUSED_OTHERWISE else [negative_data_rejection]
    case.validate_response(answer, checks=CHECKS + also, headers=world.operator.headers)
