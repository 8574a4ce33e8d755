"""``souk doctor``: from the setting to the ledger, what works and what to do about the rest."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import typer

from ..config import Target, find_target
from ..errors import ApiError, SoukError
from .exits import ExitCode
from .options import ContextName, Output, OutputFormat

if TYPE_CHECKING:
    from ..client import Client

CLOCK_SKEW_S_MAX = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


def doctor(output: Output = OutputFormat.TABLE, context: ContextName = "") -> None:
    """Check the way to the platform: setting, connection, key, clock, nodes, ledger."""
    from .output import Column, console, print_json, table

    checks = list(examine(context))
    if output is OutputFormat.JSON:
        print_json([asdict(check) for check in checks])
    else:
        columns: list[Column[Check]] = [
            Column(title="", read=lambda check: "ok" if check.ok else "FAILED"),
            Column(title="CHECK", read=lambda check: check.name),
            Column(title="DETAIL", read=lambda check: check.detail),
        ]
        console().print(table(checks, columns))
    if not all(check.ok for check in checks):
        raise typer.Exit(ExitCode.FAILED)


def examine(context: str, client: "Callable[[Target], Client] | None" = None) -> Iterator[Check]:
    """Each check in turn; the ones that cannot be made after a failure are left out."""
    try:
        target = find_target(context=context)
    except SoukError as error:
        yield Check(name="setting", ok=False, detail=str(error))
        return
    key = "with a key" if target.api_key else "without a key"
    yield Check(name="setting", ok=True, detail=f"{target.url} {key}, from {target.source}")
    with (client or _client)(target) as souk:
        reached = _try("connection", lambda: _connect(souk))
        yield reached
        if not reached.ok:
            return
        yield _try("ready", lambda: _ready(souk))
        known = _try("key", lambda: _identity(souk))
        yield known
        if known.ok:
            yield _try("nodes", lambda: _nodes(souk))
            yield _try("ledger", lambda: _ledger(souk))


def _client(target: Target) -> "Client":
    from ..client import Client
    from ..transport import Retries

    return Client(target=target, retries=Retries(attempts_max=2), timeout_s=10.0)


def _try(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name=name, ok=True, detail=look())
    except SoukError as error:
        return Check(name=name, ok=False, detail=str(error))


def _connect(souk: "Client") -> str:
    began = time.perf_counter()
    response = souk.transport.send("GET", "/healthz")
    took_ms = (time.perf_counter() - began) * 1000
    skew_s = _skew_s(response.headers.get("Date"))
    if skew_s is not None and abs(skew_s) > CLOCK_SKEW_S_MAX:
        raise SoukError(f"this clock is {skew_s:+.0f} s off the platform's; set the time (NTP)")
    return f"answers in {took_ms:.0f} ms"


def _ready(souk: "Client") -> str:
    document: Any = souk.transport.get("/readyz")
    return "ready" if not isinstance(document, dict) else str(document.get("status", "ready"))


def _identity(souk: "Client") -> str:
    account = souk.accounts.get("me")
    return f"{account.name}, {account.role}"


def _nodes(souk: "Client") -> str:
    states = [node.state for node in souk.nodes.list(limit=500)]
    if not states:
        return "none that this key may see"
    return f"{states.count('online')} of {len(states)} online"


def _ledger(souk: "Client") -> str:
    try:
        found = souk.ledger.invariants()
    except ApiError as error:
        if error.status == 403:
            return "not for this key"
        raise
    broken = [law.name for law in found.items if not law.ok]
    if broken:
        raise SoukError(f"these laws do not hold: {', '.join(broken)}")
    return f"all {len(found.items)} laws hold"


def _skew_s(date: str | None) -> float | None:
    if date is None:
        return None
    try:
        return time.time() - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
