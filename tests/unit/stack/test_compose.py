"""docker-compose.yml and Dockerfile name only what exists, and run what ``souk up`` runs."""

import ast
import re
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from broker.settings import Settings
from stack import mosquitto_config
from stack.plan import make_plan
from stack.settings_page import variable

CHECKOUT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"] == "souk")
ONCE = {"prepare", "migrate", "bootstrap"}
LONG = ["api", "beat", "dispatch", "ingest", "worker"]
OWN_VARIABLES = {variable(name, field) for name, field in Settings.model_fields.items()}


def module_of(command: list[str]) -> str:
    assert command[:2] == ["python", "-m"], command
    return command[2]


def own_check(service: dict) -> list[str] | None:
    test = service["healthcheck"].get("test")
    return test[1:] if test else None


def environment_of(service: dict) -> dict[str, str]:
    return service.get("environment", {})


def test_all_processes_of_the_platform_are_there() -> None:
    assert sorted([*LONG, *ONCE]) == OURS


@pytest.mark.parametrize("name", OURS)
def test_command_names_a_module_that_runs(name: str) -> None:
    command = SERVICES[name]["command"]
    module = module_of(command)
    assert runs(module), f"`python -m {module}` does nothing"
    if module == "celery":
        assert is_module(command[command.index("-A") + 1])


def is_module(name: str) -> bool:
    """Whether the checkout has this module; looked up by its file, as Celery's would connect."""
    path = CHECKOUT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def runs(module: str) -> bool:
    """Whether ``python -m module`` has something to run."""
    spec = find_spec(module)
    if spec is None:
        return False
    if spec.submodule_search_locations:
        return any(
            (Path(each) / "__main__.py").exists() for each in spec.submodule_search_locations
        )
    return "__main__" in Path(spec.origin).read_text()


@pytest.mark.parametrize("name", LONG)
def test_same_module_as_souk_up(name: str, tmp_path: Path) -> None:
    plan = make_plan(Settings(home=tmp_path))
    spec = next(spec for stage in plan.stages for spec in stage.specs if spec.name == name)
    here, there = list(spec.prepare()), SERVICES[name]["command"]
    assert here[1:3] == there[1:3]
    if there[2] == "celery":
        assert here[3:6] == there[3:6]


@pytest.mark.parametrize("name", OURS)
def test_environment_names_settings(name: str) -> None:
    assert set(environment_of(SERVICES[name])) <= OWN_VARIABLES


@pytest.mark.parametrize("name", OURS)
def test_addresses_name_services_and_their_ports(name: str) -> None:
    ports = {"postgres": 5432, "redis": 6379, "mosquitto": mosquitto_config.CONTAINER_PLATFORM_PORT}
    for key in ("DATABASE_URL", "MQTT_URL", "CELERY_BROKER_URL"):
        text = re.sub(r"\$\{[^}]*\}", "x", environment_of(SERVICES[name])[key])
        address = urlsplit(text)
        assert address.hostname in SERVICES
        assert address.port == ports[address.hostname]


def test_client_libraries_of_those_addresses_are_locked() -> None:
    libraries = {"postgresql+psycopg": "psycopg", "mqtts": "paho", "redis": "redis"}
    for key in ("DATABASE_URL", "MQTT_URL", "CELERY_BROKER_URL"):
        scheme = environment_of(SERVICES["api"])[key].partition("://")[0]
        assert find_spec(libraries[scheme]), scheme


def test_published_ports_are_those_that_are_listened_on() -> None:
    defaults = {Settings.model_fields[key].default for key in ("api_port", "agent_port")}
    assert {int(port.rsplit(":", 1)[1]) for port in SERVICES["api"]["ports"]} == defaults
    assert SERVICES["mosquitto"]["ports"] == [f"8883:{mosquitto_config.CONTAINER_PORT}"]


def test_agents_are_told_published_ports() -> None:
    told = environment_of(SERVICES["api"])
    assert told["SOUK_MQTT_PUBLIC_URL"].endswith(":8883")
    assert told["SOUK_AGENT_PUBLIC_URL"].endswith(":8443")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_dependencies_exist_and_can_be_met(name: str) -> None:
    for needed, rule in SERVICES[name].get("depends_on", {}).items():
        service = SERVICES[needed]
        if rule["condition"] == "service_healthy":
            assert service["healthcheck"].get("test")
        else:
            assert rule["condition"] == "service_completed_successfully"
            assert service["restart"] == "no"


def test_dependencies_have_no_circle() -> None:
    left = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    while left:
        free = {name for name, needs in left.items() if not needs & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


@pytest.mark.parametrize("name", LONG)
def test_health_check_names_what_exists(name: str) -> None:
    check = own_check(SERVICES[name])
    assert find_spec(module_of(check))
    if check[3] == "http":
        address = urlsplit(check[4])
        assert (address.port, address.path) == (8080, "/readyz")
    else:
        assert check[4] == environment_of(SERVICES[name])["SOUK_READY_FILE"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_volumes_are_declared_or_in_the_checkout(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source = volume.split(":")[0]
        assert (
            (CHECKOUT / source).exists()
            if source.startswith(".")
            else (source in COMPOSE["volumes"])
        )


@pytest.mark.parametrize("name", ["mosquitto.conf", "nodes.acl", "platform.acl"])
def test_mounted_mosquitto_files_are_those_that_are_tested(name: str) -> None:
    committed = (CHECKOUT / "stack" / "mosquitto" / name).read_text()
    assert committed == mosquitto_config.container_files()[name], (
        "run `python -m stack.mosquitto_config`"
    )


def test_mosquitto_finds_its_files() -> None:
    text = mosquitto_config.container_files()["mosquitto.conf"]
    mounts = {each.split(":")[1] for each in SERVICES["mosquitto"]["volumes"]}
    for path in re.findall(r"^(?:cafile|certfile|keyfile|acl_file) (\S+)$", text, re.MULTILINE):
        assert str(Path(path).parent) in mounts


def test_image_copies_every_package_and_runs_as_nobody_special() -> None:
    text = (CHECKOUT / "Dockerfile").read_text()
    copied = set(re.findall(r"^COPY (\S+) ", text, re.MULTILINE))
    for path in copied - {"dashboards/dist"}:
        assert (CHECKOUT / path).exists(), path
    packages = {
        "market",
        "allocator",
        "sim",
        "db",
        "broker",
        "api",
        "edge_agent",
        "client",
        "stack",
    }
    assert packages <= copied
    assert re.search(r"^USER souk$", text, re.MULTILINE)
    assert "--require-hashes" in text
    uid = re.search(r"--uid (\d+)", text).group(1)
    assert SERVICES["mosquitto"]["user"] == f"{uid}:{uid}"


def test_image_holds_what_the_build_context_lets_through() -> None:
    ignored = (CHECKOUT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (\S+) ", (CHECKOUT / "Dockerfile").read_text(), re.MULTILINE)
    assert [path for path in copied if f"!{path}" not in ignored] == []


def test_no_password_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for key, value in environment_of(service).items():
            if "PASSWORD" in key:
                assert value.startswith("${")


def test_health_module_says_by_its_exit_code(tmp_path: Path) -> None:
    from stack.health import FRESH_S, file_is_fresh

    ready = tmp_path / "ready"
    assert not file_is_fresh(ready, now=0.0)
    ready.touch()
    touched = ready.stat().st_mtime
    assert file_is_fresh(ready, now=touched + FRESH_S / 2)
    assert not file_is_fresh(ready, now=touched + FRESH_S * 2)


def test_prepare_exports_no_authority_key(tmp_path: Path, monkeypatch) -> None:
    from broker.settings import get_settings
    from stack.prepare import prepare

    monkeypatch.setenv("SOUK_HOME", str(tmp_path / "home"))
    get_settings.cache_clear()
    prepare(tmp_path / "tls")
    get_settings.cache_clear()
    names = sorted(path.name for path in (tmp_path / "tls").iterdir())
    assert names == ["ca.pem", "platform-ca.pem", "server.key", "server.pem"]


def test_bootstrap_uses_the_standard_library_alone() -> None:
    tree = ast.parse((CHECKOUT / "stack" / "bootstrap.py").read_text())
    found = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    import sys

    assert found <= sys.stdlib_module_names
