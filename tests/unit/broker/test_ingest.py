"""Ingest without a server: decoding, folding, order, gathering."""

import pytest

from broker.ingest.decode import decode_batch
from broker.ingest.gather import Gatherer
from broker.ingest.order import REBIRTHS_PER_S, Order
from broker.mqtt import Arrived
from broker.services.fleet import News, fold, next_presence
from db.control.fleet import NodeRow
from edge_agent.wire import (
    AttemptReports,
    Birth,
    Death,
    Envelope,
    Rebirth,
    State,
    Telemetry,
    encode,
    up_topic,
)

NODE = "node_" + "0" * 32
OTHER = "node_" + "1" * 32
BIRTH = Birth(agent_version="1", hostname="h", arch="x86_64", os="l", cpu_count=1, memory_bytes=1,
              disk_bytes=1, runtimes={}, calibration_ops_per_s=1, idle_milliwatts=1,
              max_milliwatts=1)  # fmt: skip


def state(**fields):
    values = {"cpu_free_millis": 1, "memory_free_bytes": 1, "disk_free_bytes": 1}
    return State(**values | {"load_1m_milli": 1} | fields)


def envelope(data, *, boot=1, seq=1, node=NODE, at=0):
    return Envelope(node=node, boot=boot, seq=seq, at=at, data=data)


def arrived(sent, *, topic="", payload=None, retained=False):
    return Arrived(
        topic=topic or up_topic(sent.node, sent.type),
        payload=encode(sent) if payload is None else payload,
        retained=retained,
        mid=1,
        qos=1,
        connection=1,
    )


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (arrived(envelope(state()), payload=b"nonsense"), "not JSON"),
        (arrived(envelope(state()), topic=up_topic(OTHER, "state")), "signed as"),
        (arrived(envelope(state()), topic=up_topic(NODE, "offer")), "a state on the topic"),
        (arrived(envelope(Rebirth()), topic=up_topic(NODE, "rebirth")), "do not write"),
        (arrived(envelope(state()), topic="souk/v1/n/x/up/state"), "not one of a node"),
    ],
)
def test_decode_refuses_with_a_reason(message, why):
    found = decode_batch([message])
    assert found.good == []
    assert why in found.refused[0].reason


def test_decode_passes_over_what_says_nothing():
    empty = arrived(envelope(BIRTH), payload=b"", retained=True)
    old_death = arrived(envelope(Death()), retained=True)
    found = decode_batch([empty, old_death, arrived(envelope(Death()))])
    assert (len(found.good), found.refused) == (1, [])


def row(**fields):
    return NodeRow(NODE, "owner", "cell", *(
        {"state": "online", "state_reason": "", "boot": 3, "seq": 10} | fields
    ).values())  # fmt: skip


def news(*envelopes):
    return fold(envelopes)[NODE]


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        ({"state": "enrolled", "boot": 0, "seq": 0}, [(BIRTH, 1, 1)], ("online", 1, 1)),
        ({}, [(state(), 3, 11)], ("online", 3, 11)),
        ({"state": "offline"}, [(state(), 3, 11)], ("online", 3, 11)),
        ({}, [(Death(), 3, 99)], ("offline", 3, 10)),
        ({}, [(state(), 3, 11), (Death(), 3, 1)], ("offline", 3, 11)),
        ({}, [(Death(), 3, 1), (state(), 3, 11)], ("online", 3, 11)),
        ({}, [(Death(), 3, 1), (BIRTH, 4, 1)], ("online", 4, 1)),
        ({}, [(BIRTH, 4, 1), (Death(), 3, 1)], ("online", 4, 1)),
        ({}, [(state(), 4, 5)], ("online", 3, 10)),  # a boot without its birth is not taken over
        ({}, [(state(draining=True), 3, 11)], ("draining", 3, 11)),
        ({"state": "draining", "state_reason": "drained by its owner"}, [(state(), 3, 11)],
         ("online", 3, 11)),
        ({"state": "draining", "state_reason": "drained on request"}, [(state(), 3, 11)],
         ("draining", 3, 11)),
        ({"state": "offline", "state_reason": "drained on request"}, [(state(), 3, 11)],
         ("draining", 3, 11)),
        ({"state": "draining", "state_reason": "drained on request"}, [(Death(), 3, 1)],
         ("offline", 3, 10)),
    ],
)  # fmt: skip
def test_presence_follows_the_newest_boot(before, said, after):
    found = next_presence(row(**before), news(*(envelope(d, boot=b, seq=s) for d, b, s in said)))
    assert (found.state, found.boot, found.seq) == after


def test_presence_ignores_an_older_boot():
    assert next_presence(row(), news(envelope(Death(), boot=2))) is None
    assert next_presence(row(), news(envelope(state(), boot=2, seq=99))) is None


def test_fold_keeps_the_newest_state():
    one = News(boot=1, seq=-1)
    one.add(envelope(state(load_1m_milli=2), seq=5))
    one.add(envelope(state(load_1m_milli=1), seq=4))
    assert one.state.load_1m_milli == 2


def test_order_asks_for_a_rebirth_after_a_gap_that_stays():
    order = Order()
    order.see(envelope(state(), seq=1), now_s=0)
    order.see(envelope(state(), seq=4), now_s=0)
    assert order.gaps(now_s=1) == []
    order.see(envelope(state(), seq=2), now_s=1)
    assert order.gaps(now_s=3) == [NODE]
    assert order.gaps(now_s=4) == []


def test_order_forgives_what_was_only_overtaken():
    order = Order()
    for seq in (1, 3, 2):
        order.see(envelope(state(), seq=seq), now_s=0)
    assert order.gaps(now_s=10) == []


def test_order_bounds_the_rate_of_rebirths():
    order = Order()
    for k in range(20):
        node = f"node_{k:032x}"
        order.see(envelope(state(), seq=1, node=node), now_s=0)
        order.see(envelope(state(), seq=3, node=node), now_s=0)
    found = [order.gaps(now_s=10 + k) for k in range(4)]
    assert [len(asked) for asked in found] == [REBIRTHS_PER_S] * 4
    assert len({node for asked in found for node in asked}) == 20


def test_order_finds_a_copied_identity_by_its_life():
    order = Order()
    order.see(envelope(state(), boot=2), now_s=0)
    old = [envelope(state(), boot=1, seq=k) for k in range(9)]
    assert order.see(old[0], now_s=5) == "fine"  # was under way
    assert order.see(envelope(AttemptReports(reports=()), boot=1), now_s=99) == "fine"
    assert order.see(envelope(Death(), boot=1), now_s=99) == "fine"
    assert order.see(old[1], now_s=100) == "fine"
    assert order.see(old[2], now_s=101) == "twin"
    assert order.see(envelope(state(), boot=2, seq=2), now_s=102) == "fine"


def test_gather_takes_a_lone_message_at_once_and_waits_when_busy():
    clock = iter(k / 1000 for k in range(10_000))
    gatherer = Gatherer(clock=lambda: next(clock))
    message = arrived(envelope(Telemetry(readings=())))
    gatherer.put(message)
    assert gatherer.take(timeout_s=0) == [message]
    gatherer.done(0.0)
    for _ in range(3):
        gatherer.put(message)
    assert len(gatherer.take(timeout_s=0)) == 3
    assert gatherer.take(timeout_s=0) == []
