"""Celery's queues live in our PostgreSQL without any extension: the wheel's SQL is enough."""

import threading
import time

import psycopg
import pytest
from kombu import Connection
from pgmq.install import get_embedded_install_sql

from stack.databases import plain
from stack.postgres import ephemeral

OPTIONS = {
    "init_extension": False,
    "use_notify": True,
    "notify_throttle_interval_ms": 0,
    "visibility_timeout": 60,
    "wait_time_seconds": 0,
}


@pytest.fixture(scope="module")
def url():
    with ephemeral() as address:
        with psycopg.connect(plain(address)) as connection:
            connection.execute(get_embedded_install_sql())
        yield plain(address).replace("postgresql://", "pgmq://")


def test_message_survives_a_reader_that_dies(url: str) -> None:
    with Connection(url, transport_options=OPTIONS | {"visibility_timeout": 1}) as first:
        queue = first.SimpleQueue("fragile")
        queue.put({"n": 1})
        assert queue.get(timeout=5).payload == {"n": 1}  # read, never acknowledged
    with Connection(url, transport_options=OPTIONS) as second:
        again = second.SimpleQueue("fragile").get(timeout=10)
        assert again.payload == {"n": 1}
        again.ack()


def test_waiting_reader_is_woken_and_not_polling(url: str) -> None:
    with (
        Connection(url, transport_options=OPTIONS) as reading,
        Connection(url, transport_options=OPTIONS) as writing,
    ):
        queue = reading.SimpleQueue("quick")
        sent = []
        timer = threading.Timer(
            0.3, lambda: (sent.append(time.perf_counter()), writing.SimpleQueue("quick").put("x"))
        )
        timer.start()
        message = queue.get(timeout=5)
        waited_s = time.perf_counter() - sent[0]
        message.ack()
        timer.join()
    assert waited_s < 0.5  # the transport's polling interval is a second
