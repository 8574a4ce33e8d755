"""The owner's configuration: TOML in, checked values out, every complaint a sentence.

``docs/agent.md`` lists the settings; a file may leave out all of them.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from edge_agent.hours import Window, parse_window

RUNTIMES = ("wasm", "onnx")
PRICED = ("cpu_millis", "memory_bytes")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


class ConfigError(ValueError):
    """A setting is not valid; the text names it and says what it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What of the machine may be sold; 0 means the default: every core, half of the memory."""

    cpu_millis: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 2 << 30  # the artifact cache may grow so far
    output_bytes_max: int = 64 << 20  # of one task


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Reserve prices in micros of a credit per core-hour and per GiB-hour."""

    cpu_micros_per_core_hour: int = 10_000
    memory_micros_per_gib_hour: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """The power model, and the carbon intensity of the owner's electricity where known."""

    idle_milliwatts: int = 3_000
    max_milliwatts: int = 0  # 0: idle plus 4 W a core
    carbon_g_per_kwh: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where the device stands, in degrees; both or neither."""

    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenants:
    """Whose work is taken; an empty ``accept`` means everybody but those in ``refuse``."""

    accept: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Of the agent itself."""

    state_dir: str = ""
    log_level: str = "info"
    stop_grace_s: int = 5  # running work gets this long to end when the agent is told to stop
    idle_children_s: int = 60  # a warm sandbox that has had no work for this long is ended
    niceness: int = 10  # of tenants' work: 19 yields most to the owner's own programs, 0 not at all


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """All of the owner's settings."""

    agent: Agent = field(default_factory=Agent)
    share: Share = field(default_factory=Share)
    price: Price = field(default_factory=Price)
    power: Power = field(default_factory=Power)
    location: Location = field(default_factory=Location)
    tenants: Tenants = field(default_factory=Tenants)
    hours: tuple[Window, ...] = ()
    runtimes: tuple[str, ...] = RUNTIMES
    labels: Mapping[str, str] = field(default_factory=dict)


_SECTIONS: dict[str, Any] = {
    "agent": Agent,
    "share": Share,
    "price": Price,
    "power": Power,
    "location": Location,
    "tenants": Tenants,
}


def default_paths(environ: Mapping[str, str]) -> list[Path]:
    """Where a configuration is looked for, the first that exists is taken."""
    home = Path(environ.get("HOME", "/"))
    config_home = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return [config_home / "souk" / "agent.toml", Path("/etc/souk/agent.toml")]


def find_config(explicit: str | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: ``--config``, else ``SOUK_AGENT_CONFIG``, else the first default."""
    named = explicit or environ.get("SOUK_AGENT_CONFIG")
    if named:
        return Path(named)
    return next((path for path in default_paths(environ) if path.is_file()), None)


def load_config(path: Path | None) -> AgentConfig:
    """The settings in ``path``; the defaults when it is None.

    Raises:
        ConfigError: unreadable, not TOML, an unknown setting or a value out of range.
    """
    if path is None:
        return AgentConfig()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    return parse_config(raw)


def parse_config(raw: Mapping[str, Any]) -> AgentConfig:
    """The settings in the tables of ``raw``; see ``load_config``."""
    readers: dict[str, Callable[[Any], Any]] = {
        "hours": _hours,
        "runtimes": _runtimes,
        "labels": _labels,
    }
    _refuse_unknown(raw, [*_SECTIONS, *readers], "")
    values = {name: _section(cls, raw.get(name, {}), name) for name, cls in _SECTIONS.items()}
    values |= {name: read(raw[name]) for name, read in readers.items() if name in raw}
    config = AgentConfig(**values)
    _check(config)
    return config


def state_dir(config: AgentConfig, explicit: str | None, environ: Mapping[str, str]) -> Path:
    """``--state-dir``, else ``SOUK_AGENT_STATE``, else the setting, else the usual place."""
    named = explicit or environ.get("SOUK_AGENT_STATE") or config.agent.state_dir
    if named:
        return Path(named).expanduser().absolute()  # sandboxes have another working directory
    if os.geteuid() == 0:
        return Path("/var/lib/souk-agent")
    home = Path(environ.get("HOME", "/"))
    return Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state") / "souk-agent"


def _refuse_unknown(raw: Mapping[str, Any], known: list[str], prefix: str) -> None:
    for name in raw:
        if name not in known:
            raise ConfigError(
                f"{prefix}{name} is not a setting; there are: {', '.join(sorted(known))}"
            )


def _section(cls: Any, raw: Any, name: str) -> Any:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{name} is a table: write [{name}] and its settings below")
    _refuse_unknown(raw, [f.name for f in fields(cls)], f"{name}.")
    return cls(**{key: _value(cls, key, value, f"{name}.{key}") for key, value in raw.items()})


def _value(cls: Any, key: str, value: Any, path: str) -> Any:
    default = getattr(cls(), key)
    if cls is Location:
        return _number(value, path)
    if isinstance(default, tuple):
        return _texts(value, path)
    if isinstance(default, str):
        return _text(value, path)
    return _bytes(value, path) if "_bytes" in key else _count(value, path)


def _count(value: Any, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"{path} takes a whole number from 0 up, not {value!r}")
    return value


def _bytes(value: Any, path: str) -> int:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        number, unit = match.groups()
        unit = unit or ""
        base = 1024 if unit.lower().endswith("i") else 1000
        return int(float(number) * base ** _POWERS[unit[:1].upper()])
    if isinstance(value, str):
        raise ConfigError(f"{path} takes bytes or a size such as '2 GiB', not {value!r}")
    return _count(value, path)


def _number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{path} takes a number of degrees, not {value!r}")
    return float(value)


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{path} takes text, not {value!r}")
    return value


def _texts(value: Any, path: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{path} takes a list of texts, not {value!r}")
    return tuple(_text(item, path) for item in value)


def _hours(value: Any) -> tuple[Window, ...]:
    try:
        return tuple(parse_window(text) for text in _texts(value, "hours"))
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"hours: {error}") from None


def _runtimes(value: Any) -> tuple[str, ...]:
    names = _texts(value, "runtimes")
    for name in names:
        if name not in RUNTIMES:
            raise ConfigError(f"runtimes: {name!r} is not one of {', '.join(RUNTIMES)}")
    return names


def _labels(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ConfigError("labels is a table of texts: write [labels] and name = 'value' below")
    return {name: _text(text, f"labels.{name}") for name, text in value.items()}


def _check(config: AgentConfig) -> None:
    location = config.location
    if (location.latitude is None) != (location.longitude is None):
        raise ConfigError("location needs both latitude and longitude, or neither")
    if location.latitude is not None and not -90 <= location.latitude <= 90:
        raise ConfigError("location.latitude lies between -90 and 90 degrees")
    if location.longitude is not None and not -180 <= location.longitude <= 180:
        raise ConfigError("location.longitude lies between -180 and 180 degrees")
    if 0 < config.power.max_milliwatts < config.power.idle_milliwatts:
        raise ConfigError("power.max_milliwatts must not be less than power.idle_milliwatts")
    if config.agent.log_level not in ("debug", "info", "warning", "error"):
        raise ConfigError("agent.log_level is one of debug, info, warning, error")
    if config.agent.niceness > 19:
        raise ConfigError("agent.niceness runs from 0 to 19")
    both = set(config.tenants.accept) & set(config.tenants.refuse)
    if both:
        raise ConfigError(f"tenants: {', '.join(sorted(both))} cannot be accepted and refused")
