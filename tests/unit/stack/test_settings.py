"""Settings: where each value comes from, and that the page in the docs says what the code says."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from broker.settings import Settings, get_settings
from stack.settings_page import PAGE, render, variable

PLAIN = ("DATABASE_URL", "MQTT_URL", "CELERY_BROKER_URL")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (*PLAIN, "SOUK_API_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOUK_HOME", str(tmp_path))
    return tmp_path


def record(home: Path, **values: object) -> None:
    (home / "run").mkdir(exist_ok=True)
    (home / "run" / "settings.json").write_text(json.dumps(values))


def test_page_agrees_with_the_settings() -> None:
    assert PAGE.read_text() == render(), "run `python -m stack.settings_page`"


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("name", PLAIN)
def test_plain_names_are_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "scheme://x")
    assert getattr(Settings(), name.lower()) == "scheme://x"
    assert variable(name.lower(), Settings.model_fields[name.lower()]) == name


def test_environment_comes_before_what_up_recorded(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(home, database_url="postgresql://recorded", api_port=9)
    assert Settings().database_url == "postgresql://recorded"
    monkeypatch.setenv("DATABASE_URL", "postgresql://environment")
    assert Settings().database_url == "postgresql://environment"
    assert Settings().api_port == 9


@pytest.mark.parametrize("text", ["", "{", "[]", '{"unknown": 1}'])
def test_unreadable_record_counts_as_none(home: Path, text: str) -> None:
    (home / "run").mkdir()
    (home / "run" / "settings.json").write_text(text)
    assert Settings().api_port == Settings.model_fields["api_port"].default


def test_home_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOUK_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", "/xdg")
    assert Settings().home == Path("/xdg/souk")


def test_paths_default_to_the_home(home: Path) -> None:
    settings = Settings()
    assert settings.pki == home / "pki"
    assert settings.artifacts == str(home / "artifacts")
    assert settings.mqtt_tls[0] == home / "pki" / "ca.pem"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("souk.example", "http://souk.example:8080"),
    ],
)
def test_url_names_an_address_to_connect_to(host: str, url: str) -> None:
    assert Settings(api_host=host).api_url == url


def test_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUK_API_PORT", "70000")
    with pytest.raises(ValidationError, match="api_port"):
        Settings()


def test_passwords_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@h/d")
    assert "hunter2" not in repr(Settings())


def test_settings_are_read_once() -> None:
    get_settings.cache_clear()
    assert get_settings() is get_settings()
    get_settings.cache_clear()
