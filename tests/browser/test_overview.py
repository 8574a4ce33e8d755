"""The overview shows the market as it is, and changes with it without a reload."""

import re

from playwright.sync_api import expect

from stack.running import Platform
from tests.browser.conftest import OpenPage
from tests.browser.market import CELLS, Market


def test_nodes_stand_in_their_cells_with_what_is_free(open_page: OpenPage) -> None:
    page = open_page(as_="vera")
    nodes = page.get_by_role("region", name="Nodes by cell")
    for cell, node in zip(CELLS, ("crane-1", "stall-7"), strict=True):
        expect(nodes.get_by_role("link", name=cell)).to_be_visible()
        row = nodes.get_by_role("row", name=re.compile(node))
        expect(row).to_contain_text("online")
        expect(row).to_contain_text("of 2 cores")
        expect(row).to_contain_text("of 0.25 GiB")
        expect(row).to_contain_text("ago")


def test_a_job_appears_runs_and_ends_while_one_looks(open_page: OpenPage, market: Market) -> None:
    page = open_page(as_="vera")
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    page.evaluate("window.sameDocument = true")
    job = market.submit(name="seen from afar")
    row = page.get_by_role("row", name=re.compile("seen from afar"))
    expect(row).to_contain_text("succeeded")
    events = page.get_by_role("region", name="Events")
    expect(events.get_by_text("job succeeded").first).to_be_visible()
    assert page.evaluate("window.sameDocument")
    market.wait(job["id"], "succeeded")


def test_prices_and_books_are_shown(open_page: OpenPage, market: Market) -> None:
    market.wait(market.submit()["id"], "succeeded")
    page = open_page(as_="vera")
    prices = page.get_by_role("region", name="Prices")
    expect(prices.get_by_text("cr/core·h").first).to_be_visible()
    expect(prices.locator("svg path.sparkline-line").first).to_be_attached()
    balances = page.get_by_role("region", name="Balances")
    expect(balances.get_by_role("row", name=re.compile("lena tenant"))).to_contain_text("cr")
    expect(balances.get_by_text(re.compile(r"All \d+ checks of the books hold"))).to_be_visible()


def test_a_lost_platform_is_admitted_and_found_again(
    open_page: OpenPage, market: Market, platform: Platform
) -> None:
    page = open_page(as_="vera", refusals=True)
    status = page.get_by_role("banner").get_by_role("status")
    expect(status).to_have_text("live")
    platform.kill("api", wait=False)
    expect(status).to_contain_text("reconnecting")
    expect(status).to_have_text("live", timeout=60_000)
    market.submit(name="after the gap")
    expect(page.get_by_role("row", name=re.compile("after the gap"))).to_contain_text("succeeded")


def test_tenants_see_their_own(open_page: OpenPage, market: Market) -> None:
    market.wait(market.submit(as_="omar", name="olives only")["id"], "succeeded")
    market.wait(market.submit(as_="lena", name="lemons only")["id"], "succeeded")
    page = open_page(as_="omar")
    jobs = page.get_by_role("region", name="Jobs")
    expect(jobs.get_by_role("row", name=re.compile("olives only"))).to_be_visible()
    expect(jobs.get_by_role("row", name=re.compile("lemons only"))).to_have_count(0)
    balances = page.get_by_role("region", name="Balances")
    expect(balances.get_by_role("row", name=re.compile("lena"))).to_have_count(0)
    # The market is theirs to see, the devices are not.
    cells = page.get_by_role("region", name="Cells")
    expect(cells).to_contain_text("of 2 cores free")
    expect(page.get_by_text("crane-1")).to_have_count(0)


def test_viewers_are_offered_no_changes(open_page: OpenPage, market: Market) -> None:
    page = open_page("/jobs/new", as_="vera")
    expect(page.get_by_text("This account cannot submit jobs")).to_be_visible()
    expect(page.get_by_role("link", name="Submit a job")).to_have_count(0)
    page.goto(f"/nodes/{market.nodes[0]['id']}")
    expect(page.get_by_role("heading", name=market.nodes[0]["name"])).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Drain"))).to_have_count(0)
