"""Every setting of the platform, read once per process from the environment.

Order of precedence: arguments, environment, ``$SOUK_HOME/run/settings.json``, defaults. The file is
written by ``souk up`` (mode 0600) with what it started and on which ports, so that a command run by
hand beside a running platform finds the same database without being told.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from broker.home import RUN_SETTINGS, default_home


class _RunSettings(PydanticBaseSettingsSource):
    """What ``souk up`` recorded; absent or unreadable means that nothing was recorded."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        home = Path(self.current_state.get("home") or default_home())
        try:
            recorded = json.loads((home / RUN_SETTINGS).read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(recorded, dict):
            return {}
        known = self.settings_cls.model_fields
        return {name: value for name, value in recorded.items() if name in known}


class Settings(BaseSettings):
    """The platform's settings; each may be given as an environment variable of the listed name."""

    model_config = SettingsConfigDict(
        env_prefix="SOUK_",
        extra="ignore",
        frozen=True,
        validate_default=True,
        populate_by_name=True,
    )

    # Where things are
    home: Path = Field(
        default_factory=default_home,
        description="The one directory that holds all state: database, keys, artifacts, logs. "
        "Default: `souk` in the XDG data directory (`~/.local/share/souk`).",
    )
    database_url: str = Field(
        default="",
        validation_alias=AliasChoices("DATABASE_URL", "SOUK_DATABASE_URL", "database_url"),
        repr=False,
        description="PostgreSQL ≥ 15, `postgresql+psycopg://user:password@host:port/name`. "
        "Empty: `souk up` starts its own.",
    )
    database_pool_max: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="The most database connections that one process opens.",
    )
    mqtt_url: str = Field(
        default="",
        validation_alias=AliasChoices("MQTT_URL", "SOUK_MQTT_URL", "mqtt_url"),
        repr=False,
        description="The MQTT server as the platform reaches it, `mqtts://host:port`. "
        "Empty: `souk up` starts its own.",
    )
    mqtt_public_url: str = Field(
        default="",
        description="The MQTT server as devices reach it; they are told this at enrolment. "
        "Empty: the same as `MQTT_URL`.",
    )
    celery_broker_url: str = Field(
        default="",
        validation_alias=AliasChoices("CELERY_BROKER_URL", "SOUK_CELERY_BROKER_URL"),
        repr=False,
        description="Celery's queue, for example `redis://host:6379/0`. "
        "Empty: queues in the same PostgreSQL (pgmq).",
    )
    pki_dir: Path | None = Field(
        default=None,
        description="The platform's keys and certificates. Default: `pki` in the home.",
    )
    secret_file: Path | None = Field(
        default=None,
        description="Key of cookies and cursors, made at first start. Default: `secret` in home.",
    )
    artifacts_url: str = Field(
        default="",
        description="Where artifacts are kept: a directory or an fsspec URL "
        "(`s3://bucket/prefix`). Default: `artifacts` in the home.",
    )
    dashboards_dir: Path = Field(
        default=Path(__file__).parent.parent / "dashboards" / "dist",
        description="The built web dashboard that the API serves.",
    )

    # The API
    api_host: str = Field(default="127.0.0.1", description="Address that the HTTP API listens on.")
    api_port: int = Field(default=8080, ge=0, le=65535, description="Port of the HTTP API.")
    api_public_url: str = Field(
        default="", description="The HTTP API as people reach it. Empty: from host and port."
    )
    agent_host: str = Field(
        default="127.0.0.1", description="Address of the HTTPS listener for devices."
    )
    agent_port: int = Field(
        default=8443, ge=0, le=65535, description="Port of the HTTPS listener for devices."
    )
    agent_public_url: str = Field(
        default="", description="The HTTPS listener as devices reach it. Empty: from host and port."
    )
    public_names: str = Field(
        default="",
        description="Further names and addresses in the server certificates, separated by commas "
        "(localhost, 127.0.0.1 and this host's name are always in).",
    )
    request_bytes_max: int = Field(
        default=4 * 2**20,
        ge=1024,
        description="The largest body of a REST request, artifacts aside.",
    )
    artifact_bytes_max: int = Field(default=2 * 2**30, ge=1024, description="The largest artifact.")
    tasks_per_job_max: int = Field(
        default=10_000, ge=1, description="The most tasks that one job may have."
    )
    requests_per_minute: int = Field(
        default=60_000, ge=1, description="REST requests that one key may make in a minute."
    )
    session_ttl_s: int = Field(
        default=12 * 3600, ge=60, description="How long a browser session lasts."
    )

    # Devices
    mqtt_host: str = Field(
        default="127.0.0.1", description="Address of our own MQTT server for devices."
    )
    mqtt_port: int = Field(
        default=8883, ge=0, le=65535, description="Port of our own MQTT server (TLS)."
    )
    mqtt_server: Literal["auto", "mosquitto", "amqtt"] = Field(
        default="auto", description="Which MQTT server `souk up` starts; `auto` prefers mosquitto."
    )
    mqtt_ca_file: Path | None = Field(
        default=None,
        description="CA that signed the MQTT server's certificate. Default: our own CA.",
    )
    mqtt_cert_file: Path | None = Field(
        default=None,
        description="The platform's MQTT client certificate. Default: in the PKI directory.",
    )
    mqtt_key_file: Path | None = Field(
        default=None, description="The key of that certificate. Default: in the PKI directory."
    )
    certificate_ttl_s: int = Field(
        default=7 * 86400, ge=60, description="How long a device's certificate is valid."
    )
    certificate_grace_s: int = Field(
        default=30 * 86400,
        ge=0,
        description="How long after its expiry a device may still renew by key.",
    )
    heartbeat_interval_s: float = Field(
        default=5.0, gt=0, description="How often a device of a small fleet reports its state."
    )
    fleet_messages_per_s_max: float = Field(
        default=500.0,
        gt=0,
        description="State messages of all devices together; intervals grow to keep it.",
    )
    node_silent_after_s: float = Field(
        default=20.0, gt=0, description="A device not heard from for so long counts as silent."
    )
    lost_after_s: float = Field(
        default=60.0,
        gt=0,
        description="Attempts on a device silent for so long are lost, if their job says nothing.",
    )

    # The market
    mechanism: str = Field(
        default="hierarchical",
        description="The mechanism that clears rounds where the policy names none.",
    )
    round_interval_s: float = Field(
        default=5.0,
        gt=0,
        description="A cell is cleared at least this often while it has open demand.",
    )
    round_debounce_ms: int = Field(
        default=10, ge=0, description="New demand waits so long for company before a round starts."
    )
    round_budget_ms: int = Field(
        default=2_000, ge=1, description="Time budget of one round's clearing."
    )
    snapshots_keep_max: int = Field(
        default=20_000,
        ge=0,
        description="Snapshots of so many rounds are kept, for replay and explanation.",
    )
    snapshots_keep_h: float = Field(
        default=72.0, ge=0, le=24 * 365, description="And for so many hours."
    )
    fee_basis_points: int = Field(
        default=200,
        ge=0,
        le=10_000,
        description="The platform's fee, in hundredths of a per cent of a charge.",
    )

    # Processes
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe message that is logged."
    )
    log_format: Literal["json", "text"] = Field(
        default="json", description="Form of the log lines."
    )
    worker_concurrency: int = Field(
        default=2, ge=1, le=256, description="Child processes of one worker."
    )
    ready_file: Path | None = Field(
        default=None,
        description="A process touches this file when ready and every few seconds after.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _RunSettings(settings_cls)

    @property
    def pki(self) -> Path:
        return self.pki_dir or self.home / "pki"

    @property
    def secret_path(self) -> Path:
        return self.secret_file or self.home / "secret"

    @property
    def artifacts(self) -> str:
        return self.artifacts_url or str(self.home / "artifacts")

    @property
    def credentials_dir(self) -> Path:
        return self.home / "credentials"

    @property
    def mqtt_revoked_file(self) -> Path:
        """The ids of revoked nodes, which our own MQTT server follows."""
        return self.home / "mqtt" / "revoked"

    @property
    def api_url(self) -> str:
        return self.api_public_url or f"http://{_reachable(self.api_host)}:{self.api_port}"

    @property
    def agent_url(self) -> str:
        return self.agent_public_url or f"https://{_reachable(self.agent_host)}:{self.agent_port}"

    @property
    def mqtt_url_for_devices(self) -> str:
        return self.mqtt_public_url or self.mqtt_url

    @property
    def mqtt_tls(self) -> tuple[Path, Path, Path]:
        """CA, certificate and key with which a platform process connects to the MQTT server."""
        return (
            self.mqtt_ca_file or self.pki / "ca.pem",
            self.mqtt_cert_file or self.pki / "platform.pem",
            self.mqtt_key_file or self.pki / "platform.key",
        )


def _reachable(host: str) -> str:
    """The address to connect to, where ``host`` is one to listen on."""
    return "127.0.0.1" if host in {"0.0.0.0", ""} else "[::1]" if host == "::" else host  # noqa: S104


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """This process's settings; read once. Tests call ``get_settings.cache_clear()``."""
    return Settings()
