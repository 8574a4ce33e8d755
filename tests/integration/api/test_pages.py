"""Health, metrics, documentation and the dashboard's files."""

import re
from pathlib import Path

import pytest

from api.app import make_app
from api.problems import CATALOGUE
from db.engine import make_engine, session_factory
from tests.integration.api.arrange import node_of, submit
from tests.integration.api.client import Client
from tests.integration.api.world import World

HTML = {"Accept": "text/html"}


def test_health_and_readiness(world: World) -> None:
    assert world.anonymous.get("/healthz").json() == {"status": "ok"}
    assert world.anonymous.get("/readyz").json() == {"status": "ok"}


def test_readiness_without_a_database_is_503(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = make_engine("postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setattr(world.platform, "sessions", session_factory(gone))
    answer = world.anonymous.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]
    assert world.anonymous.get("/healthz").status_code == 200


def test_metrics_count_jobs_and_invariants(world: World) -> None:
    node_of(world, world.owner)
    submit(world, world.tenant)
    text = world.anonymous.get("/metrics").text
    assert 'souk_jobs{state="queued"} 1.0' in text
    assert 'souk_nodes{state="online"} 1.0' in text
    invariants = re.findall(r'souk_ledger_invariant_ok\{invariant="\w+"\} (\S+)', text)
    assert invariants
    assert set(invariants) == {"1.0"}
    assert 'souk_job_submit_to_start_seconds_bucket{le="+Inf"} 0.0' in text
    assert re.search(
        r'souk_http_requests_total\{method="POST",route="/v1/jobs",status="202"\} 1', text
    )


def test_overview_has_what_the_first_page_shows(world: World) -> None:
    node_id = node_of(world, world.owner)
    job_id = submit(world, world.tenant)
    seen = world.operator.client.get("/v1/overview").json()
    assert {cell["name"] for cell in seen["cells"]} == {"root", "home"}
    assert [node["id"] for node in seen["nodes"]] == [node_id]
    assert seen["jobs"]["by_state"]["queued"] == 1
    assert [job["id"] for job in seen["jobs"]["recent"]] == [job_id]
    assert seen["invariants"]["ok"] is True
    assert seen["latency"]["submit_to_start_ms"] == {"p50": None, "p99": None, "count": 0}
    assert seen["control"]["mechanism"]


def test_every_problem_has_a_page(world: World) -> None:
    for code, problem in CATALOGUE.items():
        page = world.anonymous.get(f"/problems/{code}")
        assert page.status_code == 200
        assert str(problem.status) in page.text
    assert world.anonymous.get("/problems").text.count("<tr>") == len(CATALOGUE)


def test_pages_load_nothing_from_other_hosts(world: World) -> None:
    for path in ("/docs", "/problems", "/problems/conflict"):
        page = world.anonymous.get(path)
        assert page.status_code == 200
        assert "//" not in page.text.replace("<!doctype html>", "")
        assert "<script>" not in page.text
        for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            assert address.startswith("/")
            assert world.anonymous.get(address).status_code == 200, address
    policy = world.anonymous.get("/docs").headers["content-security-policy"]
    assert "http" not in policy
    assert "script-src 'self';" in policy


def test_dashboard_gets_deep_links_and_assets(world: World, tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html>the dashboard")
    (dist / "assets" / "app-1a2b.js").write_text("run()")
    settings = world.platform.settings.model_copy(update={"dashboards_dir": dist})
    client = Client(world.anonymous.runner, make_app(settings, world.platform))
    for path in ("/", "/jobs/job_1", "/nodes"):
        page = client.get(path, headers=HTML)
        assert page.text == "<!doctype html>the dashboard"
        assert page.headers["cache-control"] == "no-cache"
        assert "script-src 'self'" in page.headers["content-security-policy"]
    script = client.get("/assets/app-1a2b.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert client.get("/nothing.js").status_code == 404
    assert client.get("/v1/nothing", headers=HTML).json()["code"] == "not_found"


def test_dashboard_that_is_not_built_says_so(world: World, tmp_path: Path) -> None:
    settings = world.platform.settings.model_copy(update={"dashboards_dir": tmp_path / "none"})
    client = Client(world.anonymous.runner, make_app(settings, world.platform))
    page = client.get("/", headers=HTML)
    assert page.status_code == 404
    assert "/docs" in page.text
