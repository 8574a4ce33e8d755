"""Submits the demo's jobs, waits for all of them, and judges their results."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from client.client import Client
from client.resources import Job
from stack.demo_workloads.mix import (
    Code,
    Work,
    count_primes,
    count_primes_in_list,
    count_words,
    draw_mandelbrot,
    read_digits,
    upload,
)

PICTURE = "mandelbrot"
SEED = 2026
POLL_S = 0.25
ALL_ENDED_TIMEOUT_S = 180.0
_ANSWERS_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A job that has ended: whose it was, what it brought, what is wrong with that (or "")."""

    tenant: str
    job: Job
    results: Sequence[bytes]
    complaint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A job on its way."""

    tenant: str
    job: Job
    work: Work


def workload(tenant: str, code: Code) -> Iterator[Work]:
    """What each tenant wants done."""
    rng = random.Random(f"{SEED} {tenant}")  # noqa: S311  a workload, not a secret
    if tenant == "observatory":
        yield draw_mandelbrot(code)
        for _ in range(5):
            yield count_primes(code, rng)
        yield count_primes_in_list(code, rng)
    elif tenant == "newsroom":
        for _ in range(10):
            yield count_words(code, rng)
    else:
        for _ in range(8):
            yield read_digits(code, rng)


def prepare_all(tenants: Mapping[str, Client]) -> dict[str, list[Work]]:
    """Every tenant uploads its code and says what it wants done."""
    return {tenant: list(workload(tenant, upload(souk))) for tenant, souk in tenants.items()}


def submit_all(
    tenants: Mapping[str, Client],
    works: Mapping[str, Sequence[Work]],
    *,
    on_submit: Callable[[Submitted], None],
) -> list[Submitted]:
    """Every tenant submits its jobs, all tenants at the same time."""

    def submit(tenant: str) -> list[Submitted]:
        souk = tenants[tenant]
        done = []
        for work in works[tenant]:
            done.append(Submitted(tenant=tenant, job=souk.jobs.submit(work.request), work=work))
            on_submit(done[-1])
        return done

    with ThreadPoolExecutor(len(tenants)) as pool:
        return [each for batch in pool.map(submit, tenants) for each in batch]


def wait_for_all(
    tenants: Mapping[str, Client],
    submitted: Sequence[Submitted],
    *,
    on_change: Callable[[Mapping[str, Job]], None],
) -> dict[str, Job]:
    """The jobs by id once all have ended, or as they are when the time is over."""
    jobs = {each.job.id: each.job for each in submitted}
    deadline = time.monotonic() + ALL_ENDED_TIMEOUT_S
    while time.monotonic() < deadline:
        for souk in tenants.values():
            for job in souk.jobs.list(limit=len(submitted)):
                if job.id in jobs:
                    jobs[job.id] = job
        on_change(jobs)
        if all(job.ended for job in jobs.values()):
            break
        time.sleep(POLL_S)
    return jobs


def judge(
    tenants: Mapping[str, Client], submitted: Sequence[Submitted], jobs: Mapping[str, Job]
) -> list[Outcome]:
    """Fetch every result and compare it with the same work done directly."""

    def outcome(each: Submitted) -> Outcome:
        job = jobs[each.job.id]
        if not job.succeeded:
            why = " – ".join(text for text in (job.end_reason, job.end_detail) if text)
            complaint = f"{job.state}{': ' + why if why else ''}"
            return Outcome(tenant=each.tenant, job=job, results=(), complaint=complaint)
        souk = tenants[each.tenant]
        results = [souk.jobs.result(job.id, index) for index in range(job.task_count)]
        return Outcome(
            tenant=each.tenant, job=job, results=results, complaint=each.work.complaint(results)
        )

    with ThreadPoolExecutor(_ANSWERS_AT_ONCE) as pool:
        return list(pool.map(outcome, submitted))


def picture(outcomes: Sequence[Outcome]) -> str:
    """The picture that the array job drew, a row a task."""
    for outcome in outcomes:
        if outcome.job.name == PICTURE and outcome.results:
            return b"".join(outcome.results).decode(errors="replace").rstrip("\n")
    return ""
