"""kill -9 of an agent in mid-job: the job ends elsewhere, once, and is paid once."""

from client.requests import JobRequest, Task, WasmCode
from stack.demo_workloads.mix import LIMIT_MICROS_PER_HOUR, WASM_SLOT
from stack.demo_workloads.modules import primes_directly
from tests.e2e.world import assert_books_are_right, wait_until

LIMIT = 12_000_000  # some seconds of work
TIMEOUT_S = 120.0


def test_job_of_a_killed_agent_ends_elsewhere_once(world):
    tenant = world.tenants["observatory"]
    request = JobRequest(
        name="long",
        code=WasmCode(module=world.code.primes),
        tasks=[Task(args=[str(LIMIT)])],
        resources=WASM_SLOT,
        limit_price_micros_per_hour=LIMIT_MICROS_PER_HOUR,
        disconnect={"lost_after_s": 2.0},
    )
    job = tenant.jobs.submit(request)
    names = {world.fleet.node_id(member): member.name for member in world.fleet.members}

    def running():
        return [each for each in tenant.jobs.attempts(job.id) if each.state == "running"]

    wait_until(lambda: bool(running()), timeout_s=TIMEOUT_S, failure=lambda: "it never ran")
    hit = running()[0]
    world.fleet.kill(names[hit.node_id])
    ended = tenant.jobs.wait(job.id, timeout_s=TIMEOUT_S)
    attempts = {each.id: each for each in tenant.jobs.attempts(job.id)}
    world.fleet.start()

    assert ended.state == "succeeded"
    assert tenant.jobs.result(job.id) == primes_directly(LIMIT)
    assert attempts[hit.id].state == "lost"
    (winner,) = [each for each in attempts.values() if each.state == "succeeded"]
    assert winner.node_id != hit.node_id
    assert_books_are_right(world.souk, [ended])
    wait_until(
        lambda: world.souk.nodes.get(hit.node_id).state == "online",
        timeout_s=TIMEOUT_S,
        failure=lambda: "the killed agent did not come back",
    )
