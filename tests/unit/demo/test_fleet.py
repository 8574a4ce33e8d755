"""The fleet's settings are what an agent reads, and its shares fit the machine."""

import tomllib

import pytest

from edge_agent.config import parse_config
from edge_agent.identity import Enrolment, StateDir
from stack.demo.cast import OWNERS, PLACES, members
from stack.fleet import CPU_MILLIS_MIN, MEMORY_BYTES_MAX, Fleet, Member, share_of_machine


def test_settings_are_read_back_by_the_agent(tmp_path):
    member = Member(
        name="n",
        owner="o",
        cell="c",
        cpu_millis=333,
        memory_bytes=1 << 29,
        cpu_micros_per_core_hour=7,
        carbon_g_per_kwh=30,
        latitude=47.5,
        longitude=-3.25,
        labels={"site": "barn"},
    )
    config = parse_config(tomllib.loads(member.settings(tmp_path)))
    assert config.share.cpu_millis == 333
    assert config.share.memory_bytes == 1 << 29
    assert config.price.cpu_micros_per_core_hour == 7
    assert config.power.carbon_g_per_kwh == 30
    assert (config.location.latitude, config.location.longitude) == (47.5, -3.25)
    assert config.labels == {"site": "barn"}
    assert config.agent.state_dir == str(tmp_path)


@pytest.mark.parametrize(
    ("cores", "memory", "cpu"),
    [
        (2, 24 << 30, 300),  # 2 × 0.9 / 6
        (64, 256 << 30, 9600),
        (1, 1 << 30, CPU_MILLIS_MIN),  # less would be of no use
    ],
)
def test_share_of_machine(cores, memory, cpu):
    share, memory_share = share_of_machine(6, cores=cores, memory_bytes=memory)
    assert share == cpu
    assert memory_share <= MEMORY_BYTES_MAX


def test_six_devices_of_two_owners_in_two_cells():
    fleet = members()
    assert len({member.name for member in fleet}) == 6
    assert {member.owner for member in fleet} == set(OWNERS)
    assert {member.cell for member in fleet} == {place.name for place in PLACES}


def test_member_that_has_not_enrolled_has_no_node_id(tmp_path):
    fleet = Fleet(directory=tmp_path, logs=tmp_path, members=members())
    assert fleet.node_id(fleet.members[0]) is None
    assert list(fleet.ended()) == []
    fleet.stop()


def test_devices_are_told_where_the_platform_listens_now(tmp_path):
    fleet = Fleet(directory=tmp_path, logs=tmp_path, members=members())
    state = StateDir(tmp_path / fleet.members[0].name / "state")
    state.make()
    enrolment = Enrolment(
        node_id="node_1",
        server="https://127.0.0.1:1",
        mqtt_url="mqtts://127.0.0.1:2",
        artifacts_url="https://127.0.0.1:1",
        renew_after="2026-01-01T00:00:00Z",
        expires_at="2026-01-08T00:00:00Z",
    )
    state.save(enrolment, key="key", certificate="certificate", ca="ca")
    fleet.move(server="https://127.0.0.1:3", mqtt_url="mqtts://127.0.0.1:4")
    moved = state.enrolment()
    assert (moved.node_id, moved.expires_at) == (enrolment.node_id, enrolment.expires_at)
    assert (moved.server, moved.artifacts_url) == ("https://127.0.0.1:3",) * 2
    assert moved.mqtt_url == "mqtts://127.0.0.1:4"
