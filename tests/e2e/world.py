"""A whole market on real processes: platform, six agents, two owners, three tenants."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from client.client import Client
from client.resources import Job
from client.transport import Retries
from stack.demo import cast as casting
from stack.demo_workloads.mix import Code, Work, mixed, upload
from stack.fleet import Fleet
from stack.running import Platform, running_platform

# A process that is killed is back within seconds; a client that means it waits as long.
PATIENT = Retries(attempts_max=15, cap_s=4.0)
POLL_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that a test of the whole needs; ``code`` is uploaded for every tenant."""

    platform: Platform
    fleet: Fleet
    souk: Client  # as the operator
    tenants: Mapping[str, Client]
    code: Code

    def submit_mixed(self, count: int, *, seed: int) -> list[tuple[str, Job, Work]]:
        """Jobs of all kinds, the tenants in turn and all at the same time."""
        works = list(mixed(self.code, count=count, seed=seed))
        names = sorted(self.tenants)

        def submit(name: str, part: Sequence[Work]) -> list[tuple[str, Job, Work]]:
            souk = self.tenants[name]
            return [(name, souk.jobs.submit(work.request), work) for work in part]

        parts = [works[number :: len(names)] for number in range(len(names))]
        with ThreadPoolExecutor(len(names)) as pool:
            return [each for batch in pool.map(submit, names, parts) for each in batch]

    def wait_for_ends(self, job_ids: set[str], *, timeout_s: float) -> dict[str, Job]:
        """The jobs once all have ended. Fails with what still goes on when the time is over."""
        found: dict[str, Job] = {}

        def all_ended() -> bool:
            for souk in self.tenants.values():
                found.update({job.id: job for job in souk.jobs.list() if job.id in job_ids})
            return len(found) == len(job_ids) and all(job.ended for job in found.values())

        wait_until(all_ended, timeout_s=timeout_s, failure=lambda: _still_going(found))
        return found

    def complaints(self, submitted: Sequence[tuple[str, Job, Work]]) -> list[str]:
        """What is wrong with the results, compared with the same work done directly."""

        def complaint(each: tuple[str, Job, Work]) -> str:
            name, job, work = each
            souk = self.tenants[name]
            results = [souk.jobs.result(job.id, index) for index in range(job.task_count)]
            wrong = work.complaint(results)
            return f"{job.name} ({job.id}): {wrong}" if wrong else ""

        with ThreadPoolExecutor(4) as pool:
            return [text for text in pool.map(complaint, submitted) if text]


@contextmanager
def make_world(root: Path, **settings: str) -> Iterator[World]:
    """A market with its home in ``root``, ended at the end."""
    with ExitStack() as stack:
        platform = stack.enter_context(running_platform(root, **settings))
        souk = stack.enter_context(
            Client(platform.api_url, api_key=platform.operator["api_key"], retries=PATIENT)
        )
        cast = casting.gather(souk, platform.home)
        fleet = Fleet(directory=root / "fleet", logs=platform.home.logs, members=casting.members())
        stack.callback(fleet.stop)
        casting.bring_fleet_up(
            souk, fleet, cast, server=platform.agent_url, mqtt_url=platform.mqtt_url
        )
        tenants = {
            name: stack.enter_context(Client(platform.api_url, api_key=key, retries=PATIENT))
            for name, key in cast.keys.items()
        }
        codes = [upload(tenant) for tenant in tenants.values()]
        yield World(platform=platform, fleet=fleet, souk=souk, tenants=tenants, code=codes[0])


def assert_books_are_right(souk: Client, jobs: Sequence[Job]) -> None:
    """Each hold is resolved once, by what the job cost; none is open; all sums to zero."""
    resolved: dict[str, list[int]] = {job.id: [] for job in jobs}
    for kind in ("charge", "release"):  # a job that cost nothing has its hold released
        for transfer in souk.ledger.transfers(kind=kind):
            if transfer.job_id in resolved:
                resolved[transfer.job_id].append(transfer.amount_micros)
    for job in jobs:
        assert resolved[job.id] == [job.cost_micros], f"{job.id}: {resolved[job.id]}"
        assert 0 <= job.cost_micros <= job.hold_micros
    balances = souk.ledger.balances()
    assert sum(balance.posted_micros for balance in balances) == 0
    assert [balance.name for balance in balances if balance.held_micros] == []
    laws = souk.ledger.invariants()
    assert laws.ok, [law for law in laws.items if not law.ok]


def wait_until(
    condition: Callable[[], bool], *, timeout_s: float, failure: Callable[[], str]
) -> None:
    """Poll until ``condition`` holds; fail with ``failure()`` when the time is over."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, failure()
        time.sleep(POLL_S)


def _still_going(jobs: Mapping[str, Job]) -> str:
    left = [f"{job.id} {job.state} {job.demand}" for job in jobs.values() if not job.ended]
    return f"{len(left)} of {len(jobs)} jobs have not ended: {left[:5]}"
