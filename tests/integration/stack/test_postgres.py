"""The PostgreSQL launcher on real servers: made, used, crashed, restarted, cloned, removed."""

import os
import signal
from pathlib import Path

import psycopg
import pytest

from stack import postgres, postgres_binaries
from stack.databases import clone_database, drop_database, ensure_database, name_of, plain
from stack.postgres import PostgresServer, ephemeral, ephemeral_server
from stack.processes import find_process, free_port, wait_until


def query(url: str, statement: str) -> object:
    with psycopg.connect(plain(url), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def durable(directory: Path) -> PostgresServer:
    return PostgresServer(
        directory=directory / "postgres", port=free_port(), log_file=directory / "postgres.log"
    )


@pytest.fixture(scope="module")
def url():
    with ephemeral() as address:
        yield address


def test_ephemeral_serves_and_leaves_nothing() -> None:
    with ephemeral_server() as server:
        assert query(server.url(), "SELECT 6 * 7") == 42
        pid = server.process.pid
    assert find_process(pid) is None
    assert not server.directory.exists()


def test_server_is_recent_enough(url: str) -> None:
    assert int(query(url, "SHOW server_version_num")) >= postgres_binaries.MAJOR_MIN * 10_000


def test_password_is_needed(url: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(plain(url).replace(url.split(":")[2].split("@")[0], "wrong"))


def test_clone_has_the_rows_and_is_apart(url: str) -> None:
    source = ensure_database(url, "source")
    query(source, "CREATE TABLE t AS SELECT 1 AS a")
    clone = clone_database(source, "copy")
    query(clone, "INSERT INTO t VALUES (2)")
    assert query(clone, "SELECT sum(a) FROM t") == 3
    assert query(source, "SELECT sum(a) FROM t") == 1
    drop_database(clone)
    assert query(url, f"SELECT count(*) FROM pg_database WHERE datname = '{name_of(clone)}'") == 0


def test_rows_survive_stop_and_start(tmp_path: Path) -> None:
    server = durable(tmp_path)
    server.start()
    query(server.url(), "CREATE TABLE kept AS SELECT 5 AS a")
    server.stop()
    server.start()
    assert query(server.url(), "SELECT a FROM kept") == 5
    server.stop()


def test_rows_survive_kill_and_stale_pid_file(tmp_path: Path) -> None:
    server = durable(tmp_path)
    server.start()
    query(server.url(), "CREATE TABLE kept AS SELECT 5 AS a")
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    assert (server.data / "postmaster.pid").exists()
    server.start()
    assert query(server.url(), "SELECT a FROM kept") == 5
    server.stop()


def test_leftover_server_is_ended_and_replaced(tmp_path: Path) -> None:
    first = durable(tmp_path)
    first.start()
    query(first.url(), "CREATE TABLE kept AS SELECT 5 AS a")
    second = durable(tmp_path)
    second.start()
    assert first.process.wait(timeout=10) is not None
    assert query(second.url(), "SELECT a FROM kept") == 5
    second.stop()


def test_interrupted_initdb_is_made_anew(tmp_path: Path) -> None:
    server = durable(tmp_path)
    (server.directory / "data.new" / "base").mkdir(parents=True)
    server.start()
    assert query(server.url(), "SELECT 1") == 1
    server.stop()


def test_stranger_with_the_recorded_pid_is_left_alone(tmp_path: Path) -> None:
    server = durable(tmp_path)
    server.data.mkdir(parents=True)
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n")
    assert postgres.leftover_server(server.data) is None


def test_other_major_version_is_refused_with_advice(tmp_path: Path) -> None:
    server = durable(tmp_path)
    server.data.mkdir(parents=True)
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(postgres_binaries.PostgresMissing, match="DATABASE_URL"):
        server.start()


def test_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = durable(tmp_path)
    server.options = {"shared_buffers": "nonsense"}
    with pytest.raises(postgres.PostgresFailed, match="shared_buffers"):
        server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its identity")
def test_server_runs_as_nobody_where_namespaces_are_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = durable(tmp_path)
    server.start()
    query(server.url(), "CREATE TABLE kept AS SELECT 5 AS a")
    server.stop()
    identity = postgres_binaries.Identity(
        prefix=postgres_binaries._SETPRIV, owner=postgres_binaries.NOBODY
    )
    monkeypatch.setattr(postgres, "server_identity", lambda: identity)
    server.start()
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    assert f"Uid:\t{postgres_binaries.NOBODY}\t{postgres_binaries.NOBODY}" in status
    assert query(server.url(), "SELECT a FROM kept") == 5
    server.stop()


def test_server_dies_with_its_parent(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        server = durable(tmp_path)
        server.start()
        os.write(writer, str(server.process.pid).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    server_pid = int(os.read(reader, 20))
    os.close(reader)
    os.close(writer)
    assert wait_until(lambda: find_process(server_pid) is None, timeout_s=15)
