"""The fleet's settings are what an agent reads, and its shares fit the machine."""

import tomllib

import pytest

from edge_agent.config import parse_config
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
