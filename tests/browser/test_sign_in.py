"""The door: who gets in, and that an address survives it."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, sign_in
from tests.browser.market import Market


def test_wrong_password_is_refused_in_words(open_page: OpenPage) -> None:
    page = open_page(refusals=True)
    page.get_by_label("Name", exact=True).fill("lena")
    page.get_by_label("Password", exact=True).fill("pears-by-the-crate")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("button", name="Sign in")).to_be_enabled()


def test_api_key_opens_the_door(open_page: OpenPage, market: Market) -> None:
    page = open_page()
    page.get_by_role("radio", name="API key").check()
    page.get_by_role("textbox", name="API key").fill(market.operator_key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Nodes by cell")).to_be_visible()


def test_deep_link_survives_sign_in_and_reload(open_page: OpenPage, market: Market) -> None:
    job = market.submit()
    page = open_page(f"/jobs/{job['id']}")
    sign_in(page, "lena", market.passwords["lena"])
    expect(page.get_by_role("heading", name="words by lena")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="words by lena")).to_be_visible()
    assert page.url.endswith(f"/jobs/{job['id']}")


def test_signing_out_ends_the_session_for_good(open_page: OpenPage) -> None:
    page = open_page(as_="lena")
    assert page.evaluate("document.cookie") == ""  # out of reach of scripts
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert page.request.get("/v1/sessions/current").status == 401


def test_a_session_that_ends_elsewhere_leads_to_the_door(open_page: OpenPage) -> None:
    page = open_page("/jobs", as_="omar", refusals=True)
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    page.context.clear_cookies()
    expect(page.get_by_text("Your session has ended")).to_be_visible()
    assert page.url.endswith("/jobs")
