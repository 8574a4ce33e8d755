"""Work that misbehaves, cannot be served or cannot be paid ends as it should, and is said so."""

import pytest
from wasmtime import wat2wasm

from client.client import Client
from client.errors import ApiError, InsufficientFunds, NotAuthenticated, Unserviceable
from client.requests import JobRequest, Task, WasmCode
from stack.demo_workloads.mix import LIMIT_MICROS_PER_HOUR, WASM_SLOT

from .world import assert_books_are_right

TIMEOUT_S = 60.0
LOOPS = '(module (memory (export "memory") 1) (func (export "_start") (loop $l (br $l))))'
GROWS = """(module (memory (export "memory") 1)
  (func (export "_start")
    (loop $l (drop (memory.grow (i32.const 16))) (br_if $l (i32.const 1)))))"""
TRAPS = '(module (memory (export "memory") 1) (func (export "_start") unreachable))'
EXITS = """(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const 3))))"""


@pytest.fixture
def tenant(world):
    return world.tenants["newsroom"]


def make_request(digest, **changes):
    values = {
        "name": "bad",
        "code": WasmCode(module=digest),
        "tasks": [Task()],
        "resources": WASM_SLOT,
        "limit_price_micros_per_hour": LIMIT_MICROS_PER_HOUR,
        "limits": {"max_run_s": 2},
        **changes,
    }
    return JobRequest(**values)


@pytest.mark.parametrize(
    ("module", "reasons"),
    [
        (wat2wasm(LOOPS), {"timeout"}),
        (wat2wasm(GROWS), {"memory", "timeout"}),
        (wat2wasm(TRAPS), {"trap"}),
        (wat2wasm(EXITS), {"exit_code"}),
        (b"this is no module", {"invalid_input"}),
    ],
    ids=["loops", "grows", "traps", "exits", "garbage"],
)
def test_bad_module_fails_with_its_reason_and_is_not_tried_again(world, tenant, module, reasons):
    digest = tenant.artifacts.put(bytes(module)).digest
    job = tenant.jobs.wait(tenant.jobs.submit(make_request(digest)).id, timeout_s=TIMEOUT_S)
    assert job.state == "failed"
    assert job.end_reason == "task_failed"
    (task,) = tenant.jobs.tasks(job.id)
    assert task.end_reason in reasons
    assert task.attempts == 1
    assert_books_are_right(world.souk, [job])


def test_fuel_runs_out(world, tenant):
    digest = tenant.artifacts.put(bytes(wat2wasm(LOOPS))).digest
    request = make_request(digest, code=WasmCode(module=digest, fuel_max=10_000_000))
    job = tenant.jobs.wait(tenant.jobs.submit(request).id, timeout_s=TIMEOUT_S)
    (task,) = tenant.jobs.tasks(job.id)
    assert (task.state, task.end_reason) == ("failed", "fuel")


def test_garbage_model_is_refused_with_a_reason(tenant):
    digest = tenant.artifacts.put(b"not a model at all").digest
    with pytest.raises(ApiError) as refused:
        tenant.models.register("garbage", digest=digest)
    assert refused.value.status == 422


def test_job_that_nothing_can_serve_is_refused_at_submit(world, tenant):
    resources = {"cpu_millis": 900_000, "memory_bytes": 1 << 26}
    request = make_request(world.code.primes, resources=resources)
    with pytest.raises(Unserviceable):
        tenant.jobs.submit(request)
    plan = tenant.jobs.plan(request)
    assert not plan.serviceable
    assert plan.reasons


def test_job_can_be_cancelled(world, tenant):
    digest = tenant.artifacts.put(bytes(wat2wasm(LOOPS))).digest
    job = tenant.jobs.submit(make_request(digest, limits={"max_run_s": 600}))
    tenant.jobs.cancel(job.id)
    ended = tenant.jobs.wait(job.id, timeout_s=TIMEOUT_S)
    assert (ended.state, ended.end_reason) == ("cancelled", "cancelled_by_user")
    assert_books_are_right(world.souk, [ended])


def test_empty_purse_is_refused(world):
    poor = world.souk.accounts.create("poor", role="tenant")
    key = world.souk.keys.create(account_id=poor.id).key
    with Client(world.platform.api_url, api_key=key) as souk:
        digest = souk.artifacts.put(bytes(wat2wasm(TRAPS))).digest
        with pytest.raises(InsufficientFunds):
            souk.jobs.submit(make_request(digest))


def test_wrong_key_is_refused(world):
    souk = Client(world.platform.api_url, api_key="souk_wrong_key")
    with souk, pytest.raises(NotAuthenticated):
        list(souk.jobs.list())


def test_tenant_does_not_see_another_tenants_job(world, tenant):
    job = tenant.jobs.submit(make_request(world.code.primes, tasks=[Task(args=["10"])]))
    with pytest.raises(ApiError) as refused:
        world.tenants["observatory"].jobs.get(job.id)
    assert refused.value.status == 404
    tenant.jobs.wait(job.id, timeout_s=TIMEOUT_S)
