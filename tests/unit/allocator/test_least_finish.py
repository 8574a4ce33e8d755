"""Least finish time: tables of small placements, and properties of all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocator import LeastFinish, NodeLoad, TaskToPlace


def place(tasks, nodes):
    return LeastFinish().place(tasks, nodes, now_ms=0, budget_ms=1, seed=0)


def tasks_of(*work_ms):
    return [TaskToPlace(id=f"t{k}", work_ms=work) for k, work in enumerate(work_ms)]


def test_place_prefers_the_faster_node():
    slow = NodeLoad(id="slow", slots=1, room=1, speed=1.0)
    fast = NodeLoad(id="fast", slots=1, room=1, speed=2.0)
    assert place(tasks_of(100), [slow, fast]).assigned == {"t0": "fast"}


def test_place_prefers_the_idle_node_to_a_fast_one_with_a_queue():
    # fast: 3 live of 100 ms before it on one slot → (300 + 100) / 2 = 200; idle: 100 / 1
    idle = NodeLoad(id="idle", slots=1, room=1, speed=1.0)
    fast = NodeLoad(id="fast", slots=1, room=1, speed=2.0, live=3, live_work_ms=100)
    assert place(tasks_of(100), [fast, idle]).assigned == {"t0": "idle"}


def test_place_spreads_equal_tasks_by_slots():
    one = NodeLoad(id="one", slots=1, room=10)
    three = NodeLoad(id="three", slots=3, room=10)
    assigned = place(tasks_of(*[100] * 8), [one, three]).assigned
    assert list(assigned.values()).count("three") == 6


@pytest.mark.parametrize("rooms", [(), (0,), (0, 0)])
def test_place_without_room_places_nothing(rooms):
    nodes = [NodeLoad(id=f"n{k}", slots=1, room=room) for k, room in enumerate(rooms)]
    assert place(tasks_of(1, 2), nodes).assigned == {}


loads = st.lists(
    st.tuples(st.integers(1, 8), st.integers(0, 6), st.integers(0, 9), st.floats(0.1, 4)),
    max_size=6,
)


@given(work=st.lists(st.floats(0, 1e4), max_size=40), loads=loads)
def test_place_fills_rooms_and_never_more(work, loads):
    nodes = [
        NodeLoad(id=f"n{k}", slots=slots, room=room, live=live, speed=speed)
        for k, (slots, room, live, speed) in enumerate(loads)
    ]
    assigned = place(tasks_of(*work), nodes).assigned
    for node in nodes:
        assert list(assigned.values()).count(node.id) <= node.room
    assert len(assigned) == min(len(work), sum(node.room for node in nodes))
    assert place(tasks_of(*work), nodes).assigned == assigned
