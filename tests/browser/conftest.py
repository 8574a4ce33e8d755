"""One platform with two devices for all browser tests, and pages that tell on themselves."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from stack.running import Platform, running_platform
from tests.browser.market import Market, make_market
from tests.browser.watch import Watch

CHROMIUM = os.environ.get("SOUK_CHROMIUM", "/usr/bin/chromium")
TIMEOUT_MS = 20_000
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
]


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("browser") / "home") as running:
        yield running


@pytest.fixture(scope="package")
def market(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with make_market(platform, tmp_path_factory.mktemp("devices")) as made:
        yield made


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        expect.set_options(timeout=TIMEOUT_MS)
        yield launched
        launched.close()


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, market: Market) -> Iterator[OpenPage]:
    """Opens pages, each a visitor of its own; at the end none may have misbehaved."""
    watches: list[tuple[Page, Watch]] = []

    def open_(
        path: str = "/",
        *,
        as_: str = "",
        width: int = 1440,
        scheme: str = "light",
        refusals: bool = False,
    ) -> Page:
        context = browser.new_context(
            base_url=market.url,
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            permissions=["clipboard-read", "clipboard-write"],
        )
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        watches.append((page, Watch(page, market.url, refusals=refusals)))
        page.goto(path)
        if as_:
            sign_in(page, as_, market.passwords[as_])
        return page

    yield open_
    found = [sight for _, watch in watches for sight in watch.sights]
    for page, _ in watches:
        page.context.close()
    assert not found


def sign_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()


@pytest.fixture(scope="package")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: ``SOUK_PICTURES``, else a folder that is not kept."""
    folder = Path(os.environ.get("SOUK_PICTURES") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
