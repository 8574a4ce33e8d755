"""The job page, the list and the form, from plan to result."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.market import CELLS, Market, doubling_model
from tests.fixtures.modules import wasm


def panel(page: Page, name: str):
    return page.get_by_role("region", name=name, exact=True)


def test_form_goes_from_plan_to_result(open_page: OpenPage, tmp_path: Path) -> None:
    module = tmp_path / "words.wasm"
    module.write_bytes(wasm("words"))
    page = open_page("/jobs/new", as_="omar")
    submit = page.get_by_role("button", name="Submit job")
    expect(submit).to_be_disabled()
    page.get_by_label("Job name").fill("words by form")
    page.get_by_label("Upload a module").set_input_files(module)
    expect(page.get_by_label("Module", exact=True)).to_have_value(re.compile("sha256:"))
    page.get_by_label("Input").select_option("text")
    page.locator("textarea").last.fill("one two three")
    page.get_by_label("CPU").fill("0.25")
    page.get_by_label("Memory").fill("32")
    plan = panel(page, "Plan")
    expect(plan).to_contain_text("Chance to be served now")
    expect(plan).to_contain_text("Hold: set aside until it ends")
    submit.click()
    expect(page.get_by_role("heading", name="words by form")).to_be_visible()
    expect(panel(page, "Timeline")).to_contain_text("succeeded")
    expect(panel(page, "Cost")).to_contain_text("Went back to the purse")
    expect(panel(page, "Tasks and results").locator("pre")).to_contain_text("3")


def test_form_sends_a_model_and_an_array(open_page: OpenPage, tmp_path: Path) -> None:
    model = tmp_path / "affine.onnx"
    model.write_bytes(doubling_model())
    page = open_page("/jobs/new", as_="omar")
    page.get_by_label("ONNX model").check()
    page.get_by_label("Upload a model").set_input_files(model)
    expect(page.get_by_label("Model", exact=True)).not_to_have_value("")
    page.get_by_label("An array of tasks").check()
    page.get_by_role("textbox", name="Tasks").fill("3")
    page.get_by_label("Inputs (JSON)").fill('{"x": [[1, 2, 3]]}')
    page.get_by_label("CPU").fill("0.25")
    page.get_by_role("button", name="Submit job").click()
    results = panel(page, "Tasks and results")
    expect(results).to_contain_text("3 of 3", timeout=40_000)
    results.get_by_role("button", name="Preview").first.click()
    expect(results.locator("pre")).to_contain_text("6")


def test_what_is_wrong_is_said_at_its_field(open_page: OpenPage, market: Market) -> None:
    page = open_page("/jobs/new", as_="lena", refusals=True)
    page.get_by_label("Module", exact=True).fill(market.modules["words"])
    page.get_by_label("CPU").fill("none")
    expect(page.get_by_label("CPU")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("button", name="Submit job")).to_be_disabled()
    # What only the platform knows comes back to the field too.
    page.get_by_label("CPU").fill("5000")
    expect(page.get_by_label("CPU")).to_have_attribute("aria-invalid", "true")
    expect(panel(page, "Plan").get_by_role("alert")).to_be_visible()


def test_a_job_that_nothing_can_serve_is_told_so_before_it_is_sent(
    open_page: OpenPage, market: Market
) -> None:
    page = open_page("/jobs/new", as_="lena")
    page.get_by_label("Module", exact=True).fill(market.modules["words"])
    page.get_by_label("CPU").fill("64")
    plan = panel(page, "Plan")
    expect(plan).to_contain_text("No node could ever serve this")
    expect(plan.get_by_role("heading", name="Nodes ruled out")).to_be_visible()
    expect(page.get_by_role("button", name="Submit job")).to_be_disabled()


def test_a_running_job_shows_where_and_can_be_cancelled(
    open_page: OpenPage, market: Market
) -> None:
    job = market.submit("loop", name="round and round")
    page = open_page(f"/jobs/{job['id']}", as_="lena")
    attempts = panel(page, "Attempts")
    expect(attempts.get_by_role("row", name=re.compile("running"))).to_be_visible()
    expect(attempts.get_by_text(re.compile("crane-1|stall-7"))).to_be_visible()
    expect(panel(page, "Explanation")).not_to_contain_text("Loading")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel job").click()
    expect(page.get_by_text("This job was cancelled")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel job")).to_have_count(0)


def test_a_failed_job_says_why(open_page: OpenPage, market: Market) -> None:
    job = market.submit("exit", name="ends badly")
    market.wait(job["id"], "failed")
    page = open_page(f"/jobs/{job['id']}", as_="lena")
    expect(page.get_by_text("This job failed")).to_be_visible()
    expect(panel(page, "Attempts")).to_contain_text("exit code")


def test_a_waiting_job_explains_itself(open_page: OpenPage, market: Market) -> None:
    dear = market.submit(name="too cheap", limit_price_micros_per_hour=1)
    page = open_page(f"/jobs/{dear['id']}", as_="lena")
    expect(panel(page, "Timeline")).to_contain_text("waiting")
    explanation = panel(page, "Explanation")
    expect(explanation.locator(".explain-summary")).not_to_be_empty()
    expect(explanation.get_by_role("heading", name=re.compile("Rounds"))).to_be_visible()
    market.post(f"/v1/jobs/{dear['id']}/cancel", as_="lena")
    expect(page.get_by_text("This job was cancelled")).to_be_visible()


def test_an_unknown_job_is_a_sentence(open_page: OpenPage) -> None:
    page = open_page("/jobs/job_00000000000000000000000000000000", as_="lena", refusals=True)
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("link", name="Jobs").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()


def test_the_list_filters_by_state_and_name(open_page: OpenPage, market: Market) -> None:
    market.wait(market.submit(name="pears")["id"], "succeeded")
    page = open_page("/jobs?state=succeeded", as_="lena")
    expect(page.get_by_role("row", name=re.compile("pears"))).to_be_visible()
    page.get_by_label("State").select_option("failed")
    expect(page.get_by_role("row", name=re.compile("pears"))).to_have_count(0)
    assert "state=failed" in page.url


def test_an_owner_drains_a_node(open_page: OpenPage, market: Market) -> None:
    node = next(node for node in market.nodes if node["cell_name"] == CELLS[1])
    page = open_page(f"/nodes/{node['id']}", as_="dora")
    page.get_by_role("button", name="Drain: take nothing new").click()
    expect(page.locator(".page-head .state")).to_have_text("draining")
    page.get_by_role("button", name="Take new work again").click()
    expect(page.locator(".page-head .state")).to_have_text("online")
