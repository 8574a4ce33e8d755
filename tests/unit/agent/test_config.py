"""The owner's settings: defaults, sizes, and a sentence for each mistake."""

from pathlib import Path
from typing import Any

import pytest

from edge_agent.config import (
    AgentConfig,
    ConfigError,
    find_config,
    load_config,
    parse_config,
    state_dir,
)

WHOLE = """
runtimes = ["wasm"]
hours = ["mon-fri 20:00-06:00", "sat 00:00-24:00"]

[agent]
state_dir = "~/agent"
stop_grace_s = 30
[share]
cpu_millis = 1500
memory_bytes = "1.5 GiB"
disk_bytes = "10GB"
[price]
cpu_micros_per_core_hour = 20000
[power]
idle_milliwatts = 2000
max_milliwatts = 9000
carbon_g_per_kwh = 120
[location]
latitude = 48
longitude = 11.5
[tenants]
refuse = ["mallory"]
[labels]
site = "barn"
"""


def test_whole_file(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(WHOLE)
    config = load_config(tmp_path / "agent.toml")
    assert config.share.cpu_millis == 1500
    assert config.share.memory_bytes == 3 << 29
    assert config.share.disk_bytes == 10_000_000_000
    assert config.power.carbon_g_per_kwh == 120
    assert config.location.latitude == 48.0
    assert config.tenants.refuse == ("mallory",)
    assert config.runtimes == ("wasm",)
    assert config.labels == {"site": "barn"}
    assert len(config.hours) == 2


def test_defaults_without_a_file() -> None:
    assert load_config(None) == AgentConfig() == parse_config({})


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"shares": {}}, "shares is not a setting; there are: agent"),
    ({"share": {"cpu": 1}}, "share.cpu is not a setting; there are: cpu_millis"),
    ({"share": 5}, "share is a table"),
    ({"share": {"cpu_millis": -1}}, "share.cpu_millis takes a whole number"),
    ({"share": {"cpu_millis": True}}, "share.cpu_millis takes a whole number"),
    ({"share": {"memory_bytes": "lots"}}, "share.memory_bytes takes bytes or a size"),
    ({"hours": ["8-12"]}, "hours: '8-12' is not of the form"),
    ({"hours": ["mon-xyz 08:00-12:00"]}, "the days are mon, tue"),
    ({"hours": ["08:00-25:00"]}, "hours run from 00:00 to 24:00"),
    ({"hours": "08:00-12:00"}, "hours takes a list"),
    ({"runtimes": ["wasm", "java"]}, "'java' is not one of wasm, onnx"),
    ({"labels": {"a": 1}}, "labels.a takes text"),
    ({"labels": []}, "labels is a table"),
    ({"location": {"latitude": 1}}, "both latitude and longitude"),
    ({"location": {"latitude": 91, "longitude": 0}}, "between -90 and 90"),
    ({"location": {"latitude": 0, "longitude": "east"}}, "location.longitude takes a number"),
    ({"power": {"idle_milliwatts": 9, "max_milliwatts": 8}}, "must not be less"),
    ({"agent": {"log_level": "loud"}}, "log_level is one of"),
    ({"tenants": {"accept": ["a"], "refuse": ["a"]}}, "a cannot be accepted and refused"),
]


@pytest.mark.parametrize(("raw", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_mistakes_are_said_in_a_sentence(raw: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"), [(b"= 1", "is not TOML"), (b"\xff", "is not TOML"), (None, "No such file")]
)
def test_unreadable_file_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "agent.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_find_config_order(tmp_path: Path) -> None:
    home = tmp_path / ".config" / "souk"
    home.mkdir(parents=True)
    (home / "agent.toml").write_text("")
    environ = {"HOME": str(tmp_path)}
    assert find_config(None, environ) == home / "agent.toml"
    assert find_config(None, environ | {"SOUK_AGENT_CONFIG": "/named"}) == Path("/named")
    assert find_config("/given", environ | {"SOUK_AGENT_CONFIG": "/named"}) == Path("/given")


def test_state_dir_order() -> None:
    config = parse_config({"agent": {"state_dir": "/from-config"}})
    assert state_dir(config, None, {}) == Path("/from-config")
    assert state_dir(config, None, {"SOUK_AGENT_STATE": "/env"}) == Path("/env")
    assert state_dir(config, "/flag", {"SOUK_AGENT_STATE": "/env"}) == Path("/flag")
