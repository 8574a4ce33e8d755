"""The command line against the platform in memory, over real HTTP."""

import json
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import httpx
import pytest
from typer.testing import CliRunner

from client.cli import app
from client.cli.exits import ExitCode
from client.mock import MockPlatform, problem

from .served import served

CHECKOUT = Path(__file__).parents[3]
STARTS = 5
START_S_MAX = 0.3
MODULE = b"\0asm module"
FLAGS = ["--cpu", "0.5", "--memory", "64MiB", "--limit-price", "0.05"]


@pytest.fixture
def platform():
    return MockPlatform()


@pytest.fixture
def run(platform, tmp_path, monkeypatch):
    """Run ``souk`` with these arguments in a folder that holds ``module.wasm``."""
    (tmp_path / "module.wasm").write_bytes(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("SOUK_HOME", "SOUK_CONTEXT", "SOUK_API_KEY", "SOUK_CA"):
        monkeypatch.delenv(name, raising=False)
    with served(platform) as url:
        monkeypatch.setenv("SOUK_URL", url)
        runner = CliRunner()
        yield lambda *args, **options: runner.invoke(app, args, **options)


def submitted(platform):
    """The body of the last job that was submitted."""
    return next(
        json.loads(request.content)
        for request in reversed(platform.requests)
        if request.method == "POST" and request.url.path.startswith("/v1/jobs")
    )


def end_next_job(platform, *, state="succeeded", results=(b"42",)):
    """The next job ends as soon as somebody asks for its events."""

    def end(request):
        platform.finish(request.url.params["subject_id"], state=state, results=results)
        return platform.handle(request)

    platform.answer_next("GET", "/v1/events", end)


def test_submit_uploads_the_module_and_converts_units(platform, run):
    done = run("job", "submit", "--wasm", "module.wasm", "--arg", "7", "--name", "n", *FLAGS)
    assert done.exit_code == 0, done.output
    assert "job_1" in done.stdout
    body = submitted(platform)
    assert body["resources"] == {"cpu_millis": 500, "memory_bytes": 64 << 20}
    assert body["limit_price_micros_per_hour"] == 50_000
    assert body["tasks"] == [{"args": ["7"]}]
    assert platform.artifacts[body["wasm"]["module"]] == MODULE


def test_submit_array_with_needs(platform, run):
    args = ["--array", "100", "--arg=--index", "--arg={index}", "--label", "gpu=no"]
    limits = ["--max-run", "90s", "--deadline", "5m", "--attempts", "2", "--cell", "north"]
    done = run("job", "submit", "--wasm", "module.wasm", *args, *limits, *FLAGS)
    assert done.exit_code == 0, done.output
    body = submitted(platform)
    assert body["array"] == {"count": 100, "args": ["--index", "{index}"]}
    assert body["constraints"] == {"labels": {"gpu": "no"}}
    assert body["limits"] == {"max_run_s": 90}
    assert body["qos"] == {"deadline_s": 300}
    assert body["retry"] == {"attempts_max": 2}
    assert body["cell"] == "north"


def test_submit_file_with_flags_over_it(platform, run, tmp_path):
    (tmp_path / "input.txt").write_text("1 2 3")
    (tmp_path / "job.toml").write_text(
        """
        name = "sum"
        limit_price = 0.07
        resources = { cpu = 0.25, memory = "1GiB" }
        wasm = { module = "module.wasm" }
        [[tasks]]
        input = { file = "input.txt" }
        """
    )
    done = run("job", "submit", "job.toml", "--cpu", "1", "-o", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["name"] == "sum"
    body = submitted(platform)
    assert body["kind"] == "wasm"
    assert body["limit_price_micros_per_hour"] == 70_000
    assert body["resources"] == {"cpu_millis": 1000, "memory_bytes": 1 << 30}
    assert body["tasks"] == [{"input": {"text": "1 2 3"}}]


def test_submit_large_or_binary_input(platform, run, tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 200_000)
    run("job", "submit", "--wasm", "module.wasm", "--stdin", "large", *FLAGS)
    digest = submitted(platform)["tasks"][0]["input"]["digest"]
    assert len(platform.artifacts[digest]) == 200_000
    run("job", "submit", "--wasm", "module.wasm", "--stdin", "-", *FLAGS, input=b"\xff\xfe")
    assert submitted(platform)["tasks"][0]["input"] == {"base64": "//4="}


def test_submit_and_get_results(platform, run):
    end_next_job(platform)
    done = run("job", "submit", "--wasm", "module.wasm", *FLAGS, "--results")
    assert done.exit_code == 0, done.output
    assert done.stdout == "42"
    assert run("job", "results", "last", "-o", "json").stdout.split() == [
        "[", "{", '"index":', "0,", '"text":', '"42"', "}", "]",
    ]  # fmt: skip
    assert run("job", "results", "last", "--out", "there").exit_code == 0
    assert Path("there/00000").read_bytes() == b"42"


@pytest.mark.parametrize("state", ["failed", "cancelled", "expired"])
def test_wait_ends_with_8_when_the_job_did_not_succeed(platform, run, state):
    end_next_job(platform, state=state, results=())
    done = run("job", "submit", "--wasm", "module.wasm", *FLAGS, "--wait")
    assert done.exit_code == ExitCode.JOB
    assert state in done.stderr


def test_wait_ends_with_9_when_the_time_is_over(platform, run):
    run("job", "submit", "--wasm", "module.wasm", *FLAGS)
    done = run("job", "wait", "last", "--timeout", "50ms")
    assert done.exit_code == ExitCode.TIMEOUT
    assert "goes on" in done.stderr


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (401, "no_key", ExitCode.DENIED),
        (402, "insufficient_funds", ExitCode.FUNDS),
        (403, "forbidden", ExitCode.DENIED),
        (404, "not_found", ExitCode.NOT_FOUND),
        (409, "conflict", ExitCode.REFUSED),
        (422, "unserviceable", ExitCode.REFUSED),
        (500, "internal", ExitCode.SERVER),
    ],
)
def test_refusal_is_a_sentence_and_an_exit_code(platform, run, status, code, exit_code):
    refusal = problem(status, code=code, detail="So it is.", trace_id="t-77")
    platform.answer_next("GET", "/v1/jobs/job_9", refusal)
    done = run("job", "show", "job_9")
    assert done.exit_code == exit_code
    assert done.stdout == ""
    assert done.stderr.startswith("souk: So it is.")
    assert "Traceback" not in done.output
    assert ("t-77" in done.stderr) == (status == 500)


def test_no_platform_says_what_to_do(run, monkeypatch):
    monkeypatch.delenv("SOUK_URL")
    done = run("job", "list")
    assert done.exit_code == ExitCode.FAILED
    assert "souk context set" in done.stderr


def test_unreachable_platform(run, monkeypatch):
    monkeypatch.setenv("SOUK_URL", "http://127.0.0.1:1")
    done = run("doctor")
    assert done.exit_code == ExitCode.FAILED
    assert "does not answer" in done.stdout


@pytest.mark.parametrize(
    "args",
    [
        ["--cpu", "much"],
        ["--memory", "12 parsecs"],
        ["--limit-price", "cheap"],
        ["--env", "novalue"],
        ["--max-run", "soon"],
        ["--onnx", "model.onnx"],
        ["--wasm", "absent.wasm"],
        ["--stdin", "absent.txt"],
    ],
)
def test_submit_refuses_before_sending(platform, run, args):
    done = run("job", "submit", "--wasm", "module.wasm", *args)
    assert done.exit_code in (ExitCode.FAILED, ExitCode.USAGE)
    assert "Traceback" not in done.output
    assert "jobs" not in platform.resources


def test_job_list_and_names(platform, run):
    assert "No jobs" in run("job", "list").stdout
    run("job", "submit", "--wasm", "module.wasm", "--name", "first", *FLAGS)
    run("job", "submit", "--wasm", "module.wasm", "--name", "second", *FLAGS)
    listed = run("job", "list").stdout.splitlines()
    assert [line.split()[1] for line in listed[1:]] == ["second", "first"]
    assert json.loads(run("job", "show", "first", "-o", "json").stdout)["id"] == "job_1"
    assert json.loads(run("job", "show", "last", "-o", "json").stdout)["id"] == "job_2"
    assert run("job", "show", "third").exit_code == ExitCode.NOT_FOUND


def test_nodes_by_name(platform, run):
    node = {"id": "node_1", "name": "cabinet", "state": "online", "free": {"cpu_millis": 1500}}
    platform.add("nodes", node)
    assert "1.5 cores" in run("node", "list").stdout
    assert run("node", "drain", "cabinet").exit_code == 0
    assert platform.resources["nodes"]["node_1"]["draining"] is True
    assert run("node", "show", "nobody").exit_code == ExitCode.NOT_FOUND


def test_invariants_that_do_not_hold_end_with_1(platform, run):
    import httpx

    laws = {"ok": False, "items": [{"name": "zero sum", "ok": False, "detail": "off by 1"}]}
    platform.answer_next("GET", "/v1/ledger/invariants", httpx.Response(200, json=laws))
    done = run("ledger", "invariants")
    assert done.exit_code == ExitCode.FAILED
    assert "off by 1" in done.stdout


def test_contexts_are_kept_and_used(platform, run, monkeypatch):
    import os

    url = os.environ["SOUK_URL"]
    monkeypatch.delenv("SOUK_URL")
    assert run("context", "set", "lab", "--url", url, "--key", "souk_k").exit_code == 0
    assert run("cell", "list").exit_code == 0
    assert platform.requests[-1].headers["Authorization"] == "Bearer souk_k"
    assert run("context", "set", "far", "--url", "http://127.0.0.1:1").exit_code == 0
    assert json.loads(run("context", "list", "-o", "json").stdout)[1]["current"] is True
    assert run("context", "use", "nowhere").exit_code == ExitCode.NOT_FOUND
    assert run("cell", "list", "--context", "nowhere").exit_code == ExitCode.FAILED


def test_moved_context_forgets_the_key(run, tmp_path):
    run("context", "set", "lab", "--url", "http://a", "--key", "souk_k")
    run("context", "set", "lab", "--url", "http://b")
    assert "souk_k" not in (tmp_path / "config/souk/client.toml").read_text()


def test_help_starts_without_the_http_library():
    program = "import sys; from client.cli import app; print('httpx' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=CHECKOUT
    )
    assert done.stdout.strip() == "False"


def test_start_takes_little():
    program = "from client.cli import app; app(['--help'])"
    command = [sys.executable, "-c", program]
    subprocess.run(command, capture_output=True, check=True, cwd=CHECKOUT)  # compiles bytecode
    before = getrusage(RUSAGE_CHILDREN)
    for _ in range(STARTS):
        subprocess.run(command, capture_output=True, check=True, cwd=CHECKOUT)
    after = getrusage(RUSAGE_CHILDREN)
    assert (after.ru_utime - before.ru_utime) / STARTS < START_S_MAX


def test_what_strangers_write_does_not_rule_the_terminal() -> None:
    from client.cli.output import visible

    assert visible("\x1b]0;mine\x07\x1b[2J\x9b31m\r ok\tyes\nline") == (
        "\ufffd]0;mine\ufffd\ufffd[2J\ufffd31m\ufffd ok\tyes\nline"
    )


def test_rounds_above_the_cells(platform, run):
    path = "/v1/market/upper-rounds"
    found = {"id": "upper_1", "place": "cell_9", "place_name": "coast", "bid_count": 3}
    found |= {"bids_handed_down": 2, "slots_asked": 9, "slots_handed_down": 7, "bytes_up": 2048}
    found |= {"timings_ms": {"read": 12.4, "clear": 30.2}}
    page = httpx.Response(200, json={"items": [found], "next_cursor": None})
    empty = httpx.Response(200, json={"items": [], "next_cursor": None})
    platform.answer_next("GET", path, page, empty)
    shown = run("market", "upper-rounds", "--place", "coast").stdout
    assert platform.requests[-1].url.params["place"] == "coast"
    heading, row = shown.splitlines()[:2]
    assert row.split()[:4] == ["upper_1", "coast", "2/3", "7/9"]
    assert row.split()[-2] == "43"  # 12.4 + 30.2 ms
    assert "SLOTS DOWN" in heading
    assert "none had to send anything up" in run("market", "upper-rounds").stdout


def test_a_rounds_time_is_not_the_sum_of_all_that_its_mechanism_notes(platform, run):
    timings = {"snapshot": 56.7, "clear": 54.5, "search_ms": 20.0, "moves": 60_000.0}
    page = {"items": [{"id": "round_1", "timings_ms": timings}], "next_cursor": None}
    platform.answer_next("GET", "/v1/market/rounds", httpx.Response(200, json=page))
    assert run("market", "rounds").stdout.splitlines()[1].split()[-2] == "111"


def test_rounds_say_the_names_of_their_cells(platform, run):
    cells = {"items": [{"id": "cell_1", "name": "harbour"}], "next_cursor": None}
    items = [{"id": "round_1", "cell_id": "cell_1"}, {"id": "round_2", "cell_id": "cell_gone"}]
    page = {"items": items, "next_cursor": None}
    platform.answer_next("GET", "/v1/cells", httpx.Response(200, json=cells))
    platform.answer_next("GET", "/v1/market/rounds", httpx.Response(200, json=page))
    shown = run("market", "rounds").stdout.splitlines()[1:]
    assert [row.split()[1] for row in shown] == ["harbour", "cell_gone"]


def test_weights_of_a_policy_that_are_not_named_are_nought(platform, run):
    made = httpx.Response(201, json={"id": "policy_1", "name": "green", "body": {}})
    platform.answer_next("POST", "/v1/policies", made)
    run("policy", "create", "green", "--weights", "energy=0.7,cost=0.3")
    body = json.loads(platform.requests[-1].content)["body"]
    assert body == {
        "weight_cost": 0.3, "weight_qos": 0.0, "weight_energy": 0.7, "weight_fairness": 0.0
    }  # fmt: skip


def test_a_plan_without_a_price_says_why(platform, run):
    asked = ("job", "submit", "--wasm", "module.wasm", "--plan", *FLAGS)
    plan = {"serviceable": True, "hold_micros": 100, "price_micros_per_hour": None}
    plan |= {"cost_micros": None, "no_price": "The limit price is too low to win: offers 0.1."}
    platform.answer_next("POST", "/v1/jobs/plan", httpx.Response(200, json=plan))
    shown = run(*asked).stdout
    assert "Price       The limit price is too low to win: offers 0.1." in shown
    assert "Cost" not in shown
    ranged = plan | {
        "price_micros_per_hour": {"low": 10**6, "likely": 2 * 10**6, "high": 3 * 10**6}
    }
    platform.answer_next("POST", "/v1/jobs/plan", httpx.Response(200, json=ranged))
    shown = run(*asked).stdout
    assert "1.00 … 2.00 … 3.00 credits per slot-hour" in shown


@pytest.mark.parametrize(
    ("bids", "state", "says"),
    [
        (600_000, "queued", "1.00 credits per slot-hour; bids 0.60 since its work has moved"),
        (1_000_000, "queued", "1.00 credits per slot-hour"),
        (600_000, "succeeded", "1.00 credits per slot-hour"),
    ],
)
def test_a_job_shows_what_it_bids_where_that_is_less(platform, run, bids, state, says):
    job = {"id": "job_1", "state": state, "limit_price_micros_per_hour": 1_000_000}
    job["demand"] = {"state": "open", "limit_micros_per_hour": bids}
    platform.answer_next("GET", "/v1/jobs/job_1", httpx.Response(200, json=job))
    line = next(line for line in run("job", "show", "job_1").stdout.splitlines() if "Limit" in line)
    assert line.removeprefix("Limit").strip() == says


def test_an_explanation_shows_what_was_won_and_what_it_pays(platform, run):
    candidate = {"node_id": "node_1", "node_name": "barn", "terms": {}, "score": 0.2}
    candidate |= {"rate_micros_per_hour": 2_000_000, "slots_free": 3, "slots_won": 1}
    lease = {"id": "lease_1", "node_id": "node_1", "slots": 1, "rate_micros_per_hour": 2_500_000}
    found = {"job_id": "job_1", "state": "running", "summary": "The job is running."}
    found |= {"candidates": [candidate], "leases": [lease | {"state": "active"}]}
    platform.answer_next("GET", "/v1/jobs/job_1/explain", httpx.Response(200, json=found))
    shown = run("job", "explain", "job_1").stdout
    rows = [line.split() for line in shown.splitlines() if line.strip()]
    assert rows[1][-3:] == ["ASKS/H", "FREE", "WON"]
    assert rows[2][-3:] == ["2.00", "3", "1"]
    assert rows[4] == ["lease_1", "barn", "1", "2.50", "active"]
