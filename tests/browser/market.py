"""A small real market: two cells, an owner with two devices, tenants with money, a viewer."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from onnx import TensorProto, helper

from stack.running import Platform
from tests.fixtures.modules import wasm

T = TypeVar("T")
CHECKOUT = Path(__file__).parents[2]
PASSWORDS = {
    "dora": "awning-over-the-stall",
    "lena": "lemons-by-the-crate",
    "omar": "olives-by-the-jar",
    "vera": "views-from-the-roof",
}
CELLS = ("harbour", "market-hall")
DEADLINE_S = 60.0


@dataclass(slots=True)
class Market:
    """What the tests know of it; ``calls`` speaks as the operator."""

    url: str
    calls: httpx.Client
    operator_key: str
    passwords: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    nodes: list[dict[str, Any]] = field(default_factory=list)

    def post(self, path: str, body: dict[str, Any] | None = None, *, as_: str = "") -> Any:
        headers = {"Authorization": f"Bearer {self.keys[as_]}"} if as_ else {}
        answer = self.calls.post(path, json=body or {}, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        answer = self.calls.get(path)
        assert answer.is_success, answer.text
        return answer.json()

    def submit(self, module: str = "words", *, as_: str = "lena", **changes: Any) -> dict[str, Any]:
        """A job of ``as_`` that runs ``module`` on a line of text."""
        body: dict[str, Any] = {
            "name": f"{module} by {as_}",
            "kind": "wasm",
            "wasm": {"module": self.modules[module]},
            "tasks": [{"input": {"text": "six lemons and seven olives"}}],
            "resources": {"cpu_millis": 250, "memory_bytes": 32 << 20},
            "limit_price_micros_per_hour": 100_000,
            "limits": {"max_run_s": 20.0},
        }
        job: dict[str, Any] = self.post("/v1/jobs", {**body, **changes}, as_=as_)
        return job

    def wait(self, job_id: str, *states: str) -> dict[str, Any]:
        """The job once it is in one of ``states``."""

        def there() -> dict[str, Any] | None:
            job: dict[str, Any] = self.get(f"/v1/jobs/{job_id}")
            return job if job["state"] in states else None

        return poll(there)


def poll(look: Callable[[], T | None]) -> T:
    """What ``look`` finds, within the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while (found := look()) is None:
        assert time.monotonic() < deadline, "the market did not get there in time"
        time.sleep(0.05)
    return found


@contextmanager
def make_market(platform: Platform, folder: Path) -> Iterator[Market]:
    """The market on a running platform; its devices end with it."""
    key = platform.operator["api_key"]
    bearer = {"Authorization": f"Bearer {key}"}
    with ExitStack() as stack:
        calls = stack.enter_context(
            httpx.Client(base_url=platform.api_url, headers=bearer, timeout=30.0)
        )
        market = Market(platform.api_url, calls, key, passwords=dict(PASSWORDS))
        _open_accounts(market)
        for cell, device in zip(CELLS, ("crane-1", "stall-7"), strict=True):
            stack.enter_context(_device(market, platform, folder / device, cell, device))
        market.nodes = poll(lambda: _online(market, len(CELLS)))
        yield market


def _open_accounts(market: Market) -> None:
    roles = {"dora": "owner", "lena": "tenant", "omar": "tenant", "vera": "viewer"}
    for name, role in roles.items():
        account = {"name": name, "role": role, "password": PASSWORDS[name]}
        market.ids[name] = market.post("/v1/accounts", account)["id"]
        if role == "tenant":
            market.post(f"/v1/accounts/{market.ids[name]}/deposits", {"amount_micros": 50_000_000})
            created = market.post("/v1/keys", {"account_id": market.ids[name]})
            market.keys[name] = created["key"]
            _upload_modules(market, name)


def _upload_modules(market: Market, tenant: str) -> None:
    for module in ("words", "loop", "exit", "primes"):
        upload = market.calls.post(
            "/v1/artifacts",
            params={"name": f"{module}.wasm"},
            content=wasm(module),
            headers={
                "Authorization": f"Bearer {market.keys[tenant]}",
                "Content-Type": "application/octet-stream",
            },
        )
        assert upload.is_success, upload.text
        market.modules[module] = upload.json()["digest"]


@contextmanager
def _device(
    market: Market, platform: Platform, folder: Path, cell: str, name: str
) -> Iterator[None]:
    known = {one["name"] for one in market.get("/v1/cells?limit=500")["items"]}
    if cell not in known:
        market.post("/v1/cells", {"name": cell})
    request = {"cell": cell, "owner_id": market.ids["dora"]}
    token = market.post("/v1/tokens", request)["token"]
    folder.mkdir()
    config = folder / "agent.toml"
    config.write_text(
        '[share]\ncpu_millis = 2000\nmemory_bytes = "256MiB"\n[labels]\nsite = "' + cell + '"\n'
    )
    common = ["--config", str(config), "--state-dir", str(folder / "state")]
    agent = [sys.executable, "-m", "edge_agent"]
    enrol = ["enrol", *common, "--server", platform.agent_url, "--token", token, "--name", name]
    subprocess.run([*agent, *enrol], cwd=CHECKOUT, check=True, capture_output=True, timeout=60)
    with (folder / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            [*agent, "run", *common], cwd=CHECKOUT, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def doubling_model() -> bytes:
    """``y = x + x`` over float32 of shape [n, 3]."""
    shaped = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "doubling",
        [shaped("x", TensorProto.FLOAT, ["n", 3])],
        [shaped("y", TensorProto.FLOAT, ["n", 3])],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    return bytes(model.SerializeToString())


def _online(market: Market, count: int) -> list[dict[str, Any]] | None:
    nodes: list[dict[str, Any]] = market.get("/v1/nodes")["items"]
    online = [node for node in nodes if node["state"] == "online"]
    return online if len(online) == count else None
