"""The demo's words and figures."""

import io

import pytest
from rich.console import Console

from client.resources import Event, Job
from stack.demo.show import Show, describe
from stack.demo.summary import Payment, PriceRow, Summary, percentiles
from stack.demo.work import Outcome, picture
from stack.demo_workloads.mix import Code, draw_mandelbrot, mixed, read_digits

JOBS = {"job_1": "newsroom's word-count"}
NODES = {"node_1": "quay-buoy"}
CODE = Code(primes="sha256:p", words="sha256:w", mandelbrot="sha256:m", model="sha256:d")


def make_summary(**changes):
    values = {
        "jobs_by_state": {"succeeded": 24, "failed": 1},
        "tasks": 60,
        "results_right": 24,
        "complaints": [],
        "prices": [
            PriceRow(cell="quay", resource="cpu_millis", price_micros=12_000, utilisation=0.5)
        ],
        "payments": [Payment(payer="newsroom", payee="quay-works", amount_micros=77, jobs=3)],
        "invariants_ok": True,
        "invariants": [{"name": "balances sum to zero", "ok": True, "detail": ""}],
        "submit_to_start_ms": {"p50": 40.0, "p99": 210.0, "count": 25},
        "submit_to_end_ms": {"count": 0},
        "seconds_to_first_end": 3.2,
        "seconds": 9.0,
        **changes,
    }
    return Summary(**values)


@pytest.mark.parametrize(
    ("kind", "subject", "data", "text"),
    [
        (
            "lease.created",
            "job_1",
            {"node_id": "node_1", "slots": 2, "rate_micros_per_hour": 3_000},
            "newsroom's word-count: lease of 2 slots on quay-buoy at 0.003 credits per slot-hour",
        ),
        (
            "lease.created",
            "job_1",
            {"node_id": "node_1", "slots": 1, "rate_micros_per_hour": 3_000},
            "newsroom's word-count: lease of 1 slot on quay-buoy at 0.003 credits per slot-hour",
        ),
        (
            "job.succeeded",
            "job_1",
            {"cost_micros": 41},
            "newsroom's word-count: succeeded, cost 0.000041 credits",
        ),
        (
            "job.failed",
            "job_1",
            {"cost_micros": 0, "reason": "trap"},
            "newsroom's word-count: failed (trap), cost 0.00 credits",
        ),
        ("node.offline", "node_1", {}, "quay-buoy is offline"),
        ("job.succeeded", "job_of_another", {}, ""),
        ("round.cleared", "cell_1", {}, ""),
    ],
)
def test_describe(kind, subject, data, text):
    event = Event(id="1", kind=kind, subject_id=subject, data=data)
    assert describe(event, JOBS, NODES) == text


def test_summary_is_printed_whole():
    out = io.StringIO()
    Show(Console(file=out, width=120)).summary(make_summary(), picture="@@@")
    text = out.getvalue()
    for part in ("@@@", "24 succeeded", "1 failed", "0.012", "quay-works", "0.000077", "p99 210"):
        assert part in text


def test_summary_is_ok_only_if_all_is():
    assert make_summary().ok
    assert not make_summary(complaints=["wrong"]).ok
    assert not make_summary(invariants_ok=False).ok


def test_percentiles_leave_out_what_never_happened():
    assert percentiles([None, 10.0, 20.0, None]) == {"p50": 15.0, "p99": 19.9, "count": 2}
    assert percentiles([None]) == {"count": 0}


def test_picture_is_put_together_from_rows():
    job = Job(id="job_1", state="succeeded", name="mandelbrot")
    outcome = Outcome(tenant="t", job=job, results=[b"ab\n", b"cd\n"], complaint="")
    assert picture([outcome]) == "ab\ncd"
    assert picture([]) == ""


def test_mixed_is_the_same_for_the_same_seed():
    first, second = (list(mixed(CODE, count=8, seed=5)) for _ in range(2))
    assert [work.request.body() for work in first] == [work.request.body() for work in second]
    assert {work.request.body()["kind"] for work in first} == {"wasm", "onnx"}


def test_complaints_name_what_is_wrong():
    work = draw_mandelbrot(CODE)
    assert "0 results where 24 were due" in work.complaint([])
    assert "task 0 wrote" in work.complaint([b"x"] * 24)


def test_digits_are_compared_with_the_network():
    import json
    import random

    work = read_digits(CODE, random.Random(1))
    shown = [int(digit) for digit in work.request.name.removeprefix("read-")]
    right = json.dumps({"digit": shown}).encode()
    wrong = json.dumps({"digit": [*shown[1:], (shown[0] + 1) % 10]}).encode()
    assert work.complaint([right]) == ""
    assert "where the network reads" in work.complaint([wrong])
