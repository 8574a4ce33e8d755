"""300 mixed jobs of three tenants on six real agents: all end, all are right, all are paid once."""

from collections import Counter

from .world import assert_books_are_right

JOBS = 300
TIMEOUT_S = 300.0


def test_all_jobs_end_right_and_are_charged_once(world):
    submitted = world.submit_mixed(JOBS, seed=1)
    ended = world.wait_for_ends({job.id for _, job, _ in submitted}, timeout_s=TIMEOUT_S)
    assert Counter(job.state for job in ended.values()) == {"succeeded": JOBS}
    assert world.complaints(submitted) == []
    assert_books_are_right(world.souk, list(ended.values()))


def test_every_device_and_both_owners_earned(world):
    leases = list(world.souk.leases.list())
    nodes = {lease.node_id for lease in leases}
    assert nodes == {world.fleet.node_id(member) for member in world.fleet.members}
    owners = {balance.name: balance for balance in world.souk.ledger.balances()}
    assert owners["alder-farm"].posted_micros > 0
    assert owners["quay-works"].posted_micros > 0
    for lease in leases:
        assert lease.reserve_micros_per_hour <= lease.rate_micros_per_hour
        assert lease.rate_micros_per_hour <= lease.limit_micros_per_hour


def test_nothing_is_left_leased_when_all_is_done(world):
    assert [lease.id for lease in world.souk.leases.list(state="active")] == []
    assert all(not any(node.leased.values()) for node in world.souk.nodes.list())
