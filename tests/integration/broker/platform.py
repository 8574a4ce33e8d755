"""The processes of the broker, real ones, on a database and an MQTT server of the test."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from bench.virtual import NodeSpec, VirtualFleet
from broker.process import utc_now
from broker.services import jobs
from broker.services.job_spec import JobSpec
from db.engine import SessionFactory, make_engine, session_factory
from db.tables import Role
from stack.mqtt_server import MqttServer, ephemeral_mqtt
from stack.processes import spawn, wait_until
from tests.factories import make_account, make_artifact, make_cell, make_node

CHECKOUT = Path(__file__).parents[3]
COMMANDS = {
    "ingest": ("-m", "broker.ingest"),
    "dispatch": ("-m", "broker.dispatch"),
    "worker": ("-m", "celery", "-A", "broker.tasks", "worker", "-c", "1", "--without-gossip",
               "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"),
    "beat": ("-m", "celery", "-A", "broker.tasks.timetable", "beat", "--loglevel", "WARNING"),
}  # fmt: skip
WAIT_S = 30.0


@dataclass(slots=True)
class BrokerPlatform:
    """Processes by name, and short ways to ask the database."""

    home: Path
    env: dict[str, str]
    sessions: SessionFactory
    mqtt: MqttServer
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        for name in names or COMMANDS:
            ready = self.home / f"{name}.ready"
            ready.unlink(missing_ok=True)
            arguments = list(COMMANDS[name])
            if name == "beat":
                arguments += ["--schedule", str(self.home / "beat-schedule")]
            with (self.home / f"{name}.log").open("ab") as log:
                self.processes[name] = spawn(
                    [sys.executable, *arguments],
                    env={**self.env, "SOUK_READY_FILE": str(ready)},
                    cwd=CHECKOUT,
                    output=log,
                )
        for name in names or COMMANDS:
            there = (self.home / f"{name}.ready").exists
            assert wait_until(there, timeout_s=WAIT_S), self.log(name)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """End a process; its exit code."""
        self.processes[name].send_signal(number)
        return self.processes[name].wait(WAIT_S)

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for name, process in self.processes.items():
            try:
                process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise AssertionError(f"{name} did not end:\n{self.log(name)}") from None

    def log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")[-8_000:]

    def query(self, statement: str, **values: Any) -> list[Any]:
        with self.sessions() as session:
            return list(session.execute(text(statement), values))

    def value(self, statement: str, **values: Any) -> Any:
        return self.query(statement, **values)[0][0]

    def wait_for(self, statement: str, *, timeout_s: float = WAIT_S, **values: Any) -> None:
        """Poll until ``statement`` is true."""
        assert wait_until(
            lambda: bool(self.value(statement, **values)), timeout_s=timeout_s, poll_s=0.05
        ), f"never true: {statement} {values}\n{self.picture()}"

    def picture(self) -> str:
        """What a failed test should show."""
        rows = self.query(
            "SELECT j.id, j.state, j.end_reason, d.state, d.count_open, d.last_loss,"
            " (SELECT json_agg(json_build_array(a.state, a.reason)) FROM attempts a"
            "  WHERE a.job_id = j.id), (SELECT json_agg(l.state) FROM leases l"
            "  WHERE l.job_id = j.id) FROM jobs j JOIN demands d ON d.job_id = j.id LIMIT 20"
        )
        nodes = self.query("SELECT id, state, state_reason, boot, seq, last_seen_at FROM nodes")
        logs = "\n".join(f"--- {name}\n{self.log(name)[-3000:]}" for name in self.processes)
        return "\n".join([*map(str, rows), *map(str, nodes), logs])

    def submit(self, account_id: str, spec: JobSpec) -> str:
        with self.sessions.begin() as session:
            return jobs.submit(session, account_id=account_id, spec=spec, now=utc_now()).job.id

    def job_state(self, job: str) -> str:
        return str(self.value("SELECT state FROM jobs WHERE id = :job", job=job))


@dataclass(slots=True)
class Market:
    """A tenant with money and code, and a fleet in one cell."""

    tenant: str
    cell: str
    nodes: list[str]
    fleet: VirtualFleet


@contextmanager
def broker_platform(url: str, home: Path, **settings: str) -> Iterator[BrokerPlatform]:
    """All processes, started; stopped orderly at the end."""
    engine = make_engine(url)
    with ephemeral_mqtt() as mqtt:
        env = {
            **os.environ,
            "SOUK_HOME": str(home),
            "DATABASE_URL": url,
            "MQTT_URL": mqtt.url,
            "CELERY_BROKER_URL": "",
            "SOUK_PKI_DIR": str(mqtt.pki.ca_pem.parent),
            "OPENBLAS_NUM_THREADS": "1",
            "SOUK_HEARTBEAT_INTERVAL_S": "0.5",
            "SOUK_NODE_SILENT_AFTER_S": "2",
            "SOUK_ROUND_INTERVAL_S": "1",
            **settings,
        }
        platform = BrokerPlatform(home=home, env=env, sessions=session_factory(engine), mqtt=mqtt)
        try:
            platform.start()
            yield platform
        finally:
            try:
                platform.stop()
            finally:
                engine.dispose()


@contextmanager
def market(platform: BrokerPlatform, *, nodes: int = 2, **fleet: Any) -> Iterator[Market]:
    """An enrolled, virtual fleet online, and a tenant."""
    cpu = fleet.pop("cpu_millis", 4_000)
    with platform.sessions.begin() as session:
        cell = make_cell(session)
        made = [
            make_node(
                session,
                cell=cell,
                state="enrolled",
                sells=False,
                boot=0,
                seq=0,
                last_seen_at=None,
                certificate_expires_at=utc_now() + timedelta(days=1),
            ).id
            for _ in range(nodes)
        ]
        tenant = make_account(session, role=Role.TENANT, funds_micros=10**12)
        make_artifact(session, tenant)
        cell_id, tenant_id = cell.id, tenant.id
    virtual = VirtualFleet(
        url=platform.mqtt.url,
        tls=(platform.mqtt.pki.ca_pem, platform.mqtt.pki.platform_pem,
             platform.mqtt.pki.platform_key),
        specs=[NodeSpec(id=node, cpu_millis=cpu, memory_bytes=8 << 30) for node in made],
        **fleet,
    ).start()  # fmt: skip
    try:
        platform.wait_for(
            "SELECT count(*) = :count FROM nodes n JOIN offers o ON o.node_id = n.id"
            " WHERE n.state = 'online' AND n.cell_id = :cell",
            count=nodes,
            cell=cell_id,
        )
        yield Market(tenant=tenant_id, cell=cell_id, nodes=made, fleet=virtual)
    finally:
        for node in made:
            virtual.kill(node)
        virtual.stop()
