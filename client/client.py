"""``Client``: the platform's API in Python, one attribute a plural noun."""

import time
from collections.abc import Callable
from typing import Any, Self

import httpx

from .config import Target, find_target
from .events import Events
from .groups.accounts import Accounts, Keys, Tokens
from .groups.artifacts import Artifacts, Models
from .groups.fleet import Cells, Nodes, Offers
from .groups.jobs import Jobs, Leases
from .groups.market import Ledger, Market, Policies
from .transport import Retries, Transport


class Client:
    """A connection to one platform as one account.

    With no arguments the address and key come from the environment, the current context or the
    platform on this machine (see ``config.py``). Close it, or use it in a ``with`` statement.
    """

    def __init__(
        self,
        url: str = "",
        *,
        api_key: str = "",
        ca: str = "",
        context: str = "",
        target: Target | None = None,
        retries: Retries | None = None,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.target = target or find_target(url=url, api_key=api_key, ca=ca, context=context)
        self.transport = Transport(
            self.target, retries=retries, timeout_s=timeout_s, transport=transport, sleep=sleep
        )
        self.accounts = Accounts(self.transport)
        self.keys = Keys(self.transport)
        self.tokens = Tokens(self.transport)
        self.cells = Cells(self.transport)
        self.nodes = Nodes(self.transport)
        self.offers = Offers(self.transport)
        self.artifacts = Artifacts(self.transport)
        self.models = Models(self.transport)
        self.jobs = Jobs(self.transport)
        self.leases = Leases(self.transport)
        self.market = Market(self.transport)
        self.ledger = Ledger(self.transport)
        self.policies = Policies(self.transport)
        self.events = Events(self.transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    def overview(self) -> dict[str, Any]:
        """Everything that the dashboard's first page shows, as the API gives it."""
        document: dict[str, Any] = self.transport.get("/v1/overview")
        return document
