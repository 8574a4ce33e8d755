"""Our own PostgreSQL server: made on first use, started, watched for readiness, stopped.

It listens on one loopback port with scram passwords. The data directory is made beside its final
place and renamed, so an interrupted first start leaves nothing that looks like a database. After a
crash the server recovers from its log; a ``postmaster.pid`` whose process is gone is the server's
own business, one whose process still runs is ended first (by pid and start time).
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from stack.databases import ensure_database
from stack.postgres_binaries import (
    Binaries,
    find_binaries,
    server_identity,
    with_death_signal,
)
from stack.processes import ProcessId, command_of, find_process, free_port, spawn, stop

USER = "souk"
DATABASE = "souk"
HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0  # recovery of a busy log after a crash takes a while
STOP_GRACE_S = 30.0

COMMON: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "random_page_cost": "1.1",
    "wal_buffers": "16MB",
    "max_wal_size": "1GB",
    "min_wal_size": "512MB",  # a large round writes 150 MB: segments that are there are cheaper
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "synchronous_commit": "on",
    "jit": "off",  # our statements are short: compiling them costs more than running them
    # Plans are kept by connections; they must hear soon of tables that were empty at the start.
    "autovacuum_naptime": "5s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "1s",
    "password_encryption": "scram-sha-256",
}
THROWAWAY: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
    "autovacuum": "off",
}


class PostgresFailed(Exception):
    """The server did not do as asked; the text ends with the last lines of its log."""


@dataclass(slots=True, kw_only=True)
class PostgresServer:
    """One server on ``port`` with its data under ``directory`` (made if missing)."""

    directory: Path
    port: int
    log_file: Path
    options: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def password(self) -> str:
        return (self.directory / "password").read_text().strip()

    def url(self, database: str = DATABASE, *, driver: str = "postgresql+psycopg") -> str:
        return f"{driver}://{USER}:{quote(self.password)}@{HOST}:{self.port}/{database}"

    def start(self) -> None:
        """Make the data directory if there is none, start the server, wait until it is ready.

        Raises ``PostgresMissing`` or ``PostgresFailed``.
        """
        command = self.prepare()
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self.process = spawn(
                command, cwd=self.directory, output=log, death_signal=signal.SIGINT
            )
        self._wait_ready()
        ensure_database(self.url("postgres"), DATABASE)

    def prepare(self) -> list[str]:
        """Make the data directory if there is none; return the command line that serves it.

        A server of an earlier run that still holds the directory is ended first.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        binaries = find_binaries(major=self._major())
        leftover = leftover_server(self.data)
        if leftover is not None:
            stop(leftover, number=signal.SIGINT, grace_s=STOP_GRACE_S)
        if not self.data.exists():
            self._initialise(binaries)
        self._give_to_server(self.data)
        chosen = {**COMMON, **self.options, "port": str(self.port)}
        settings = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
        prefix = with_death_signal(server_identity().prefix)
        return [*prefix, binaries.program("postgres"), "-D", str(self.data), *settings]

    def ensure_password(self) -> None:
        """Make the server's password if there is none, so that its URL is known before it runs."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        password = self.directory / "password"
        if not password.exists():
            temporary = self.directory / ".password.new"
            temporary.touch(mode=0o600)
            temporary.write_text(secrets.token_urlsafe(24))
            temporary.replace(password)

    def is_ready(self, pid: int) -> bool:
        """Whether the server ``pid`` has recovered and takes connections."""
        return postmaster_status(self.data) == (pid, "ready")

    def stop(self) -> None:
        """End the server with a checkpoint (fast shutdown); at once if that takes too long."""
        if self.process is None:
            return
        running = find_process(self.process.pid)
        if running is not None:
            stop(running, number=signal.SIGINT, grace_s=STOP_GRACE_S)
        self.process.wait()
        self.process = None

    def _major(self) -> int | None:
        try:
            return int((self.data / "PG_VERSION").read_text())
        except OSError:
            return None

    def _initialise(self, binaries: Binaries) -> None:
        self.ensure_password()
        password = self.directory / "password"
        building = self.directory / "data.new"
        shutil.rmtree(building, ignore_errors=True)
        self._give_to_server(password)
        done = subprocess.run(
            [
                *server_identity().prefix,
                binaries.program("initdb"),
                f"--pgdata={building}",
                f"--username={USER}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                *(["--no-sync"] if self.options.get("fsync") == "off" else []),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise PostgresFailed(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")
        building.rename(self.data)

    def _give_to_server(self, path: Path) -> None:
        """Let the server's user own ``path``, where we are root and it is another's."""
        owner = server_identity().owner
        if os.geteuid() != 0 or path.stat().st_uid == owner:
            return
        for each in (path, *path.rglob("*")):
            os.chown(each, owner, owner, follow_symlinks=False)

    def _wait_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.is_ready(self.process.pid):
            if self.process.poll() is not None:
                raise PostgresFailed(f"PostgreSQL ended at its start:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                self.stop()
                raise PostgresFailed(f"PostgreSQL was not ready in time:\n{self._log_tail()}")
            time.sleep(0.01)

    def _log_tail(self) -> str:
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-10:])


def postmaster_status(data: Path) -> tuple[int, str] | None:
    """Pid and status word of ``postmaster.pid``, or None if it is not (wholly) there."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[7].strip()
    except (OSError, IndexError, ValueError):
        return None


def leftover_server(data: Path) -> ProcessId | None:
    """The running server that holds ``data``, if its command line says that it does."""
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, IndexError, ValueError):
        return None
    return find_process(pid) if str(data) in command_of(pid) else None


@contextmanager
def ephemeral(**options: str) -> Iterator[str]:
    """The URL of a database on a server of its own that is gone with everything at the end.

    Not durable, up in under a second. ``stack.databases.clone_database(url, name)`` copies it, with
    all that has been migrated and filled in, in some milliseconds. ``options`` are server settings.
    """
    with ephemeral_server(**options) as server:
        yield server.url()


@contextmanager
def ephemeral_server(**options: str) -> Iterator[PostgresServer]:
    """As ``ephemeral``, but the server itself, to stop or to look into."""
    with tempfile.TemporaryDirectory(prefix="souk-pg-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        server = PostgresServer(
            directory=directory,
            port=free_port(),
            log_file=directory / "postgres.log",
            options={**THROWAWAY, **options},
        )
        try:
            server.start()
            yield server
        finally:
            if server.process is not None and server.process.poll() is None:
                server.process.send_signal(signal.SIGQUIT)  # nothing here is worth a checkpoint
                server.process.wait()
