"""`souk up` as people run it: every process for real, ended, killed and taken up again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psycopg
import pytest

from broker.services.pki_files import PkiPaths
from stack.checkout import CHECKOUT
from stack.databases import plain
from stack.processes import ProcessId, wait_until
from stack.running import Platform, running_platform

from .mqtt_clients import Client, Identity, device_identity

PROCESSES = ("postgres", "mqtt", "api", "ingest", "dispatch", "worker", "beat")
WAIT_S = 60.0


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with running_platform(tmp_path_factory.mktemp("platform") / "home") as running:
        yield running


def souk(platform: Platform, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stack", *arguments],
        cwd=CHECKOUT,
        env=platform.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def answers(platform: Platform, path: str = "/readyz") -> bool:
    try:
        with urllib.request.urlopen(platform.api_url + path, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False


def all_ids(platform: Platform) -> list[ProcessId]:
    return [each.process for each in platform.state.processes.values()]


def execute(platform: Platform, statement: str) -> list[tuple]:
    with psycopg.connect(plain(platform.database_url), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_everything_is_ready(platform: Platform) -> None:
    assert tuple(platform.state.processes) == PROCESSES
    assert all(platform.is_ready(name) for name in PROCESSES)
    assert answers(platform)


def test_operator_key_is_private(platform: Platform) -> None:
    path = platform.root / "credentials" / "operator.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert platform.operator


def test_no_secret_is_in_state_logs_or_output(platform: Platform) -> None:
    password = (platform.root / "postgres" / "password").read_text()
    secrets = {password, (platform.root / "secret").read_text()}
    texts = [path.read_text(errors="replace") for path in platform.home.logs.glob("*.log")]
    texts += [(platform.root / "up.log").read_text(), json.dumps(vars_of(platform))]
    for secret in secrets:
        assert not any(secret in text for text in texts)


def vars_of(platform: Platform) -> str:
    return (platform.home.run / "state.json").read_text()


def test_status_says_what_runs(platform: Platform) -> None:
    done = souk(platform, "status", "-o", "json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["running"]
    assert set(found["processes"]) == set(PROCESSES)
    assert all(each["memory_bytes"] > 0 for each in found["processes"].values())
    assert "RESTARTS" in souk(platform, "status").stdout


def test_logs_are_merged_and_chosen(platform: Platform) -> None:
    everything = souk(platform, "logs", "-n", "2000").stdout
    assert {line.split()[0] for line in everything.splitlines()} >= {"postgres", "worker"}
    assert "database system is ready" in souk(platform, "logs", "postgres").stdout
    assert souk(platform, "logs", "nobody").returncode == 2


def test_node_revoked_in_the_database_is_cut_off_by_the_mqtt_server(
    platform: Platform, tmp_path: Path
) -> None:
    node = "node_" + "5" * 32
    pki = PkiPaths.within(platform.root / "pki")
    identity = device_identity(pki, tmp_path, node)
    insert_node(platform, node)
    client = Client(platform.mqtt_url, pki.ca_pem, identity).wait_connected()
    own = Identity(certificate=pki.platform_pem, key=pki.platform_key)
    listener = Client(str(platform.recorded["mqtt_url"]), pki.ca_pem, own).wait_connected()
    topic = f"souk/v1/n/{node}/up/other"
    try:
        listener.subscribe(topic)
        client.publish(topic, "before")
        assert listener.next() == (topic, "before")
        execute(platform, f"UPDATE nodes SET state = 'revoked' WHERE id = '{node}'")

        def silenced() -> bool:
            client.paho.publish(topic, "after", qos=1)
            return listener.hears_nothing()

        assert wait_until(silenced, timeout_s=10)
    finally:
        client.close()
        listener.close()


def insert_node(platform: Platform, node: str) -> None:
    """A node with just what the table insists on, of the operator's account."""
    columns = dict(
        execute(
            platform,
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_name = 'nodes' AND is_nullable = 'NO'",
        )
    )
    filler = {"jsonb": "'{}'", "boolean": "false", "character varying": "''", "text": "''"}
    values = {name: filler.get(kind, "0") for name, kind in columns.items()} | {
        "id": f"'{node}'",
        "owner_id": "(SELECT id FROM accounts LIMIT 1)",
        "cell_id": "(SELECT id FROM cells LIMIT 1)",
        "name": "'cut'",
        "state": "'online'",
        "enrolled_at": "now()",
        "certificate_expires_at": "now() + interval '1 day'",
    }
    execute(
        platform,
        f"INSERT INTO nodes ({', '.join(values)}) VALUES ({', '.join(values.values())})",
    )


def test_second_up_says_that_it_runs(platform: Platform) -> None:
    before = all_ids(platform)
    for arguments in (("up",), ("up", "-d")):
        done = souk(platform, *arguments)
        assert done.returncode == 0
        assert "already runs" in done.stdout
    assert all_ids(platform) == before


def test_only_loopback_is_listened_on(platform: Platform) -> None:
    done = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True)
    own = {each.pid for each in all_ids(platform)}
    for line in done.stdout.splitlines():
        if any(f"pid={pid}," in line for pid in own):
            assert line.split()[3].startswith("127.0.0.1:"), line


@pytest.mark.parametrize("name", PROCESSES)
def test_killed_process_comes_back_and_the_platform_heals(platform: Platform, name: str) -> None:
    restarts = platform.process_state(name).restarts
    platform.kill(name)
    assert platform.process_state(name).restarts == restarts + 1
    assert wait_until(lambda: all(map(platform.is_ready, PROCESSES)), timeout_s=WAIT_S)
    assert wait_until(lambda: answers(platform), timeout_s=WAIT_S)


def test_down_ends_all_and_up_goes_on_where_it_stopped(tmp_path: Path) -> None:
    root = tmp_path / "home"
    with running_platform(root) as first:
        execute(first, "CREATE TABLE kept AS SELECT 7 AS n")
        addresses = (first.api_url, first.agent_url, first.mqtt_url)
        key = first.operator
        ids = all_ids(first)
        done = souk(first, "down")
        assert done.returncode == 0, done.stderr
        assert "has stopped" in done.stdout
        assert not any(each.alive for each in ids)
        assert "stopped by force" not in (root / "up.log").read_text()
        assert souk(first, "status").returncode == 3
        assert "was not running" in souk(first, "down").stdout
    began = time.monotonic()
    with running_platform(root) as second:
        assert time.monotonic() - began < 60
        assert execute(second, "SELECT n FROM kept") == [(7,)]
        assert (second.api_url, second.agent_url, second.mqtt_url) == addresses
        assert second.operator == key
        second.process.send_signal(signal.SIGKILL)
        second.process.wait()
        left = all_ids(second)
        assert wait_until(lambda: not any(each.alive for each in left), timeout_s=WAIT_S)
        second.start()
        assert execute(second, "SELECT n FROM kept") == [(7,)]


def test_taken_default_port_gives_way(tmp_path: Path) -> None:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", 8080))
            listener.listen()
        except OSError:
            pass  # another program has it, which is as good
        with running_platform(tmp_path / "home", SOUK_API_PORT="8081", SOUK_AGENT_PORT="0") as it:
            assert it.api_url.endswith(":8081")
            assert answers(it)


def test_detached_up_returns_when_ready(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home")
    done = souk(platform, "up", "-d")
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        assert "souk is up" in done.stdout
        assert "Ctrl-C" not in done.stdout
        assert answers(platform)
        assert os.getpgid(platform.state.supervisor_pid) == platform.state.supervisor_pid
    finally:
        assert souk(platform, "down").returncode == 0
    assert platform.state.phase == "stopped"


def test_failing_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home", {"DATABASE_URL": "postgresql+psycopg://u@127.0.0.1:1/x"})
    done = souk(platform, "up")
    assert done.returncode == 1
    assert "127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(each.alive for each in all_ids(platform))
