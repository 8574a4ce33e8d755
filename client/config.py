"""Where the platform is and as whom to speak to it.

The first of these that gives an address wins, and its key is used with it alone, so that a key is
never sent to a host that it was not meant for:

1. arguments;
2. ``SOUK_URL`` with ``SOUK_API_KEY`` and ``SOUK_CA``;
3. the context named by ``SOUK_CONTEXT``;
4. a platform that runs from ``$SOUK_HOME``, where that is set, with its operator's key;
5. the current context of ``~/.config/souk/client.toml``;
6. a platform that runs from the default data directory, with its operator's key.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .errors import ConfigError

WHERE_TO_SAY = (
    "set SOUK_URL and SOUK_API_KEY, or run `souk context set NAME --url URL --key KEY`, "
    "or start a platform on this machine with `souk up`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address, a key for it, and who said so."""

    url: str
    api_key: str = field(default="", repr=False)
    ca: str = ""  # path of a PEM file for https; empty: the system's authorities
    source: str = "arguments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contexts:
    """The named targets of this user."""

    current: str = ""
    targets: Mapping[str, Target] = field(default_factory=dict)


def find_target(
    *,
    url: str = "",
    api_key: str = "",
    ca: str = "",
    context: str = "",
    env: Mapping[str, str] | None = None,
) -> Target:
    """The platform to speak to. Raises ``ConfigError`` when nothing says where it is."""
    env = os.environ if env is None else env
    if url:
        return Target(url=url, api_key=api_key, ca=ca)
    found = _by_context(context) if context else _from_environment(env)
    if found is None:
        raise ConfigError(f"no platform is known: {WHERE_TO_SAY}")
    return replace(found, api_key=api_key or found.api_key, ca=ca or found.ca)


def contexts_path(env: Mapping[str, str] | None = None) -> Path:
    """The file of contexts of this user."""
    env = os.environ if env is None else env
    base = env.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "souk" / "client.toml"


def load_contexts(path: Path | None = None) -> Contexts:
    """Read the contexts, none if there is no file. Raises ``ConfigError`` if it is not TOML."""
    path = path or contexts_path()
    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return Contexts()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}; mend or remove the file") from error
    entries = document.get("contexts", {})
    return Contexts(
        current=str(document.get("current", "")),
        targets={name: _target(name, entry) for name, entry in entries.items()},
    )


def save_contexts(contexts: Contexts, path: Path | None = None) -> None:
    """Write the contexts; the file holds keys, so nobody else may read it."""
    path = path or contexts_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = [f"current = {json.dumps(contexts.current)}", ""]
    for name, target in sorted(contexts.targets.items()):
        lines.append(f"[contexts.{json.dumps(name)}]")
        lines += [
            f"{key} = {json.dumps(value)}"  # a JSON string is a TOML basic string
            for key, value in (("url", target.url), ("api_key", target.api_key), ("ca", target.ca))
            if value
        ]
        lines.append("")
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(lines))
    draft.replace(path)


def local_home(env: Mapping[str, str] | None = None) -> Path:
    """The data directory of a platform on this machine."""
    env = os.environ if env is None else env
    if chosen := env.get("SOUK_HOME"):
        return Path(chosen).expanduser().absolute()
    return Path(env.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "souk"


def find_local(home: Path) -> Target | None:
    """The platform that runs from ``home`` with its operator's key, if there is one."""
    state = _read_json(home / "run" / "state.json")
    url = str(state.get("api_url") or "")
    if not url:
        return None
    credentials = _read_json(home / "credentials" / "operator.json")
    return Target(url=url, api_key=str(credentials.get("api_key") or ""), source=f"{home}")


def _from_environment(env: Mapping[str, str]) -> Target | None:
    if url := env.get("SOUK_URL"):
        return Target(
            url=url,
            api_key=env.get("SOUK_API_KEY", ""),
            ca=env.get("SOUK_CA", ""),
            source="SOUK_URL",
        )
    path = contexts_path(env)
    if name := env.get("SOUK_CONTEXT"):
        return _by_context(name, path)
    if env.get("SOUK_HOME") and (local := find_local(local_home(env))):
        return local
    if name := load_contexts(path).current:
        return _by_context(name, path)
    return find_local(local_home(env))


def _by_context(name: str, path: Path | None = None) -> Target:
    contexts = load_contexts(path)
    if name not in contexts.targets:
        known = ", ".join(sorted(contexts.targets)) or "none"
        raise ConfigError(f"there is no context {name!r} (known: {known}); see `souk context list`")
    return contexts.targets[name]


def _target(name: str, entry: Any) -> Target:
    if not isinstance(entry, Mapping) or not entry.get("url"):
        raise ConfigError(f"context {name!r} has no url; run `souk context set {name} --url URL`")
    return Target(
        url=str(entry["url"]),
        api_key=str(entry.get("api_key", "")),
        ca=str(entry.get("ca", "")),
        source=f"context {name}",
    )


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, Mapping) else {}
