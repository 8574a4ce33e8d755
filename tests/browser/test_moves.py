"""What moves work and rounds after a job was submitted, told where a person looks for it."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.market import CELLS, Market, poll

LONG_MS = 60_000
DEAR = {"limit_price_micros_per_hour": 10_000_000, "budget_micros": 5_000_000}


def region(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def moves(page: Page) -> Locator:
    return page.get_by_role("list", name="How the market moved it")


def elsewhere(market: Market) -> str:
    """A job whose home cell has no node for it, while the other cell has."""
    constraints = {"labels": {"site": CELLS[1]}}
    job = market.submit(name="sent on", cell=CELLS[0], constraints=constraints)
    return str(job["id"])


def test_a_forwarded_job_says_from_where_to_where(open_page: OpenPage, market: Market) -> None:
    page = open_page(as_="vera")
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    job = elsewhere(market)
    said = f"sent on from {CELLS[0]} to {CELLS[1]}, which bids for the 1 slot still lacking"
    events = region(page, "Events")
    expect(events.get_by_text(said)).to_be_visible()
    expect(events.get_by_role("link", name="sent on").first).to_be_visible()
    page.goto(f"/jobs/{job}")
    expect(moves(page)).to_contain_text(said)
    expect(region(page, "Timeline")).to_contain_text("succeeded")


def test_a_late_job_says_what_it_bought(open_page: OpenPage, market: Market) -> None:
    # Two hundred tasks of a good second each on one slot cannot end within a minute and a half.
    job = market.submit(
        "primes",
        name="late",
        tasks=[{"input": {"text": "3000000"}}] * 200,
        slots_max=1,
        qos={"deadline_s": 90.0, "top_up": True},
        **DEAR,
    )
    page = open_page(f"/jobs/{job['id']}", as_="lena")
    expect(moves(page)).to_contain_text(
        re.compile(r"topped up, \d+ slots? bought at the standing price: .* would not end within"),
        timeout=60_000,
    )
    market.post(f"/v1/jobs/{job['id']}/cancel", as_="lena")
    market.wait(job["id"], "cancelled")


@pytest.fixture
def draining(market: Market) -> Iterator[list[str]]:
    """Nodes to be sold again when the test has ended."""
    nodes: list[str] = []
    yield nodes
    for node in nodes:
        market.calls.patch(f"/v1/nodes/{node}", json={"draining": False}).raise_for_status()
    poll(lambda: _all_online(market))


def test_work_that_leaves_a_draining_node_says_so(
    open_page: OpenPage, market: Market, draining: list[str]
) -> None:
    limits = {"max_run_s": LONG_MS / 1000}
    job = market.submit("loop", name="on the move", qos={"work_ms": LONG_MS}, limits=limits, **DEAR)
    market.wait(job["id"], "running")
    page = open_page(f"/jobs/{job['id']}", as_="lena")
    attempts = region(page, "Attempts")
    expect(attempts.get_by_role("row", name=re.compile("running"))).to_be_visible()
    node = market.get(f"/v1/jobs/{job['id']}/attempts")["items"][0]["node_id"]
    draining.append(node)
    market.calls.patch(f"/v1/nodes/{node}", json={"draining": True}).raise_for_status()
    expect(moves(page)).to_contain_text("work moved, 1 slot bought elsewhere: the node of 1")
    market.post(f"/v1/jobs/{job['id']}/cancel", as_="lena")
    market.wait(job["id"], "cancelled")


def test_a_shadow_policy_is_seen_at_work(open_page: OpenPage, market: Market) -> None:
    body = {"mechanism": "greedy", "weight_energy": 1, "weight_cost": 0}
    policy = market.post("/v1/policies", {"name": "greener", "body": body})["id"]
    market.post(f"/v1/policies/{policy}/shadow")
    page = open_page(as_="vera")
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    told = region(page, "Events").get_by_text(re.compile("shadow policy tried the round: "))

    def another_round() -> bool | None:
        market.wait(market.submit()["id"], "succeeded")
        return told.count() > 0 or None

    try:
        poll(another_round)  # a worker looks for a new shadow every two seconds
        expect(told.first).to_be_visible()
    finally:
        market.calls.delete(f"/v1/policies/{policy}/shadow").raise_for_status()


def test_the_form_offers_to_top_up(open_page: OpenPage, market: Market) -> None:
    page = open_page("/jobs/new", as_="lena")
    page.get_by_label("Module", exact=True).fill(market.modules["words"])
    page.get_by_label("Input").select_option("text")
    page.locator("textarea").last.fill("one two")
    page.get_by_label("CPU").fill("0.25")
    choice = page.get_by_label("Top up when it falls behind")
    choice.check()
    quality = region(page, "Quality of service")
    expect(quality).to_contain_text("Give a deadline or a latency")
    submit = page.get_by_role("button", name="Submit job")
    expect(submit).to_be_disabled()
    page.get_by_label("Deadline, from now").fill("60")
    expect(quality).to_contain_text("buys extra slots of the nearest nodes at once")
    submit.click()
    page.wait_for_url(re.compile("/jobs/job_"))
    spec = market.get(f"/v1/jobs/{page.url.rpartition('/')[2]}")["spec"]
    assert (spec["qos"]["top_up"], spec["qos"]["deadline_ms"]) == (True, 60_000)


def test_rounds_are_shown_with_their_bound_and_the_book(
    open_page: OpenPage, market: Market
) -> None:
    market.wait(market.submit(cell=CELLS[0])["id"], "succeeded")
    page = open_page(as_="lena")
    rounds = region(page, "Rounds and book")
    expect(rounds.get_by_text("of the certified bound").first).to_be_visible()
    expect(
        rounds.get_by_role("img", name=re.compile(f"rounds with bids in {CELLS[0]}"))
    ).to_be_visible()
    cpu = rounds.get_by_role("row", name=re.compile("CPU")).first
    expect(cpu).to_contain_text(re.compile(r"\d %"))
    heads = [each.inner_text() for each in rounds.get_by_role("columnheader").all()]
    assert heads == ["Resource", "Price P10", "Median", "P90", "Free", "Asked for", "Filled"]


def _all_online(market: Market) -> bool | None:
    nodes = market.get("/v1/nodes")["items"]
    return all(node["state"] == "online" for node in nodes) or None
