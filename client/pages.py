"""Lists of the API, page by page, as one iterator."""

from collections.abc import Iterator
from typing import Any, TypeVar

from .errors import ProtocolError
from .parsing import parse
from .transport import Transport

T = TypeVar("T")
PAGE_ITEMS_MAX = 500


def iterate(
    transport: Transport, path: str, cls: type[T], *, limit: int | None = None, **filters: Any
) -> Iterator[T]:
    """Every item of a list, newest first, fetched as it is consumed; at most ``limit`` of them.

    Items that are created while one iterates do not shift the pages: the cursor is a key.
    """
    left, cursor = limit, None
    while left is None or left > 0:
        wanted = PAGE_ITEMS_MAX if left is None else min(left, PAGE_ITEMS_MAX)
        page = transport.get(path, limit=wanted, cursor=cursor, **filters)
        items = items_of(page, path)[:left]
        yield from (parse(cls, item) for item in items)
        left = None if left is None else left - len(items)
        cursor = page.get("next_cursor")
        if not cursor:
            return


def items_of(page: Any, path: str) -> list[Any]:
    """The items of one page. Raises ``ProtocolError`` if it is none."""
    if not isinstance(page, dict) or not isinstance(page.get("items"), list):
        raise ProtocolError(f"{path} did not answer with a list")
    return list(page["items"])
