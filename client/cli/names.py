"""From what a person types (a name, ``last``) to the id that the API wants."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..errors import NoSuchName

if TYPE_CHECKING:
    from ..client import Client


class Named(Protocol):
    """A resource with an id and a name."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


def job_id(souk: "Client", text: str) -> str:
    """A job by id, by name (the newest of that name), or ``last``."""
    if text.startswith("job_"):
        return text
    found = next(iter(souk.jobs.list(name=None if text == "last" else text, limit=1)), None)
    if found is None:
        raise NoSuchName(f"there is no job called {text!r}; see `souk job list`")
    return found.id


def node_id(souk: "Client", text: str) -> str:
    """A node by id or name."""
    return text if text.startswith("node_") else _by_name(souk.nodes.list(), text, "node")


def cell_id(souk: "Client", text: str) -> str:
    """A cell by id or name."""
    return text if text.startswith("cell_") else _by_name(souk.cells.list(), text, "cell")


def account_id(souk: "Client", text: str) -> str:
    """An account by id, by name, or ``me``."""
    if text == "me" or text.startswith(("acct_", "account_")):
        return text
    return _by_name(souk.accounts.list(), text, "account")


def policy_id(souk: "Client", text: str) -> str:
    """A version of the policy by id or name (the newest of that name)."""
    if text.startswith("policy_"):
        return text
    found = next((policy.id for policy in souk.policies.list() if policy.name == text), None)
    if found is None:
        raise NoSuchName(f"there is no policy called {text!r}; see `souk policy list`")
    return found


def _by_name(items: Iterable[N], name: str, what: str) -> str:
    found = [item.id for item in items if item.name == name]
    if not found:
        raise NoSuchName(f"there is no {what} called {name!r}; see `souk {what} list`")
    if len(found) > 1:
        raise NoSuchName(
            f"{len(found)} {what}s are called {name!r}: give one of {', '.join(found)}"
        )
    return found[0]
