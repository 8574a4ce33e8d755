"""The pages of the market: over time, the book, rounds with their bounds, policies and shadows."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.market import CELLS, Market, poll


def region(page: Page, name: str | re.Pattern[str]) -> Locator:
    return page.get_by_role("region", name=name)


@pytest.fixture
def traded(market: Market) -> str:
    """A job that has won a round in the first cell."""
    job = market.submit(cell=CELLS[0], name="traded")
    market.wait(job["id"], "succeeded")
    return str(job["id"])


@pytest.fixture
def waiting(market: Market) -> Iterator[str]:
    """A job that stays in the book of the first cell: no node is so cheap."""
    job = market.submit(cell=CELLS[0], name="hopeful", limit_price_micros_per_hour=2)
    yield str(job["id"])
    market.post(f"/v1/jobs/{job['id']}/cancel", as_="lena")
    market.wait(job["id"], "cancelled")


@pytest.fixture
def shadow(market: Market) -> Iterator[str]:
    policy = market.post("/v1/policies", {"name": "thrifty", "body": {"mechanism": "greedy"}})["id"]
    market.post(f"/v1/policies/{policy}/shadow")
    yield policy
    market.calls.delete(f"/v1/policies/{policy}/shadow")


def test_a_cell_is_charted_over_time(open_page: OpenPage, traded: str) -> None:
    page = open_page("/market", as_="vera")
    page.get_by_role("combobox", name="Cell").select_option(CELLS[0])
    charts = region(page, f"{CELLS[0]} over time")
    for chart in (
        "Welfare, of the certified bound, each round: newest now \\d",
        "Sent on, of the demands, to other cells: newest now \\d",
        "Price, cr.core·h: median now \\d",
        "Book depth, cores, mean of the rounds: free now \\d.*; asked for now \\d",
        "Filled, of what was asked for: newest now \\d",
        "Price, cr.GiB·h: median now \\d",
    ):
        expect(charts.get_by_role("img", name=re.compile(chart)).first).to_be_visible()
    charts.get_by_text("CPU as a table").click()
    table = charts.get_by_role("group", name="CPU over time")
    heads = [each.inner_text() for each in table.get_by_role("columnheader").all()]
    assert heads == ["Time", "P10 cr/core·h", "Median", "P90", "Free cores", "Asked for", "Filled"]
    expect(table.get_by_role("row").nth(1)).to_contain_text(re.compile(r"\d"))


def test_the_address_keeps_cell_and_time(open_page: OpenPage, traded: str) -> None:
    page = open_page(f"/market?cell={CELLS[0]}&window=15+min", as_="lena")
    expect(region(page, f"{CELLS[0]} over time")).to_contain_text("each point 15 s")
    page.get_by_role("combobox", name="Time").select_option("6 h")
    page.reload()
    expect(region(page, f"{CELLS[0]} over time")).to_contain_text("each point 5 min")


def test_the_book_has_both_sides(open_page: OpenPage, waiting: str) -> None:
    page = open_page(f"/market?cell={CELLS[0]}", as_="vera")
    offers = region(page, "Book").get_by_role("table", name="CPU: offers by price")
    expect(offers.get_by_role("row").nth(1)).to_contain_text("2")
    bids = region(page, "Book").get_by_role("table", name="CPU: bids by price")
    expect(bids.get_by_role("columnheader").first).to_have_text("Bid, at most cr/slot·h")
    expect(bids.get_by_role("row", name=re.compile("0.000002"))).to_contain_text("0.25")


def test_a_round_tells_its_bound_and_its_bids(open_page: OpenPage, traded: str) -> None:
    page = open_page("/market", as_="vera")
    page.get_by_role("navigation", name="Market").get_by_role("link", name="Rounds").click()
    rounds = region(page, re.compile("^Rounds$"))
    rounds.get_by_role("combobox", name="Cell").select_option(CELLS[0])
    sold = rounds.get_by_role("row", name=re.compile(r"1 of 1 .*\d %"))
    expect(sold.first).to_be_visible()
    sold.first.get_by_role("link").click()
    result = region(page, "Result")
    for fact in ("Welfare", "Certified bound", "Gap", "Slots sold", "Sent up", "Mechanism"):
        expect(result.get_by_text(fact, exact=True)).to_be_visible()
    bids = region(page, "What became of the bids")
    expect(bids.get_by_role("row", name=re.compile("1 of 1"))).to_contain_text("won all")


def test_rounds_above_tell_what_was_handed_down(open_page: OpenPage, market: Market) -> None:
    constraints = {"labels": {"site": CELLS[1]}}
    job = market.submit(name="sent on", cell=CELLS[0], constraints=constraints)
    market.wait(job["id"], "succeeded")
    page = open_page("/market/rounds", as_="vera")
    above = region(page, "Rounds of the levels above")
    expect(above.get_by_role("row", name=re.compile("root 1 of 1")).first).to_be_visible()
    expect(above).to_contain_text("found room in another cell")


def test_a_shadow_stands_beside_the_policy_in_force(
    open_page: OpenPage, market: Market, shadow: str
) -> None:
    def compared() -> bool | None:
        market.wait(market.submit()["id"], "succeeded")
        return market.get(f"/v1/policies/{shadow}/shadow")["rounds"] > 0 or None

    poll(compared)  # a worker looks for a new shadow every two seconds
    page = open_page("/market/policies", as_="vera")
    versions = region(page, "Versions")
    expect(versions.get_by_role("row", name=re.compile("default.*in force"))).to_be_visible()
    expect(versions.get_by_role("row", name=re.compile("thrifty.*shadow"))).to_be_visible()
    expect(versions.get_by_role("button", name=re.compile("force|shadow"))).to_have_count(0)
    beside = region(page, "thrifty beside default")
    expect(beside).to_contain_text(re.compile(r"means over \d+ rounds"))
    expect(beside.get_by_role("row", name=re.compile("^Welfare score"))).to_be_visible()
    expect(beside.get_by_role("row", name=re.compile("^Clearing .* ms"))).to_be_visible()


def test_an_operator_starts_and_ends_a_shadow(open_page: OpenPage, market: Market) -> None:
    market.post("/v1/policies", {"name": "tried", "body": {"mechanism": "greedy"}})
    page = open_page("/market/policies")
    page.get_by_role("radio", name="API key").check()
    page.get_by_role("textbox", name="API key").fill(market.operator_key)
    page.get_by_role("button", name="Sign in").click()
    versions = region(page, "Versions")
    versions.get_by_role("button", name="Run as shadow tried").click()
    expect(versions.get_by_role("row", name=re.compile("tried.*shadow"))).to_be_visible()
    versions.get_by_role("button", name="End shadow tried").click()
    expect(region(page, "Shadow")).to_contain_text("No version runs as a shadow")
