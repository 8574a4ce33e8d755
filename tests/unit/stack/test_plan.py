"""From settings to what is run: ports, environment, stages."""

import json
import socket
from pathlib import Path

import pytest

from broker.settings import Settings
from stack import plan
from stack.home import Home, State
from stack.plan import Plan, Ports, PortTaken, make_plan
from stack.processes import free_port
from stack.specs import Spec, Stage, Step


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DATABASE_URL", "MQTT_URL", "CELERY_BROKER_URL", "SOUK_API_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOUK_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def names(stage: Stage) -> list[str]:
    return [spec.name for spec in stage.specs]


def steps(stage: Stage) -> list[str]:
    return [step.name for step in stage.steps if isinstance(step, Step)]


def specs(plan: Plan) -> dict[str, Spec]:
    return {spec.name: spec for stage in plan.stages for spec in stage.specs}


def test_free_default_port_is_taken() -> None:
    port = free_port()
    assert Ports(settings=Settings(), remembered={}).choose("api", default=port) == port


def test_taken_default_gives_way_to_a_free_port(taken: int) -> None:
    assert Ports(settings=Settings(), remembered={}).choose("api", default=taken) != taken


def test_remembered_port_comes_before_the_default() -> None:
    remembered = free_port()
    ports = Ports(settings=Settings(), remembered={"api": remembered})
    assert ports.choose("api", default=free_port()) == remembered


def test_named_port_that_is_taken_is_refused(taken: int) -> None:
    ports = Ports(settings=Settings(api_port=taken), remembered={})
    with pytest.raises(PortTaken, match="SOUK_API_PORT"):
        ports.choose("api")


def test_port_zero_means_any() -> None:
    assert Ports(settings=Settings(api_port=0), remembered={}).choose("api") > 0


def test_own_servers_are_started_in_order() -> None:
    plan = make_plan(Settings())
    assert [names(stage) for stage in plan.stages] == [
        ["postgres", "mqtt"],
        ["api", "ingest", "dispatch", "worker"],
        ["beat"],
    ]
    assert steps(plan.stages[0]) == ["migrate", "bootstrap"]


def test_named_servers_are_not_started() -> None:
    plan = make_plan(Settings(database_url="postgresql://h/d", mqtt_url="mqtts://h:1"))
    assert set(specs(plan)) == {"api", "ingest", "dispatch", "worker", "beat"}
    assert plan.env["DATABASE_URL"] == "postgresql://h/d"
    assert plan.env["SOUK_MQTT_PUBLIC_URL"] == "mqtts://h:1"


def test_children_are_told_what_was_chosen() -> None:
    plan = make_plan(Settings(api_port=0))
    assert plan.env["SOUK_API_PORT"] == str(plan.settings.api_port)
    assert plan.env["OPENBLAS_NUM_THREADS"] == "1"
    assert plan.settings.api_url.endswith(f":{plan.env['SOUK_API_PORT']}")


def test_second_plan_has_the_same_addresses_and_secrets(home: Path) -> None:
    first = make_plan(Settings())
    secret = (home / "secret").read_text()
    assert make_plan(Settings()).recorded == first.recorded
    assert (home / "secret").read_text() == secret
    assert (home / "secret").stat().st_mode & 0o777 == 0o600


def test_what_is_recorded_is_what_settings_read(home: Path) -> None:
    plan = make_plan(Settings())
    Home(home).write_settings(dict(plan.recorded))
    assert (home / "run" / "settings.json").stat().st_mode & 0o777 == 0o600
    assert Settings().database_url == plan.settings.database_url
    assert Settings().mqtt_url == plan.settings.mqtt_url


@pytest.mark.parametrize("text", ["", "{", '{"phase": 1, "nonsense": 2}', '{"processes": []}'])
def test_nonsense_in_the_state_file_is_an_empty_state(home: Path, text: str) -> None:
    Home(home).make()
    (home / "run" / "state.json").write_text(text)
    assert Home(home).read_state() == State()


def test_home_is_held_by_one(home: Path) -> None:
    place = Home(home)
    place.make()
    assert place.lock() is not None
    assert place.lock() is None


def test_state_says_nothing_secret(home: Path) -> None:
    make_plan(Settings())
    place = Home(home)
    place.write_state(State(api_url="http://x"))
    password = (home / "postgres" / "password").read_text()
    assert password not in json.dumps((home / "run" / "state.json").read_text())


def test_compiled_kernels_of_a_read_only_checkout_are_kept_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(plan.os, "access", lambda *_: False)
    assert plan._compiled_code(tmp_path) == {"NUMBA_CACHE_DIR": str(tmp_path / "cache/kernels")}
    monkeypatch.setattr(plan.os, "access", lambda *_: True)
    assert plan._compiled_code(tmp_path) == {}
