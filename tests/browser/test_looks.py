"""Both themes, narrow screens, the keyboard and the content security policy."""

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.market import Market

PAGES = ("/", "/jobs", "/jobs/new", "/nodes", "/market", "/market/rounds", "/market/policies")


def ground(page: Page) -> str:
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures(open_page: OpenPage, market: Market, pictures: Path, scheme: str) -> None:
    job = market.submit(name="portrait")
    market.wait(job["id"], "succeeded")
    page = open_page(as_="vera", scheme=scheme)
    expect(page.get_by_role("row", name="portrait").first).to_be_visible()
    shots = {"overview": "/", "job": f"/jobs/{job['id']}", "nodes": "/nodes"}
    shots |= {name: f"/{name}" for name in ("market", "market/rounds", "market/policies")}
    for name, path in shots.items():
        page.goto(path)
        expect(page.get_by_role("main").get_by_role("region").first).to_be_visible()
        expect(page.locator(".loading")).to_have_count(0)
        picture = page.screenshot(path=pictures / f"{name.replace('/', '-')}-{scheme}.png")
        assert len(picture) > 10_000


def test_the_chosen_theme_outlives_a_reload(open_page: OpenPage) -> None:
    page = open_page(as_="vera", scheme="light")
    light = ground(page)
    page.get_by_label("Theme").select_option("dark")
    dark = ground(page)
    assert dark != light
    page.reload()
    page.get_by_role("button", name="Sign out").wait_for()
    assert ground(page) == dark
    page.get_by_label("Theme").select_option("system")
    assert ground(page) == light


@pytest.mark.parametrize("path", PAGES)
def test_a_narrow_screen_needs_no_sideways_scrolling(open_page: OpenPage, path: str) -> None:
    page = open_page(path, as_="dora" if path == "/nodes" else "lena", width=390)
    expect(page.get_by_role("main").get_by_role("region").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_one_title(open_page: OpenPage, path: str) -> None:
    page = open_page(path, as_="dora" if path == "/nodes" else "lena")
    expect(page.get_by_role("main").get_by_role("region").first).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_count(1)


def test_the_keyboard_reaches_content_and_links(open_page: OpenPage) -> None:
    page = open_page("/jobs", as_="vera")
    page.reload()
    page.get_by_role("heading", name="Jobs").wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nodes")).to_be_visible()
    expect(page.get_by_role("main")).to_be_focused()


def test_the_policy_forbids_inline_and_foreign(browser: Browser, market: Market) -> None:
    answer = httpx.get(f"{market.url}/jobs/any", headers={"Accept": "text/html"})
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy
    assert "http" not in policy
    page = browser.new_page(base_url=market.url)
    page.goto("/")
    page.evaluate(
        "() => { const script = document.createElement('script');"
        " script.textContent = 'window.bad = 1'; document.body.append(script); }"
    )
    assert page.evaluate("window.bad") is None
    page.close()
