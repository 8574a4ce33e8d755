"""A running platform with a virtual fleet and a tenant, for benchmarks of the whole."""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from bench.virtual import NodeSpec, Run, VirtualFleet, echo
from db.engine import make_engine, session_factory
from db.ids import new_id
from db.tables import Node
from stack.running import Platform, running_platform

CREDITS = 10**12
ONLINE_WITHIN_S = 30.0
IDLE_MAX_S = 3.0  # the API closes connections that are idle a little longer


class Submitter:
    """Posts jobs over kept connections, one for each thread.

    The load shares the processors with what it measures: a full HTTP client takes a millisecond of
    them for each request, this one a fifth of that.
    """

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "localhost", parts.port or 80)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._mine = threading.local()

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The answer's JSON. Raises ``RuntimeError`` for any but a 2xx."""
        connection = self._connection()
        connection.request("POST", path, body=json.dumps(body), headers=self._headers)
        answer = connection.getresponse()
        content = answer.read()
        self._mine.used = time.monotonic()
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"{path} answered {answer.status}: {content[:300]!r}")
        return json.loads(content)

    def _connection(self) -> HTTPConnection:
        kept: HTTPConnection | None = getattr(self._mine, "connection", None)
        if kept is None or time.monotonic() - self._mine.used > IDLE_MAX_S:
            if kept is not None:
                kept.close()
            kept = HTTPConnection(*self._address, timeout=30.0)
            self._mine.connection, self._mine.used = kept, time.monotonic()
        return kept


@dataclass(slots=True)
class Load:
    """What a benchmark works with."""

    platform: Platform
    engine: Engine
    http: httpx.Client  # as the tenant
    cell: str
    module: str  # digest of the tenant's code
    fleet: VirtualFleet
    submitter: Submitter

    def body(self, *, tasks: int = 1, **fields: Any) -> dict[str, Any]:
        """A job that any node serves."""
        work: dict[str, Any] = (
            {"tasks": [{"args": ["0"]}]} if tasks == 1 else {"array": {"count": tasks}}
        )
        return {
            "kind": "wasm",
            "wasm": {"module": self.module},
            **work,
            "cell": self.cell,
            "resources": {"cpu_millis": 100, "memory_bytes": 1 << 20},
            "limit_price_micros_per_hour": 1_000_000,
            **fields,
        }

    def submit(self, body: dict[str, Any]) -> str:
        """Submit over REST; the job's id."""
        return str(self.submitter.post("/v1/jobs", body)["id"])

    def query(self, statement: str, **values: Any) -> Sequence[Any]:
        with self.engine.connect() as connection:
            return connection.execute(text(statement), values).all()

    def wait_ended(self, jobs: Sequence[str], *, timeout_s: float = 120.0) -> None:
        """Return when all of ``jobs`` have ended. Raises ``TimeoutError``."""
        deadline = time.monotonic() + timeout_s
        open_jobs = "SELECT count(*) FROM jobs WHERE id = ANY(:jobs) AND ended_at IS NULL"
        while self.query(open_jobs, jobs=list(jobs))[0][0]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"jobs have not ended within {timeout_s:g} s")
            time.sleep(0.05)

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time that each process of the platform has used, with its children."""
        used = {}
        for name, state in self.platform.state.processes.items():
            try:
                process = psutil.Process(state.pid)
                family = [process, *process.children(recursive=True)]
                used[name] = sum(sum(each.cpu_times()[:2]) for each in family)
            except psutil.NoSuchProcess:
                continue
        used["fleet and load"] = sum(psutil.Process().cpu_times()[:2])
        return used


@contextmanager
def platform_load(
    home: Path, *, nodes: int = 6, cpu_millis: int = 64_000, run: Run = echo, **settings: str
) -> Iterator[Load]:
    """Start everything; stop it at the end."""
    with running_platform(home, **settings) as platform:
        operator = _client(platform, str(platform.operator["api_key"]))
        cell = _created(operator, "/v1/cells", {"name": "bench"})["id"]
        tenant = _created(operator, "/v1/accounts", {"name": "bench-tenant", "role": "tenant"})
        owner = _created(operator, "/v1/accounts", {"name": "bench-owner", "role": "owner"})
        _created(operator, f"/v1/accounts/{tenant['id']}/deposits", {"amount_micros": CREDITS})
        key = _created(operator, "/v1/keys", {"account_id": tenant["id"], "name": "bench"})
        http = _client(platform, key["key"])
        module = http.post(
            "/v1/artifacts",
            content=b"\0asm-bench",
            headers={"Content-Type": "application/octet-stream"},
        )
        module.raise_for_status()
        engine = make_engine(platform.database_url, pool_max=4)
        with session_factory(engine).begin() as session:
            ids = [_enrol(session, cell, owner["id"], k) for k in range(nodes)]
        fleet = VirtualFleet(
            url=str(platform.recorded["mqtt_url"]),
            tls=(
                home / "pki" / "ca.pem",
                home / "pki" / "platform.pem",
                home / "pki" / "platform.key",
            ),
            specs=[NodeSpec(id=id, cpu_millis=cpu_millis) for id in ids],
            run=run,
        ).start()
        submitter = Submitter(platform.api_url, key["key"])
        load = Load(platform, engine, http, cell, module.json()["digest"], fleet, submitter)
        try:
            _wait_online(load, nodes)
            yield load
        finally:
            fleet.stop()
            http.close()
            operator.close()
            engine.dispose()


def _client(platform: Platform, key: str) -> httpx.Client:
    return httpx.Client(
        base_url=platform.api_url,
        headers={"Authorization": f"Bearer {key}"},
        timeout=30.0,
        limits=httpx.Limits(max_connections=32, max_keepalive_connections=32),
    )


def _created(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body)
    answer.raise_for_status()
    made: dict[str, Any] = answer.json()
    return made


def _enrol(session: Session, cell: str, owner: str, number: int) -> str:
    """A node row as enrolment leaves it; its certificate is the platform's own."""
    now = datetime.now(UTC)
    node = Node(
        id=new_id("node", now),
        owner_id=owner,
        cell_id=cell,
        name=f"virtual-{number}",
        state="enrolled",
        enrolled_at=now,
        certificate_expires_at=now + timedelta(days=1),
    )
    session.add(node)
    return node.id


def _wait_online(load: Load, nodes: int) -> None:
    deadline = time.monotonic() + ONLINE_WITHIN_S
    there = (
        "SELECT count(*) FROM nodes n JOIN offers o ON o.node_id = n.id WHERE n.state = 'online'"
    )
    while load.query(there)[0][0] < nodes:
        if time.monotonic() > deadline:
            raise TimeoutError("the virtual fleet did not come online")
        time.sleep(0.05)
