"""Where servers are: addresses out of URLs."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from edge_agent.exits import AgentError, Exit


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Host and port of a server."""

    host: str
    port: int
    prefix: str = ""  # path before /v1


def parse_address(url: str, *, scheme: str = "https", port: int = 443) -> Address:
    """The address in ``url``.

    Raises:
        AgentError: not a URL of that scheme.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme != scheme or not parts.hostname:
            raise ValueError(f"expected {scheme}://host:port")
        return Address(host=parts.hostname, port=parts.port or port, prefix=parts.path.rstrip("/"))
    except ValueError as error:
        raise AgentError(Exit.USAGE, f"{url!r} is not an address: {error}") from None
