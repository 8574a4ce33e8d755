"""kill -9 in turn of every process of the platform during a batch: all jobs end exactly once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.world import assert_books_are_right, wait_until

JOBS = 200
VICTIMS = ("api", "ingest", "dispatch", "worker", "postgres", "mqtt")
OPEN_AT_KILL_MIN = 3
TIMEOUT_S = 300.0


def test_all_jobs_end_once_whatever_is_killed(world):
    sizes = [len(range(number, JOBS, len(VICTIMS))) for number in range(len(VICTIMS))]
    submitted = []
    with ThreadPoolExecutor(1) as pool:
        for number, name in enumerate(VICTIMS):
            batch = pool.submit(world.submit_mixed, sizes[number], seed=100 + number)
            wait_until(
                lambda: count_open(world) >= OPEN_AT_KILL_MIN,
                timeout_s=TIMEOUT_S,
                failure=lambda: "no job was under way",
            )
            world.platform.kill(name)
            submitted += batch.result()
    job_ids = {job.id for _, job, _ in submitted}
    assert len(job_ids) == JOBS
    ended = world.wait_for_ends(job_ids, timeout_s=TIMEOUT_S)
    assert Counter(job.state for job in ended.values()) == {"succeeded": JOBS}
    assert world.complaints(submitted) == []
    assert_books_are_right(world.souk, list(ended.values()))
    assert_each_task_succeeded_once(world, job_ids)


def count_open(world):
    return sum(not job.ended for souk in world.tenants.values() for job in souk.jobs.list(limit=50))


def assert_each_task_succeeded_once(world, job_ids):
    live = {"assigned", "accepted", "running", "unknown"}
    for job_id in job_ids:
        attempts = list(world.souk.jobs.attempts(job_id))
        won = Counter(each.task_index for each in attempts if each.state == "succeeded")
        assert set(won.values()) <= {1}, f"{job_id}: a task succeeded twice"
        assert not [each for each in attempts if each.state in live], f"{job_id}: left open"
