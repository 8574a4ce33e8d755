"""Dispatch without a database: when rounds are set off, how orders are cut, commands built."""

import datetime as dt

import pytest

from broker.dispatch.debounce import ROUND_LOST_S, Debounce
from broker.dispatch.outbox import CANCEL_CHUNK, messages_of
from broker.logs import Seldom
from broker.services.job_spec import JobSpec, TaskSpec, to_document
from broker.services.orders import ASSIGN_BYTES_MAX, build_assigns
from broker.services.placing import rooms
from db.control.placing import JobToPlace, LeaseToFill, Order
from db.outbox import Command
from edge_agent.wire import Cancel, Drain
from edge_agent.wire.messages import TASKS_PER_ASSIGN_MAX

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


def test_debounce_sets_off_at_once_when_quiet():
    debounce = Debounce(pause_s=0.01)
    debounce.want("a")
    assert debounce.take_due(now_s=5.0) == ["a"]
    assert debounce.next_s() is None


def test_debounce_waits_for_the_end_of_a_round_and_rests():
    debounce = Debounce(pause_s=0.01)
    debounce.want("a")
    debounce.take_due(now_s=0.0)
    debounce.want("a")
    assert debounce.take_due(now_s=0.5) == []
    debounce.ended("a", now_s=1.0)
    assert debounce.next_s() == pytest.approx(1.5)  # half of the second that it took
    assert debounce.take_due(now_s=1.5) == ["a"]


def test_debounce_pauses_after_quick_rounds():
    debounce = Debounce(pause_s=0.1)
    debounce.want("a")
    debounce.take_due(now_s=0.0)
    debounce.ended("a", now_s=0.001)
    debounce.want("a")
    assert debounce.take_due(now_s=0.05) == []
    assert debounce.take_due(now_s=0.1) == ["a"]


def test_debounce_does_not_wait_for_ever_for_a_dead_worker():
    debounce = Debounce(pause_s=0.01)
    debounce.want("a")
    debounce.take_due(now_s=0.0)
    debounce.want("a")
    assert debounce.take_due(now_s=ROUND_LOST_S) == ["a"]


def job(**fields):
    spec = JobSpec(name="", kind="wasm", code_digest="sha256:x", tasks=(TaskSpec(),),
                   resources={}, limit_micros_per_hour=1, budget_micros=1, slots_max=1)  # fmt: skip
    values = {
        "id": "job", "account_id": "account", "account_name": "ann", "kind": "wasm",
        "spec": to_document(spec), "task_count": 1, "hold_micros": 1, "limit_micros_per_hour": 1,
        "cancel_requested": False, "expires_at": NOW, "slots_open": 0,
    }  # fmt: skip
    return JobToPlace(**values | fields)


def lease(**fields):
    values = {
        "id": "lease", "job_id": "job", "node_id": "node", "slots": 2, "cpu_millis": 1,
        "memory_bytes": 1, "rate": 1, "epoch": 1, "ends_at": NOW, "ops_per_s": 10_000_000,
        "live": 0, "done": 0, "done_ms": 0,
    }  # fmt: skip
    return LeaseToFill(**values | fields)


def orders(count, *, text=""):
    return [
        Order(f"a{k}", f"t{k}", k, {"args": [], "base64": text}, 1, "job", "lease", "node")
        for k in range(count)
    ]


@pytest.mark.parametrize(
    ("made", "sizes"),
    [
        (orders(3), [3]),
        (orders(TASKS_PER_ASSIGN_MAX + 1), [TASKS_PER_ASSIGN_MAX, 1]),
        (orders(5, text="x" * (ASSIGN_BYTES_MAX // 2 - 200)), [2, 2, 1]),
        (orders(2, text="x" * 2 * ASSIGN_BYTES_MAX), [1, 1]),
        ([], []),
    ],
)
def test_orders_are_cut_by_number_and_bytes(made, sizes):
    built = list(build_assigns(made, {"job": job()}, {"lease": lease()}, lambda *_: "grant"))
    assert [len(assign.tasks) for _, assign in built] == sizes
    assert all(node == "node" for node, _ in built)
    sent = [task.attempt for _, assign in built for task in assign.tasks]
    assert sent == [order.attempt_id for order in made]


def test_orders_of_a_job_that_is_gone_are_left_out():
    assert list(build_assigns(orders(1), {}, {"lease": lease()}, lambda *_: "")) == []


@pytest.mark.parametrize(
    ("task_count", "fields", "room"),
    [
        (1, {}, 2),  # no more tasks than slots: nothing ahead
        (99, {}, 4),  # nothing known of the work: one ahead of each slot
        (99, {"done": 9, "done_ms": 9 * 100}, 8),  # 250 ms ahead: three more
        (99, {"done": 9, "done_ms": 9}, 34),  # at most sixteen more
        (99, {"done": 9, "done_ms": 9 * 300}, 2),  # long tasks: none ahead
        (99, {"done": 9, "done_ms": 9, "live": 7}, 27),
        (99, {"live": 99}, 0),
    ],
)
def test_room_depends_on_how_long_tasks_are(task_count, fields, room):
    assert rooms(job(task_count=task_count), [lease(**fields)]) == {"lease": room}


def command(kind, **data):
    return Command(id=1, node_id="n", type=kind, data=data, tries=1, created_at=NOW)


def test_commands_become_messages():
    assert messages_of(command("drain", on=True)) == [Drain(on=True)]
    many = [f"a{k}" for k in range(CANCEL_CHUNK + 1)]
    first, second = messages_of(command("cancel", attempts=many, reason="job_ended"))
    assert isinstance(first, Cancel)
    assert len(first.attempts) == CANCEL_CHUNK
    assert second.attempts == (many[-1],)
    with pytest.raises(KeyError):
        messages_of(command("nonsense"))


def test_seldom_counts_what_it_holds_back():
    now = [0.0]
    seldom = Seldom(every_s=10, clock=lambda: now[0])
    assert [seldom.due("x") for _ in range(3)] == [0, None, None]
    now[0] = 10.0
    assert seldom.due("x") == 2
