"""From settings to what is run: ports, environment, and the stages of a start.

postgres and mqtt → migrate → bootstrap → api, ingest, dispatch, worker → beat, which only sets the
worker off. A server whose URL the settings give is not started, only awaited.
"""

import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from broker.services.bootstrap_check import is_bootstrapped
from broker.services.pki_files import PkiPaths, ensure_pki
from broker.settings import Settings
from db.standing import is_migrated
from stack.checkout import CHECKOUT, python
from stack.databases import ensure_database
from stack.home import Home
from stack.mqtt_server import MqttServer, choose_kind
from stack.postgres import DATABASE, PostgresServer
from stack.processes import free_port, port_is_free
from stack.specs import Spec, Stage, Step, ready_by_file, ready_by_http


class PortTaken(Exception):
    """A port that the settings name is in use; the text says which and what to do."""


@dataclass(slots=True, kw_only=True)
class Ports:
    """Chooses ports: as the settings say, else as last time, else the default, else a free one."""

    settings: Settings
    remembered: dict[str, int]
    chosen: dict[str, int] = field(default_factory=dict)

    def choose(self, name: str, *, host: str = "127.0.0.1", default: int = 0) -> int:
        """The port for ``name``. Raises ``PortTaken`` if a named one is in use."""
        setting = f"{name}_port"
        if setting in self.settings.model_fields_set and (port := getattr(self.settings, setting)):
            if not port_is_free(host, port):
                raise PortTaken(
                    f"port {port} is in use: end what listens there, or choose another by "
                    f"SOUK_{setting.upper()} (0 means any)"
                )
            return self._take(name, port)
        if setting in self.settings.model_fields_set:
            default = 0  # any: not the usual one, which another platform may be about to take
        for port in (self.remembered.get(name, 0), default):
            if port and port not in self.chosen.values() and port_is_free(host, port):
                return self._take(name, port)
        return self._take(name, free_port(host))

    def _take(self, name: str, port: int) -> int:
        self.chosen[name] = port
        return port


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a start needs to know, decided before anything runs."""

    settings: Settings
    env: Mapping[str, str]
    recorded: Mapping[str, Any]
    stages: Sequence[Stage]


def make_plan(settings: Settings) -> Plan:
    """Make keys and directories where missing, choose ports, and lay out the stages.

    Raises ``PortTaken``, ``MqttFailed`` or ``PostgresMissing``.
    """
    home = Home(settings.home)
    home.make()
    pki = ensure_pki(settings.pki, now=datetime.now(UTC), names=public_names(settings))
    ensure_secret(settings.secret_path)
    ports = Ports(settings=settings, remembered=home.read_ports())
    database = None if settings.database_url else _postgres(home, ports)
    server = None if settings.mqtt_url else _mqtt(settings, home, pki, ports)
    recorded = {
        "database_url": database.url() if database else settings.database_url,
        "mqtt_url": server.url if server else settings.mqtt_url,
        "mqtt_public_url": settings.mqtt_public_url
        or (server.public_url if server else settings.mqtt_url),
        "celery_broker_url": settings.celery_broker_url,
        "api_port": ports.choose("api", host=settings.api_host, default=8080),
        "agent_port": ports.choose("agent", host=settings.agent_host, default=8443),
    }
    home.write_ports(home.read_ports() | ports.chosen)
    final = settings.model_copy(update=recorded)
    return Plan(
        settings=final,
        env=_environment(final, recorded),
        recorded=recorded,
        stages=_stages(final, home, database, server),
    )


def _postgres(home: Home, ports: Ports) -> PostgresServer:
    server = PostgresServer(
        directory=home.root / "postgres",
        port=ports.choose("postgres"),
        log_file=home.log_file("postgres"),
    )
    server.ensure_password()
    return server


def _mqtt(settings: Settings, home: Home, pki: PkiPaths, ports: Ports) -> MqttServer:
    return MqttServer(
        kind=choose_kind(settings.mqtt_server),
        directory=home.root / "mqtt",
        pki=pki,
        host=settings.mqtt_host,
        port=ports.choose("mqtt", host=settings.mqtt_host, default=8883),
        platform_port=ports.choose("mqtt_platform"),
        log_file=home.log_file("mqtt"),
    )


def _environment(settings: Settings, recorded: Mapping[str, Any]) -> dict[str, str]:
    """What every process is told; libraries are kept from starting a thread for each core.

    Python keeps what it compiles, whatever our own environment says: without, every start of every
    process compiles thousands of lines again.
    """
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {
        **inherited,
        "SOUK_HOME": str(settings.home),
        "DATABASE_URL": str(recorded["database_url"]),
        "MQTT_URL": str(recorded["mqtt_url"]),
        "SOUK_MQTT_PUBLIC_URL": str(recorded["mqtt_public_url"]),
        "CELERY_BROKER_URL": str(recorded["celery_broker_url"]),
        "SOUK_API_PORT": str(recorded["api_port"]),
        "SOUK_AGENT_PORT": str(recorded["agent_port"]),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        **_compiled_code(settings.home),
    }


def _compiled_code(home: Path) -> dict[str, str]:
    """Where compiled kernels are kept: beside the code, or in the home of a read-only checkout."""
    beside = CHECKOUT / "market" / "kernels"
    if "NUMBA_CACHE_DIR" in os.environ or os.access(beside, os.W_OK):
        return {}
    return {"NUMBA_CACHE_DIR": str(home / "cache" / "kernels")}


def _stages(
    settings: Settings, home: Home, database: PostgresServer | None, server: MqttServer | None
) -> list[Stage]:
    return [
        _server_stage(settings, database, server),
        Stage(specs=tuple(_process_specs(settings, home))),
        Stage(specs=(_beat_spec(settings, home),)),
    ]


def _server_stage(
    settings: Settings, database: PostgresServer | None, server: MqttServer | None
) -> Stage:
    ready = (
        partial(_make_database, database)
        if database
        else Step(name="database", argv=python("-m", "stack.databases"))
    )
    return Stage(
        specs=(
            *([_postgres_spec(database)] if database else []),
            *([_mqtt_spec(server)] if server else []),
        ),
        steps=(
            ready,
            Step(
                name="migrate",
                argv=python("-m", "db.migrate"),
                done=partial(is_migrated, settings.database_url),
            ),
            Step(
                name="bootstrap",
                argv=python("-m", "broker.services.bootstrap"),
                done=partial(is_bootstrapped, settings.database_url, settings.credentials_dir),
            ),
        ),
    )


def _postgres_spec(server: PostgresServer) -> Spec:
    return Spec(
        name="postgres",
        prepare=server.prepare,
        ready=server.is_ready,
        stop_signal=signal.SIGINT,
        stop_grace_s=30.0,
    )


def _make_database(server: PostgresServer) -> None:
    ensure_database(server.url("postgres"), DATABASE)


def _mqtt_spec(server: MqttServer) -> Spec:
    return Spec(
        name="mqtt",
        prepare=server.prepare,
        ready=lambda _pid: server.ready,
        stop_grace_s=5.0,
        reload=server.apply_revoked,
        reload_file=server.revoked_file,
    )


def _process_specs(settings: Settings, home: Home) -> list[Spec]:
    level = settings.log_level.upper()
    return [
        _api_spec(settings, home),
        _by_file(home, "ingest", "-m", "broker.ingest"),
        _by_file(home, "dispatch", "-m", "broker.dispatch"),
        _by_file(
            home,
            "worker",
            *("-m", "celery", "-A", "broker.tasks", "worker", "--loglevel", level),
            *("-c", str(settings.worker_concurrency)),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ),
    ]


def _beat_spec(settings: Settings, home: Home) -> Spec:
    return _by_file(
        home,
        "beat",
        *("-m", "celery", "-A", "broker.tasks.timetable", "beat"),
        *("--loglevel", settings.log_level.upper()),
        *("--schedule", str(settings.home / "run" / "beat-schedule")),
    )


def _api_spec(settings: Settings, home: Home) -> Spec:
    """The API answers, and it is ours: another process may have taken the port before it could."""
    ready_file = home.ready_file("api")
    listens, answers = ready_by_file(ready_file), ready_by_http(f"{_local(settings)}/readyz")
    return Spec(
        name="api",
        prepare=lambda: python("-m", "api"),
        ready=lambda pid: listens(pid) and answers(pid),
        alive_file=ready_file,
    )


def _by_file(home: Home, name: str, *arguments: str) -> Spec:
    ready_file = home.ready_file(name)
    return Spec(
        name=name,
        prepare=lambda: python(*arguments),
        ready=ready_by_file(ready_file),
        alive_file=ready_file,
    )


def _local(settings: Settings) -> str:
    """The API on this machine, whatever the world calls it."""
    return settings.model_copy(update={"api_public_url": ""}).api_url


def public_names(settings: Settings) -> list[str]:
    """Further names of the servers, from the setting."""
    return [name.strip() for name in settings.public_names.split(",") if name.strip()]


def ensure_secret(path: Path) -> None:
    """Make the key of cookies and cursors; it is written whole or not at all."""
    if path.exists():
        return
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    temporary.replace(path)
