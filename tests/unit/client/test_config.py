"""Which platform is meant, and that keys stay with their address."""

import json

import pytest

from client.config import (
    Contexts,
    Target,
    contexts_path,
    find_target,
    load_contexts,
    save_contexts,
)
from client.errors import ConfigError


@pytest.fixture
def env(tmp_path):
    return {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_DATA_HOME": str(tmp_path / "data")}


def keep_contexts(env, **targets):
    save_contexts(Contexts(current=next(iter(targets)), targets=targets), contexts_path(env))


def start_local(home, *, port=8080):
    for folder in ("run", "credentials"):
        (home / folder).mkdir(parents=True)
    (home / "run" / "state.json").write_text(json.dumps({"api_url": f"http://127.0.0.1:{port}"}))
    (home / "credentials" / "operator.json").write_text(json.dumps({"api_key": "souk_local"}))


def test_nothing_known_says_what_to_do(env):
    with pytest.raises(ConfigError, match="souk context set"):
        find_target(env=env)


def test_environment_wins(env):
    keep_contexts(env, lab=Target(url="https://lab", api_key="lab-key"))
    found = find_target(env={**env, "SOUK_URL": "https://other"})
    assert (found.url, found.api_key) == ("https://other", "")  # never the lab's key


def test_current_context_then_named_one(env):
    keep_contexts(env, lab=Target(url="https://lab", api_key="k"), site=Target(url="https://site"))
    assert find_target(env=env).url == "https://lab"
    assert find_target(env={**env, "SOUK_CONTEXT": "site"}).url == "https://site"
    with pytest.raises(ConfigError, match="known: lab, site"):
        find_target(env={**env, "SOUK_CONTEXT": "nowhere"})


def test_local_platform_is_the_last_resort(env, tmp_path):
    start_local(tmp_path / "data" / "souk")
    assert find_target(env=env).api_key == "souk_local"
    keep_contexts(env, lab=Target(url="https://lab"))
    assert find_target(env=env).url == "https://lab"


def test_named_home_goes_before_the_current_context(env, tmp_path):
    keep_contexts(env, lab=Target(url="https://lab"))
    start_local(tmp_path / "here", port=9999)
    found = find_target(env={**env, "SOUK_HOME": str(tmp_path / "here")})
    assert found.url == "http://127.0.0.1:9999"


def test_contexts_survive_odd_characters_and_stay_private(tmp_path):
    path = tmp_path / "client.toml"
    contexts = Contexts(
        current='a "b"', targets={'a "b"': Target(url="https://x/é", api_key='k"\\', ca="/ca file")}
    )
    save_contexts(contexts, path)
    found = load_contexts(path)
    assert found.current == contexts.current
    target = found.targets['a "b"']
    assert (target.url, target.api_key, target.ca) == ("https://x/é", 'k"\\', "/ca file")
    assert path.stat().st_mode & 0o077 == 0


def test_broken_file_is_named(tmp_path):
    path = tmp_path / "client.toml"
    path.write_text("current = ")
    with pytest.raises(ConfigError, match=r"client\.toml"):
        load_contexts(path)


def test_key_is_not_in_the_repr():
    assert "secret" not in repr(Target(url="https://x", api_key="secret"))
