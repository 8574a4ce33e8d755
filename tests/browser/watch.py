"""Notes what no page of the dashboard may do: errors, foreign requests, violated policies."""

from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request

REFUSED = "Failed to load resource: the server responded with a status of 4"
AWAY = "Failed to load resource: net::ERR_"


class Watch:
    """Listens to one page. ``refusals``: the test provokes refused or failed requests."""

    def __init__(self, page: Page, url: str, *, refusals: bool) -> None:
        self.sights: list[str] = []
        self._origin = urlsplit(url).netloc
        self._refusals = refusals
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.sights.append(f"error: {error}"))
        page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        provoked = message.text.startswith(REFUSED) or message.text.startswith(AWAY)
        if not (self._refusals and provoked):
            self.sights.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != self._origin:
            self.sights.append(f"foreign request: {request.url}")
