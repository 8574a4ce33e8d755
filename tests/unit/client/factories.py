"""Clients of a platform in memory, and the requests that tests send it."""

import random

from client.client import Client
from client.mock import MockPlatform
from client.requests import JobRequest, Task, WasmCode
from client.transport import Retries


def make_client(platform: MockPlatform, *, slept: list[float] | None = None) -> Client:
    """A client whose waits are recorded, not waited."""
    waits = [] if slept is None else slept
    random.seed(7)
    return Client(
        "http://souk.test",
        api_key="souk_test_key",
        transport=platform.transport,
        retries=Retries(attempts_max=4),
        sleep=waits.append,
    )


def make_request(**changes) -> JobRequest:
    values = {
        "code": WasmCode(module="sha256:" + "0" * 64),
        "tasks": [Task(args=["1"])],
        "resources": {"cpu_millis": 500, "memory_bytes": 1 << 26},
        "limit_price_micros_per_hour": 50_000,
        **changes,
    }
    return JobRequest(**values)
